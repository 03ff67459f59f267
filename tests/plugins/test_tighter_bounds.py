"""MIWAE, PIWAE and CIWAE: their limits, their order, and who gets which gradient."""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, Normal
from vaebench_plugins.tighter_bounds import ciwae, miwae, piwae, vaebench_variants

from vaebench import iwae
from vaebench.models.draw import Draw


def table(samples: int = 6, batch: int = 5) -> tuple[Draw, Tensor, list[Tensor]]:
    """Draws of N(loc, scale²) in two dimensions; the decoder's weights; the encoder's outputs."""
    torch.manual_seed(0)
    loc, scale = torch.randn(batch, 2).double(), torch.rand(batch, 2).double() + 0.5
    encoder = [loc.requires_grad_(), scale.requires_grad_()]
    decoder = torch.randn(2).double().requires_grad_()
    q = Independent(Normal(loc, scale), 1)
    p = Independent(Normal(torch.zeros(2).double(), 1.0), 1)
    z = q.rsample((samples,))
    log_px = -(1 - torch.tanh(z) @ decoder).square()
    return Draw(q, p, z, q.log_prob(z), p.log_prob(z), log_px), decoder, encoder


def sampled_elbo(draw: Draw) -> Tensor:
    return draw.log_w.mean(0)


def test_limits() -> None:
    draw, _, _ = table()

    torch.testing.assert_close(miwae(draw, groups=1), iwae(draw))
    torch.testing.assert_close(miwae(draw, groups=6), sampled_elbo(draw))
    torch.testing.assert_close(ciwae(draw, beta=1.0), sampled_elbo(draw))
    torch.testing.assert_close(ciwae(draw, beta=0.0), iwae(draw))
    torch.testing.assert_close(piwae(draw, groups=2), iwae(draw))


def test_groups_are_means_of_bounds_and_not_bounds_of_means() -> None:
    draw, _, _ = table()
    parts = [iwae(some(draw, part)) for part in (slice(0, 3), slice(3, 6))]

    torch.testing.assert_close(miwae(draw, groups=2), torch.stack(parts).mean(0))
    assert (miwae(draw, groups=2) - miwae(draw, groups=3)).abs().min() > 1e-4


def some(draw: Draw, part: slice) -> Draw:
    """The same table with some of its draws."""
    z, log_qz = draw.z[part], draw.log_qz[part]
    return draw._replace(z=z, log_qz=log_qz, log_pz=draw.log_pz[part], log_px=draw.log_px[part])


def test_order_of_the_bounds() -> None:
    draw, _, _ = table()
    chain = [sampled_elbo(draw), miwae(draw, groups=3), miwae(draw, groups=1)]

    assert all((low < high).all() for low, high in pairwise(chain))
    assert ((sampled_elbo(draw) < ciwae(draw)) & (ciwae(draw) < iwae(draw))).all()


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_piwae_gives_the_encoder_miwae_and_the_decoder_iwae(groups: int) -> None:
    draw, decoder, encoder = table()

    def grads(value: Tensor, leaves: list[Tensor]) -> tuple[Tensor, ...]:
        return torch.autograd.grad(value.sum(), leaves, retain_graph=True)

    mine = piwae(draw, groups=groups)
    torch.testing.assert_close(grads(mine, [decoder]), grads(iwae(draw), [decoder]))
    torch.testing.assert_close(grads(mine, encoder), grads(miwae(draw, groups=groups), encoder))


def test_warm_up_weighs_both_parts_of_the_kl() -> None:
    draw, decoder, encoder = table()
    draw = draw._replace(kl_weight=0.3)
    for objective in (miwae, ciwae, piwae):
        flat = objective(draw._replace(kl_weight=0.0))
        assert not torch.allclose(flat, objective(draw))
    mine = torch.autograd.grad(piwae(draw, groups=1).sum(), [decoder, *encoder], retain_graph=True)
    torch.testing.assert_close(
        mine, torch.autograd.grad(iwae(draw).sum(), [decoder, *encoder], retain_graph=True)
    )


def test_values_need_no_gradient() -> None:
    with torch.no_grad():
        draw, _, _ = table()
        detached = draw._replace(z=draw.z.detach())
        torch.testing.assert_close(piwae(detached), iwae(draw))


def test_what_cannot_be_is_refused() -> None:
    draw, _, _ = table()
    for groups in (4, 0):
        with pytest.raises(ValueError, match=f"6 draws do not make {groups} equal groups"):
            miwae(draw, groups=groups)
    with pytest.raises(ValueError, match="beta lies between 0 and 1"):
        ciwae(draw, beta=1.5)
    with pytest.raises(ValueError, match="not of stratified ones"):
        piwae(draw._replace(log_weights=torch.full((6, 5), -math.log(6))))


def test_defaults_fit_the_number_of_draws() -> None:
    variants = vaebench_variants()
    draw, _, _ = table(samples=8)

    assert [v.name for v in variants] == ["miwae", "piwae", "ciwae"]
    assert all(v.samples == 8 and v.objective(draw).shape == (5,) for v in variants)
