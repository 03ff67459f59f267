"""The sequential VAE: one step is the Gaussian, and the loss is the sum over its steps."""

import pytest
import torch
from vaebench_plugins.sequential import networks, vaebench_variants

from tests.cells import cell, digits
from vaebench import Chain, Gaussian, Variant, elbo, testing
from vaebench.registry.options import configure
from vaebench.training.build import Resolved, build

(SEQUENTIAL,) = vaebench_variants()
X = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0)).round()


def made(variant: Variant, **options: str) -> Resolved:
    found = build(cell(latent=6), configure(variant, options), digits())
    found.model.eval().double()
    return found


def test_one_step_is_the_diagonal_gaussian_on_its_networks() -> None:
    steps = made(SEQUENTIAL, steps="1", channels="3")
    gaussian = made(Variant("gaussian", Gaussian, networks=networks), steps="1", channels="3")
    gaussian.model.posterior.load_state_dict(steps.model.posterior.q[0].state_dict())
    draws = []
    for each in (steps, gaussian):
        torch.manual_seed(7)
        draws.append(each.model.draw(X.double(), 4))
    one, other = draws
    for name in ("z", "log_qz", "log_pz", "log_px"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name
    torch.testing.assert_close(elbo(one), elbo(other), atol=1e-12, rtol=0)
    assert steps.variant.penalties["intermediate"](one).tolist() == [0, 0, 0]


def test_the_loss_adds_up_the_reconstructions_of_all_steps() -> None:
    found = made(SEQUENTIAL, steps="3", channels="2", weight="0.5")
    draw = found.model.draw(X.double(), 4)
    outputs = found.model.decoder.steps(draw.z.flatten(0, 1))
    lost = [-found.model.likelihood.log_prob(each.unflatten(0, (4, 3)), X) for each in outputs]
    penalty = found.variant.penalties["intermediate"](draw)
    torch.testing.assert_close(penalty, 0.5 * (lost[0] + lost[1]).mean(0))
    torch.testing.assert_close(draw.log_px, -lost[2])
    q = found.model.encode(X.double())
    assert isinstance(q, Chain) and q.sizes == {"z1": 2, "z2": 2, "z3": 2}
    torch.testing.assert_close(draw.kl, sum(rate[0] for rate in draw.rates.values()))


def test_a_step_sees_its_latents_and_the_picture_before_it() -> None:
    found = made(SEQUENTIAL, steps="3", channels="2")
    z = torch.randn(2, 6).double()
    before = found.model.decoder.steps(z)
    for begin, changed in ((0, [0, 1, 2]), (2, [1, 2]), (4, [2])):
        moved = z.clone()
        moved[:, begin] += 1
        after = found.model.decoder.steps(moved)
        assert [t for t in range(3) if not torch.equal(before[t], after[t])] == changed


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="from 1 to D = 3 steps, not 4"):
        networks(3, shape=(1, 8, 8), outputs=1, expected=torch.sigmoid, given=0)


SMALL = configure(SEQUENTIAL, {"steps": "2", "channels": "2"})


@pytest.mark.parametrize("name", ["parameters", "rates", "dtypes", "checkpoints", "batch_size"])
def test_conforms(name: str) -> None:
    next(check for check in testing.checks() if check.name == name)(SMALL)
