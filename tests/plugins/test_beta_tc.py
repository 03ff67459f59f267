"""The β-TCVAE: total correlation of mixtures and of a correlated Gaussian."""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal
from vaebench_plugins.beta_tc import SAMPLING, penalty, stratified, total_correlation

from vaebench.models.draw import Draw, draw
from vaebench.models.variant import informed
from vaebench.registry.catalogue import catalogue


def table(loc: Tensor, scale: Tensor, samples: int = 1) -> Draw:
    p = Independent(Normal(loc.new_zeros(loc.shape[-1]), 1.0), 1)
    return draw(Independent(Normal(loc, scale), 1), p, lambda z: -z.square().sum(-1), samples)


def some(batch: int) -> Draw:
    torch.manual_seed(0)
    loc = 2 * torch.randn(batch, 3, dtype=torch.float64)
    return table(loc, torch.rand_like(loc) + 0.2)


@pytest.mark.parametrize("sampling", SAMPLING)
def test_a_batch_of_all_images_gives_the_exact_mixture(sampling):
    q, uniform = some(7), Categorical(torch.ones(7).double())
    base = q.q.base_dist
    z = q.z[0]
    joint = MixtureSameFamily(uniform, q.q).log_prob(z)
    each = [
        MixtureSameFamily(uniform, Normal(base.loc[:, d], base.scale[:, d])).log_prob(z[:, d])
        for d in range(3)
    ]
    found = total_correlation(q, sampling, items=7)
    torch.testing.assert_close(found, joint - torch.stack(each).sum(0))


def test_weighted_sampling_has_the_published_gradient():
    """1/(B N) Σ_j q(z_i|x_j), which differs by (D - 1) log N in value."""
    torch.manual_seed(1)
    loc = torch.randn(5, 3, dtype=torch.float64).requires_grad_()
    noise, items = torch.randn(5, 3, dtype=torch.float64), 90
    q = table(loc, torch.full_like(loc, 0.4))._replace(z=(loc + 0.4 * noise)[None])
    log_q = Normal(loc, 0.4).log_prob(q.z[0][:, None])
    published = (log_q.sum(-1).logsumexp(1) - math.log(5 * items)) - (
        log_q.logsumexp(1) - math.log(5 * items)
    ).sum(-1)
    mine = total_correlation(q, items=items)
    torch.testing.assert_close(published - mine, torch.full_like(mine, 2 * math.log(items)))
    one, two = (torch.autograd.grad(v.sum(), loc, retain_graph=True)[0] for v in (mine, published))
    torch.testing.assert_close(one, two)


def test_stratified_sampling_is_unbiased_for_the_aggregate_density():
    """The mean of q(z_0) over all batches of three that hold input 0 is that of all six inputs."""
    q = some(6)
    density = q.q.log_prob(q.z[0][:1]).exp()
    pairs = torch.combinations(torch.arange(1, 6), 2)
    weights = stratified(3, 6)[0].exp().double()
    estimates = [density[[0, *pair.tolist()]] @ weights for pair in pairs]
    assert torch.stack(estimates).mean().item() == pytest.approx(density.mean().item(), rel=1e-6)


@pytest.mark.parametrize("sampling", SAMPLING)
def test_a_correlated_gaussian_has_its_total_correlation(sampling):
    torch.manual_seed(2)
    count, spread = 1200, 0.3
    root = torch.linalg.cholesky(torch.tensor([[1, 0.8], [0.8, 1]]) - spread**2 * torch.eye(2))
    loc = torch.randn(count, 2, dtype=torch.float64) @ root.double().T
    found = total_correlation(table(loc, torch.full_like(loc, spread)), sampling, items=count)
    truth = -math.log(1 - 0.8**2) / 2
    assert truth == pytest.approx(0.510825624, abs=1e-9)
    assert abs(found.mean().item() - truth) < 4 * found.std().item() / math.sqrt(count)


def test_the_price_of_the_total_correlation_is_beta():
    q = some(5)
    torch.testing.assert_close(penalty(q, 3.0, items=9), 2 * total_correlation(q, items=9))
    assert not penalty(q, 1.0, items=9).any()


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match="two or more"):
        total_correlation(some(1), items=9)
    with pytest.raises(ValueError, match="weighted, stratified"):
        total_correlation(some(3), "other", items=9)


def test_the_number_of_images_is_told_and_not_chosen():
    chosen = catalogue().variant("beta-tc[beta=3,sampling=stratified]")
    (term,) = informed(chosen, items=9).penalties.values()
    q = some(5)
    torch.testing.assert_close(term(q), 2 * total_correlation(q, "stratified", items=9))
    assert "items" not in catalogue().facts("variants", "beta-tc")["options"]
