import numpy as np
import pytest
import torch
from PIL import Image
from torch.distributions import Independent, Normal

from tests.cells import cell, digits
from vaebench.data.images import Images, Split
from vaebench.evaluation import gallery
from vaebench.evaluation.metrics.subject import Subject
from vaebench.registry.catalogue import catalogue
from vaebench.training.build import build

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


def test_pictures_of_codes_look_at_a_limited_number_of_images(monkeypatch, tmp_path):
    seen = []
    model = build(cell(plugin="iaf"), catalogue().variant("iaf"), digits()).model
    test = Split(digits().test.pixels.repeat(2, 1, 1, 1))
    subject = Subject(
        model.eval().requires_grad_(False),
        catalogue().variant("iaf"),
        Images(digits().train, digits().validation, test, 17),
        seed=0,
        observation="bernoulli",
        extractor_name="digits",
    )
    means = gallery.posterior_means
    monkeypatch.setattr(
        gallery, "posterior_means", lambda q: seen.append(q.batch_shape[0]) or means(q)
    )
    made = {name for name, *_ in gallery.pictures(subject, tmp_path)}
    assert seen == [512] and len(subject.x) == 800
    assert {"interpolations", "traversals"} <= made
    (tmp_path / "reconstructions.png").touch()
    assert not list(gallery.pictures(subject, tmp_path))


def test_a_film_disturbs_neither_model_nor_noise(tmp_path):
    model = build(cell(), catalogue().variant("gaussian"), digits()).model
    model.train()
    state = torch.get_rng_state()
    film = gallery.Film(tmp_path, 0, 40, digits())
    for epoch in range(1, 41):
        film.take(model, epoch)
    film.take(model, 40)
    assert model.training and torch.equal(state, torch.get_rng_state())
    assert film.write() == [1, 2, 3, 5, 8, 14, 24, 40]
    (picture,) = tmp_path.iterdir()
    with Image.open(picture) as image:
        lines = np.split(np.asarray(image), 8)
    assert picture.name == "film.png" and all((line == lines[0]).all() for line in lines)


def test_a_film_goes_on_after_an_interruption(tmp_path):
    """The first epochs are filmed by one process, the others by the next; the third one stops."""
    model = build(cell(), catalogue().variant("gaussian"), digits()).model
    whole, first, second = (
        gallery.Film(tmp_path / name, 0, 8, digits()) for name in ("a", "b", "b")
    )
    for epoch in range(1, 9):
        with torch.no_grad():
            for weight in model.decoder.parameters():
                weight.mul_(0.9)
        whole.take(model, epoch)
        (first if epoch < 5 else second).take(model, epoch)
    assert whole.write() == second.write() == [1, 2, 3, 4, 6, 8]
    assert (tmp_path / "a/film.png").read_bytes() == (tmp_path / "b/film.png").read_bytes()
    first.take(model, 6)
    third = gallery.Film(tmp_path / "b", 0, 8, digits())
    third.take(model, 2)
    assert third.write() == [2]


def test_a_film_of_nothing_is_not_written(tmp_path):
    gallery.Film(tmp_path, 0, 1, digits()).write()
    assert not list(tmp_path.iterdir())
