"""The conditional prior: exact evidence under a condition, and N(0, I) without one."""

import math

import torch
from torch.distributions import Normal
from vaebench_plugins.cvae import Conditional

from vaebench import elbo
from vaebench.models.draw import draw

Y, X, NOISE = 1.0, 1.2, 0.5


def conditional(learned: bool) -> Conditional:
    """p(z|y) = N(0.75 y, 1) or N(0, 1), and the exact q of x = y + z + e at y = 1."""
    posterior = Conditional(1, 1, width=1, given=1).double()
    with torch.no_grad():
        for parameter in posterior.parameters():
            parameter.zero_()
        prior = 0.75 * learned
        posterior.network[0].weight.fill_(1.0)
        posterior.network[2].weight[0] = prior / math.tanh(Y)
        posterior.network[2].bias[1] = math.log(math.expm1(1 - 1e-4)) - 0.5413248546
        scale = math.sqrt(NOISE / (1 + NOISE))
        posterior.head.bias[0] = (NOISE * prior + X - Y) / (1 + NOISE)
        posterior.head.bias[1] = math.log(math.expm1(scale - 1e-4)) - 0.5413248546
    return posterior


def test_the_bound_is_the_evidence_given_the_condition() -> None:
    for learned, truth in ((True, -1.222504421), (False, -1.135004421)):
        torch.manual_seed(0)
        posterior = conditional(learned)
        given = torch.full((2, 1), Y).double()
        q, p = posterior(given), posterior.prior(given)
        assert p.batch_shape == (2,)
        x = torch.tensor(X, dtype=torch.float64)
        made = draw(q, p, lambda z, x=x: Normal(Y + z[..., 0], NOISE**0.5).log_prob(x), 4)
        assert (made.log_w - truth).abs().max() < 1e-9
        spread = made.log_px.var(0).sqrt() + 1e-9
        assert ((elbo(made) - truth).abs() < 6 * spread).all()


def test_the_prior_moves_with_the_condition_alone() -> None:
    torch.manual_seed(0)
    posterior = Conditional(3, 6, given=2)
    p = posterior.prior(torch.eye(2))
    assert p.batch_shape == (2,) and p.event_shape == (3,)
    assert not torch.equal(p.mean[0], p.mean[1])
    for nothing in (posterior.prior(), Conditional(3, 4, given=0).prior(torch.zeros(2, 0))):
        assert not nothing.batch_shape and torch.equal(nothing.mean, torch.zeros(3))


def test_without_a_condition_it_has_the_weights_of_the_gaussian() -> None:
    from vaebench import Gaussian

    found = []
    for make in (lambda: Conditional(3, 4, given=0), lambda: Gaussian(3, 4)):
        torch.manual_seed(5)
        found.append(make().state_dict())
    assert all(torch.equal(found[0][key], found[1][key]) for key in found[1])
    assert set(found[0]) == set(found[1])
