import pytest
import torch
from torch.distributions import Independent, Normal

from tests.cells import cell, digits
from vaebench import gallery
from vaebench.plugins import catalogue
from vaebench.train import build

CODES = torch.randn(101, 4, generator=torch.Generator().manual_seed(0)) * torch.arange(1.0, 5)


def test_interpolations_start_and_end_at_the_codes():
    paths = gallery.interpolations(CODES).unflatten(0, (-1, 16))
    assert torch.equal(paths[:, 0], CODES[0:12:2])
    assert torch.allclose(paths[:, -1], CODES[1:12:2])
    steps = paths.diff(dim=1)
    assert torch.allclose(steps, steps[:, :1].expand_as(steps), atol=1e-5)


def test_interpolations_on_a_sphere_stay_on_it():
    codes = 3 * torch.nn.functional.normalize(CODES, dim=-1)
    paths = gallery.interpolations(codes, 3.0)
    assert torch.allclose(paths.norm(dim=-1), torch.tensor(3.0))


def test_only_priors_of_one_length_are_spheres():
    assert gallery.sphere(Independent(Normal(torch.zeros(50), 1.0), 1)) is None
    prior = catalogue().variant("vmf").posterior(5, 8).prior()
    assert gallery.sphere(prior) == pytest.approx(1)


def test_a_traversal_varies_one_dimension_inside_the_codes():
    lines = gallery.traversals(CODES).unflatten(0, (-1, 16))
    assert len(lines) == 4
    varied = [(line != CODES[0]).any(0).nonzero().flatten().tolist() for line in lines]
    assert varied == [[3], [2], [1], [0]]
    low, high = (torch.quantile(CODES, q, dim=0) for q in (0.02, 0.98))
    for line, (dimension,) in zip(lines, varied, strict=True):
        assert torch.allclose(line[0, dimension], low[dimension])
        assert torch.allclose(line[-1, dimension], high[dimension])


def test_the_map_covers_the_plane_with_the_second_code_upwards():
    grid = gallery.plane(CODES[:, :2]).unflatten(0, (16, 16))
    assert (grid[:, 1:, 0] > grid[:, :-1, 0]).all()
    assert (grid[1:, :, 1] < grid[:-1, :, 1]).all()


def test_a_film_disturbs_neither_model_nor_noise(tmp_path):
    model, _ = build(cell(), catalogue().variant("gaussian"), digits())
    model.train()
    state = torch.get_rng_state()
    film = gallery.Film(tmp_path, 0, 40)
    for epoch in range(1, 41):
        film.take(model, epoch)
    film.take(model, 40)
    assert model.training and torch.equal(state, torch.get_rng_state())
    assert film.epochs == [1, 2, 3, 5, 8, 14, 24, 40]
    assert all(torch.equal(frame, film.frames[0]) for frame in film.frames)
    film.write()
    assert (tmp_path / "film.png").exists()


def test_a_film_of_nothing_is_not_written(tmp_path):
    gallery.Film(tmp_path, 0, 1).write()
    assert not list(tmp_path.iterdir())
