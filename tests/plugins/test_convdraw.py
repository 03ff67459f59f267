"""Convolutional DRAW: one step is the Gaussian, and its evidence is that of quadrature."""

import math

import pytest
import torch
from torch import nn
from vaebench_plugins.convdraw import ConvDraw, Grid, networks, vaebench_variants

from tests.cells import cell, digits
from vaebench import Chain, Gaussian, Shared, Variant, elbo, testing
from vaebench.models.draw import Draw
from vaebench.models.vae import VAE
from vaebench.registry.options import configure
from vaebench.training.build import build

(CONVDRAW,) = vaebench_variants()
X = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0)).round()


def model_of(variant: Variant, options: dict[str, str], **changes: object) -> VAE:
    found = build(cell(**changes), configure(variant, options), digits()).model.eval()
    found.posterior.double(), found.encoder.double(), found.decoder.double()
    return found


def drawn(model: VAE, samples: int = 4, x: torch.Tensor = X) -> Draw:
    torch.manual_seed(7)
    return model.draw(x.double(), samples)


def test_one_step_is_the_diagonal_gaussian_on_its_networks() -> None:
    options = {"steps": "1", "channels": "3"}
    steps = model_of(CONVDRAW, options)
    gaussian = model_of(Variant("gaussian", Gaussian, networks=networks), options)
    gaussian.posterior.load_state_dict(steps.posterior.q[0].state_dict())
    one, other = drawn(steps), drawn(gaussian)
    for name in ("z", "log_qz", "log_pz", "log_px", "log_w"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name
    torch.testing.assert_close(elbo(one), elbo(other), atol=1e-12, rtol=0)
    assert torch.equal(one.rates["z1"], other.rates["z"])
    values = [elbo(each).sum() for each in (one, other)]
    slopes = [
        torch.autograd.grad(value, [*model.encoder.parameters(), *model.decoder.parameters()])
        for value, model in zip(values, (steps, gaussian), strict=True)
    ]
    for a, b in zip(*slopes, strict=True):
        torch.testing.assert_close(a, b, atol=1e-12, rtol=1e-10)


def scaled(model: VAE) -> VAE:
    """The model with steps that matter to each other."""
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in (*model.posterior.parameters(), *model.decoder.parameters()):
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
    return model


def test_evidence_and_rates_are_those_of_quadrature() -> None:
    model = scaled(model_of(CONVDRAW, {"steps": "2", "channels": "2"}, latent=2))
    x = X[:1].double()
    axis = torch.linspace(-7, 7, 71, dtype=torch.double)
    area = (axis[1] - axis[0]).item() ** 2
    grid = torch.cartesian_prod(axis, axis)[:, None]
    with torch.no_grad():
        q, p = model.encode(x), model.prior()
        assert isinstance(q, Chain) and isinstance(p, Chain)
        log_q, log_p = q.log_prob(grid)[:, 0], p.log_prob(grid)[:, 0]
        for density in (log_q, log_p):
            assert abs(density.exp().sum().item() * area - 1) < 1e-6
        log_px = model.log_likelihood(grid, x)[:, 0]
        evidence = torch.logsumexp(log_p + log_px, 0).item() + math.log(area)
        draw = drawn(model, 2000, x)
        weights = (draw.log_w[:, 0] - evidence).exp()
        error = weights.std().item() / math.sqrt(len(weights))
        assert abs(weights.mean().item() - 1) < 4 * error < 0.2
        blocks = {
            name: (q.at(grid)[name].log_prob(z) - p.at(grid)[name].log_prob(z))[:, 0]
            for name, z in q.parts(grid).items()
        }
        for name, rate in draw.rates.items():
            truth = (log_q.exp() * blocks[name]).sum().item() * area
            error = rate.std().item() / math.sqrt(len(rate))
            assert truth > 1e-3 and abs(rate.mean().item() - truth) < 4 * error + 1e-6, name


def test_each_step_sees_those_before_and_the_last_canvas_is_the_output() -> None:
    model = scaled(model_of(CONVDRAW, {"steps": "3", "channels": "2"}, latent=7))
    assert model.posterior.sizes == [2, 2, 3]
    z = torch.randn(3, 7).double()
    for law in (model.encode(X.double()), model.prior()):
        before = law.at(z)
        for begin, changed in ((0, {"z2", "z3"}), (2, {"z3"}), (4, set())):
            moved = z.clone()
            moved[:, begin] += 1
            after = law.at(moved)
            assert {n for n in before if not torch.equal(before[n].mean, after[n].mean)} == changed
    writer, written = model.decoder, None
    for t, part in enumerate(z.split([2, 2, 3], -1)):
        written = writer.step(t, part, z[:, :0], written)
    assert torch.equal(written[1], model.decode(z))


def test_laws_found_once_are_those_found_anew() -> None:
    model = scaled(model_of(CONVDRAW, {"steps": "3", "channels": "2"}))
    q = model.encode(X.double())
    z, log_q = q.rsample_and_log_prob(torch.Size((5,)))
    torch.testing.assert_close(log_q, model.encode(X.double()).log_prob(z), atol=1e-10, rtol=0)
    with torch.no_grad():
        first = q.log_prob(z.detach())
    held = z.detach().requires_grad_()
    assert torch.equal(q.log_prob(held), first) and q.log_prob(held).requires_grad
    with torch.no_grad():
        held.add_(0.5)
    assert torch.equal(q.log_prob(held), model.encode(X.double()).log_prob(held))
    one, two = (model.encode(X.double()).log_prob(held) for _ in range(2))
    assert torch.equal(one, two)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 28, 28), (1, 7, 13), (2, 1, 5), (3, 33, 64)])
