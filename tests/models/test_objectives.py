import math

import pytest
import torch
from torch.distributions import Independent, MultivariateNormal, Normal

from vaebench import Draw, Gaussian, elbo, iwae
from vaebench.models.draw import draw, fixed

W = torch.tensor([[1.0, 0.0], [0.5, 1.0], [0.0, 2.0]], dtype=torch.double)
X = torch.tensor([1.0, -1.0, 2.0], dtype=torch.double)
EVIDENCE = -7.862598628595617


def log_likelihood(z):
    return Normal(z @ W.T, math.sqrt(0.5)).log_prob(X).sum(-1)


def normal(loc, scale):
    loc = torch.tensor([loc], dtype=torch.double)
    return Independent(Normal(loc, torch.tensor([scale], dtype=torch.double)), 1)


PRIOR = Independent(Normal(torch.zeros(2).double(), torch.ones(2).double()), 1)


def posterior():
    precision = torch.eye(2, dtype=torch.double) + W.T @ W / 0.5
    covariance = precision.inverse()
    return MultivariateNormal((covariance @ W.T @ X / 0.5)[None], covariance[None])


def test_with_the_exact_posterior_every_bound_is_the_evidence():
    torch.manual_seed(0)
    for samples in (1, 5):
        table = draw(posterior(), PRIOR, log_likelihood, samples)
        torch.testing.assert_close(iwae(table), torch.tensor([EVIDENCE]).double())
        torch.testing.assert_close(table.log_w, torch.full((samples, 1), EVIDENCE).double())


def test_the_elbo_of_the_prior_is_the_closed_form():
    torch.manual_seed(0)
    table = draw(normal([0.0, 0.0], [1.0, 1.0]), PRIOR, log_likelihood, 400_000)
    assert table.kl.item() == 0
    error = table.log_px.std().item() / math.sqrt(400_000)
    assert abs(elbo(table).item() - -13.967094828774101) < 5 * error


def test_bounds_are_ordered_and_below_the_evidence():
    torch.manual_seed(0)
    q = normal([2 / 15, 8 / 15], [0.6, 0.4])
    means = [
        torch.cat([iwae(draw(q, PRIOR, log_likelihood, k)) for _ in range(2000)]).mean().item()
        for k in (1, 4, 16)
    ]
    assert means[0] < means[1] < means[2] < EVIDENCE


def test_scalar_importance_bounds():
    def likelihood(z):
        return Normal(z[..., 0], 1).log_prob(torch.tensor(1.0))

    prior = Independent(Normal(torch.zeros(1), torch.ones(1)), 1)
    torch.manual_seed(0)
    wide = prior.expand((300_000,))
    one, two = (iwae(draw(wide, prior, likelihood, k)) for k in (1, 2))
    assert abs(one.mean().item() - -1.918938533) < 5 * one.std().item() / math.sqrt(300_000)
    assert abs(two.mean().item() - -1.653473787) < 5 * two.std().item() / math.sqrt(300_000)


def test_weights_of_strata_replace_the_plain_mean():
    z = torch.randn(3, 1, 2).double()
    values = torch.randn(3, 1).double()
    table = Draw(PRIOR, PRIOR, z, values * 0, values * 0, values)
    equal = table._replace(log_weights=torch.full((3, 1), -math.log(3)).double())
    torch.testing.assert_close(table.mean(values), equal.mean(values))
    torch.testing.assert_close(iwae(table), iwae(equal))
    first = table._replace(log_weights=torch.tensor([[0.0], [-math.inf], [-math.inf]]).double())
    torch.testing.assert_close(first.mean(values), values[0])
    torch.testing.assert_close(iwae(first), values[0])


def test_a_kl_without_closed_form_is_estimated():
    torch.manual_seed(0)
    q = posterior()
    table = draw(q, PRIOR, log_likelihood, 200_000)
    estimate = table.kl.item()
    exact = MultivariateNormal(torch.zeros(2).double(), torch.eye(2).double())
    expected = torch.distributions.kl_divergence(q, exact).item()
    assert estimate == pytest.approx(expected, abs=0.02)


def test_the_kl_weight_scales_the_latent_terms_only():
    torch.manual_seed(0)
    table = draw(normal([0.3, 0.1], [0.5, 0.7]), PRIOR, log_likelihood, 3)
    half = table._replace(kl_weight=0.5)
    torch.testing.assert_close(half.kl, table.kl / 2)
    torch.testing.assert_close(half.log_w, table.log_px + (table.log_pz - table.log_qz) / 2)


def test_fixed_densities_pass_gradients_to_z_alone():
    torch.manual_seed(0)
    posterior = Gaussian(2, 3)
    decoder = torch.nn.Linear(2, 1)
    h = torch.randn(4, 3, requires_grad=True)

    def score(z):
        return decoder(z)[..., 0]

    held = fixed(posterior, h, [decoder], score)
    z = torch.randn(5, 4, 2, requires_grad=True)
    for density, plain in ((held.log_qz, posterior(h).log_prob), (held.log_px, score)):
        torch.testing.assert_close(density(z), plain(z))
        total = density(z).sum()
        everything = [z, h, *posterior.parameters(), *decoder.parameters()]
        found = torch.autograd.grad(total, everything, allow_unused=True)
        assert found[0] is not None
        assert all(g is None for g in found[1:])
    assert all(p.requires_grad for p in [*posterior.parameters(), *decoder.parameters()])


def test_one_draw_follows_the_weights_of_the_strata():
    torch.manual_seed(0)
    z = torch.arange(3.0)[:, None, None].expand(3, 5000, 1)
    nothing = torch.zeros(3, 5000)
    weights = torch.tensor([0.2, 0.5, 0.3])
    table = Draw(PRIOR, PRIOR, z, nothing, nothing, nothing)
    assert (table.pick() == 0).all()
    table = table._replace(log_weights=weights.log()[:, None].expand(3, 5000))
    shares = torch.stack([(table.pick() == k).float().mean() for k in range(3)])
    assert (shares - weights).abs().max() < 5 * 0.5 / math.sqrt(5000)
