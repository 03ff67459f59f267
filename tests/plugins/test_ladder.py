"""The ladder: one level is the Gaussian, merged levels are products, every level is reached."""

import pytest
import torch
from vaebench_plugins.ladder import Ladder, merged

from vaebench import Chain, Gaussian, Variant, elbo, testing
from vaebench.models.draw import draw


def made(features: int = 5, seed: int = 0, **options: object) -> Ladder:
    torch.manual_seed(seed)
    return Ladder(features, 6, **options).double()  # type: ignore[arg-type]


@pytest.mark.parametrize("merge", [False, True])
def test_one_level_is_the_diagonal_gaussian(merge: bool) -> None:
    ladder, gaussian = made(levels=1, merge=merge), Gaussian(5, 6).double()
    gaussian.load_state_dict(ladder.top.state_dict())
    h = torch.randn(3, 6).double()
    tables = []
    for posterior in (ladder, gaussian):
        torch.manual_seed(7)
        tables.append(draw(posterior(h), posterior.prior(), lambda z: -z.square().sum(-1), 8))
    one, other = tables
    assert torch.equal(one.z, other.z) and torch.equal(one.log_qz, other.log_qz)
    assert torch.equal(one.log_w, other.log_w)
    torch.testing.assert_close(elbo(one), elbo(other), atol=1e-12, rtol=0)
    assert list(one.rates) == ["z1"] and torch.equal(one.rates["z1"][0], other.kl)


def test_a_merged_level_is_the_product_of_its_gaussians() -> None:
    one, other = (Gaussian(3, 4).double()(torch.randn(1, 4).double()) for _ in range(2))
    z = torch.randn(6, 1, 3).double()
    log_ratio = merged(one, other).log_prob(z) - one.log_prob(z) - other.log_prob(z)
    torch.testing.assert_close(log_ratio, log_ratio[:1].expand_as(log_ratio))


def test_levels_share_the_dimensions_and_see_those_above() -> None:
    ladder = made(8, levels=3)
    assert ladder.sizes == {"z3": 2, "z2": 3, "z1": 3}
    h, z = torch.randn(2, 6).double(), torch.randn(2, 8).double()
    for law in (ladder(h), ladder.prior()):
        assert isinstance(law, Chain)
        before = law.at(z)
        for begin, changed in ((0, {"z2", "z1"}), (2, {"z1"}), (5, set())):
            moved = z.clone()
            moved[:, begin] += 1
            after = law.at(moved)
            assert {n for n in before if not torch.equal(before[n].mean, after[n].mean)} == changed


def test_a_merged_level_without_evidence_is_the_prior() -> None:
    ladder = made(4, merge=True)
    with torch.no_grad():
        ladder.up[0].head.weight.zero_()
        ladder.up[0].head.bias[2:] = 1e6  # an infinitely wide likelihood term
    z = torch.randn(2, 4).double()
    q, p = ladder(torch.randn(2, 6).double()).at(z)["z1"], ladder.prior().at(z)["z1"]
    torch.testing.assert_close(q.mean, p.mean, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(q.variance, p.variance, rtol=1e-6, atol=1e-6)


def test_options_that_cannot_be_are_refused() -> None:
    for options in ({"levels": 0}, {"levels": 6}, {"width": 0}):
        with pytest.raises(ValueError, match="1 to D = 5 levels"):
            made(5, **options)


@pytest.mark.parametrize("name", ["blocks", "rates", "parameters", "dtypes", "checkpoints"])
def test_conforms(name: str) -> None:
    def posterior(features: int, context: int) -> Ladder:
        return Ladder(features, context, levels=3, merge=True, width=16)

    next(check for check in testing.checks() if check.name == name)(Variant("ladder", posterior))