def test_pictures_of_any_shape_are_laid_onto_maps(shape: tuple[int, int, int]) -> None:
    grid = Grid(shape)
    assert min(grid.sides) <= 8
    maps = grid.down(shape[0], 2)(torch.zeros(2, *shape))
    assert maps.shape == (2, 2, *grid.sides)
    assert grid.cut(grid.up(2, 5)(maps)).shape == (2, 5, *shape[1:])


def test_conditions_reach_prior_posterior_and_decoder() -> None:
    encoder, decoder = networks(
        4, steps=2, channels=2, shape=(1, 8, 8), outputs=1, expected=torch.sigmoid, given=3
    )
    shared = {"encoder": Shared(encoder), "decoder": Shared(decoder)}
    posterior = ConvDraw(4, encoder.features + 3, steps=2, given=3, **shared)  # type: ignore[arg-type]
    y, h, z = torch.randn(5, 3), encoder(torch.rand(5, 1, 8, 8)), torch.randn(6, 5, 4)
    p = posterior.prior(y)
    assert p.batch_shape == (5,) and p.sample((2,)).shape == (2, 5, 4)
    q = posterior(torch.cat([h, y], -1))
    for law, moved in ((p, posterior.prior(y + 1)), (q, posterior(torch.cat([h, y + 1], -1)))):
        assert not torch.isclose(law.log_prob(z), moved.log_prob(z)).any()
    assert decoder(torch.cat([z[0], y], -1)).shape == (5, 1, 8, 8)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="from 1 to D = 3 steps, not 4"):
        networks(3, shape=(1, 8, 8), outputs=1, expected=torch.sigmoid, given=0)
    with pytest.raises(ValueError, match="one channel or more"):
        networks(3, 1, 0, shape=(1, 8, 8), outputs=1, expected=torch.sigmoid, given=0)


SMALL = configure(CONVDRAW, {"steps": "2", "channels": "2"})


@pytest.mark.parametrize("name", ["parameters", "dtypes", "checkpoints", "copies", "seeds"])
def test_conforms(name: str) -> None:
    next(check for check in testing.checks() if check.name == name)(SMALL)


def test_its_parameters_are_those_of_networks_and_heads() -> None:
    model = model_of(CONVDRAW, {"steps": "2"})
    names = {name.split(".")[0] for name in model.state_dict()}
    assert names == {"encoder", "posterior", "observation"}
    assert not any(isinstance(m, nn.Conv2d) for m in model.posterior.modules())
