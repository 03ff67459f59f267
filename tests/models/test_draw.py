"""Free bits against closed forms."""

import pytest
import torch
from torch.distributions import Independent, MultivariateNormal, Normal

from vaebench import Chain, elbo, iwae
from vaebench.errors import UserError
from vaebench.models.draw import Draw, draw

LOC = torch.tensor([[0.1, 1.5, 0.0], [0.1, 1.0, 0.3]], dtype=torch.double)
SCALE = torch.tensor([[0.9, 0.5, 1.0], [1.1, 0.6, 0.8]], dtype=torch.double)
#: KL(N(loc, scale²) || N(0, 1)) by hand.
KL = (LOC.square() + SCALE.square() - 1) / 2 - SCALE.log()
PRIOR = Independent(Normal(torch.zeros(3).double(), 1.0), 1)


def table(loc=LOC, scale=SCALE, **changes) -> Draw:
    q = Independent(Normal(loc, scale), 1)
    return draw(q, PRIOR, lambda z: 0 * z.sum(-1), 4)._replace(**changes)


def test_a_dimension_costs_its_mean_over_the_batch_or_what_is_free():
    means = KL.mean(0)
    assert means[0] < means[2] < 0.1 < means[1]
    for free in (0.005, means[2].item() * 0.99, 0.1, 5.0):
        found = table(free_bits=free).kl
        assert found.mean().item() == pytest.approx(means.clamp_min(free).sum().item(), rel=1e-12)
    torch.testing.assert_close(table(free_bits=0.1).kl, KL[:, 1] + 0.2)
    assert torch.equal(table().kl, table(free_bits=0.0).kl)
    torch.testing.assert_close(table(free_bits=1e-9).kl, table().kl)


def test_the_kl_weight_is_that_of_the_free_part_too():
    torch.testing.assert_close(table(free_bits=0.1, kl_weight=0.25).kl, table(free_bits=0.1).kl / 4)
    torch.testing.assert_close(elbo(table(free_bits=0.1)), -table(free_bits=0.1).kl)


def test_what_is_free_has_no_gradient():
    loc = LOC.clone().requires_grad_()
    table(loc, free_bits=0.1).kl.sum().backward()
    torch.testing.assert_close(loc.grad, LOC * torch.tensor([0.0, 1.0, 0.0]))


@pytest.mark.parametrize("free", [0.1, 0.5])
def test_a_kl_that_has_no_closed_form_for_each_dimension_is_held_to_as_much_in_all(free):
    q = MultivariateNormal(LOC, torch.diag_embed(SCALE.square()))
    p = MultivariateNormal(torch.zeros(3).double(), torch.eye(3).double())
    made = draw(q, p, lambda z: 0 * z.sum(-1), 4)._replace(free_bits=free)
    whole = KL.sum(1)
    assert 0.3 < whole.mean() < 1.5  # between three times 0.1 and three times 0.5
    expected = whole if free == 0.1 else torch.full((2,), 1.5).double()
    torch.testing.assert_close(made.kl, expected)
    torch.manual_seed(0)
    sampled = draw(q, PRIOR, lambda z: 0 * z.sum(-1), 4)._replace(free_bits=free)
    estimate = (sampled.log_qz - sampled.log_pz).mean(0)
    expected = estimate if estimate.mean() > 3 * free else torch.full((2,), 3 * free).double()
    torch.testing.assert_close(sampled.kl, expected)


def test_weights_do_not_separate_the_kl():
    with pytest.raises(UserError, match="do not separate the KL"):
        iwae(table(free_bits=0.1))
    iwae(table(free_bits=0.0))


def test_a_kl_that_is_no_number_is_not_free():
    loc = LOC.clone()
    loc[0, 0] = torch.nan
    q = Independent(Normal(loc, SCALE, validate_args=False), 1)
    made = table(free_bits=1.0)._replace(q=q)
    assert made.kl.isnan().any()


def test_each_block_of_a_chain_has_its_own_free_nats():
    """A block of factors, then one whose law, given the first, is known as a whole alone."""

    def chain(batch, top, covariance):
        def low(top):
            return MultivariateNormal(top[..., :1].expand(*top.shape[:-1], 2), covariance)

        return Chain({"top": (3, lambda: top), "low": (2, low)}, batch)

    covariance = torch.tensor([[0.5, 0.2], [0.2, 0.7]]).double()
    q = chain((2,), Independent(Normal(LOC, SCALE), 1), covariance)
    p = chain((), PRIOR, torch.eye(2).double())
    whole = (covariance.trace() - 2 - covariance.logdet()) / 2
    torch.manual_seed(0)
    made = draw(q, p, lambda z: 0 * z.sum(-1), 4)
    for free in (0.05, 0.1, 0.3):
        paid = KL.mean(0).clamp_min(free).sum() + whole.clamp_min(2 * free)
        assert made._replace(free_bits=free).kl.mean().item() == pytest.approx(paid.item())
    torch.testing.assert_close(made._replace(free_bits=1e-9).kl, made.kl)


def test_draws_of_strata_stand_for_their_weights():
    q = MultivariateNormal(LOC, torch.diag_embed(SCALE.square()))
    weights = torch.tensor([0.7, 0.3]).double().log()[:, None].expand(2, 2)
    made = draw(q, PRIOR, lambda z: 0 * z.sum(-1), 2)._replace(log_weights=weights, free_bits=1e-9)
    ratio = made.log_qz - made.log_pz
    torch.testing.assert_close(made.kl, 0.7 * ratio[0] + 0.3 * ratio[1])
