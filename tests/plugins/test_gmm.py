"""The mixture posterior: density, draws, and gradients for weights, means and scales."""

import math

import pytest
import torch
from scipy.stats import kstest
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal
from vaebench_plugins.gmm import (
    SIWAE,
    GaussianMixture,
    GaussianMixturePosterior,
    StratifiedGaussianMixture,
    _ImplicitDraw,
    vaebench_variants,
)

from vaebench import elbo, iwae
from vaebench.models.draw import draw

LOGITS = [0.3, -0.2, 0.5]
LOC = [[-1.0, 0.5, 0.2], [1.0, -0.5, -0.7], [0.5, 1.5, 0.9]]
SCALE = [[0.5, 1.0, 0.6], [1.0, 0.7, 1.1], [0.8, 0.6, 0.4]]


def parameters(features: int, *batch: int) -> list[Tensor]:
    """Logits (*batch, 3), loc and scale (*batch, 3, D) in float64, each a leaf."""
    loc, scale = torch.tensor(LOC)[:, :features], torch.tensor(SCALE)[:, :features]
    values = [torch.tensor(LOGITS), loc, scale]
    return [v.double().expand(*batch, *v.shape).clone().requires_grad_() for v in values]


def grid(features: int, reach: float = 9.0, points: int = 901) -> tuple[Tensor, float]:
    """Points (N, D) and the volume of their cell, for a rule that is spectrally exact here."""
    axis = torch.linspace(-reach, reach, points, dtype=torch.float64)
    return torch.cartesian_prod(*[axis] * features).reshape(-1, features), (
        2 * reach / (points - 1)
    ) ** features


def smooth(z: Tensor) -> Tensor:
    """A function f(z) (...) without symmetry, for z (..., D)."""
    return torch.sin(z[..., 0] + 0.5) * z.sum(-1) + 0.3 * z[..., -1] ** 2 * z[..., 0]


def flat(values: list[Tensor]) -> Tensor:
    """Parameters or gradients side by side, (..., P), for a batch of dimension one or none."""
    lead = values[0].dim() - 1
    return torch.cat([v.flatten(lead) for v in values], -1)


@pytest.mark.parametrize("features", [1, 2])
def test_density_integrates_to_one(features: int) -> None:
    points, cell = grid(features)
    q = GaussianMixture(*parameters(features))

    assert (q.log_prob(points).exp().sum() * cell).item() == pytest.approx(1, abs=1e-10)


def test_density_and_moments_are_those_of_another_implementation() -> None:
    logits, loc, scale = parameters(3, 5)
    q = GaussianMixture(logits, loc, scale)
    other = MixtureSameFamily(Categorical(logits=logits), Independent(Normal(loc, scale), 1))
    z = torch.randn(4, 5, 3, dtype=torch.float64)

    assert q.batch_shape == (5,)
    assert q.event_shape == (3,)
    torch.testing.assert_close(q.log_prob(z), other.log_prob(z))
    torch.testing.assert_close(q.mean, other.mean)
    torch.testing.assert_close(q.variance, other.variance)


@pytest.mark.parametrize("components", [1, 4])
@pytest.mark.parametrize("estimator", ["stratified", "implicit"])
def test_identical_components_are_the_gaussian(components: int, estimator: str) -> None:
    torch.manual_seed(0)
    loc, scale = torch.randn(6, 1, 5).double(), torch.rand(6, 1, 5).double() + 0.5
    family = {"stratified": StratifiedGaussianMixture, "implicit": GaussianMixture}[estimator]
    shape = (6, components, 5)
    q = family(torch.randn(6, components).double(), loc.expand(shape), scale.expand(shape))
    gaussian = Independent(Normal(loc[:, 0], scale[:, 0]), 1)
    p = Independent(Normal(torch.zeros(5).double(), 1.0), 1)

    table = draw(q, p, lambda z: -(z - 0.3).square().sum(-1), 3)
    same = table._replace(q=gaussian, log_qz=gaussian.log_prob(table.z))

    torch.testing.assert_close(table.log_qz, same.log_qz, rtol=1e-13, atol=1e-13)
    sampled = [t.mean(t.log_px + t.log_pz - t.log_qz) for t in (table, same)]
    torch.testing.assert_close(*sampled, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(iwae(table), iwae(same), rtol=1e-13, atol=1e-13)


def test_one_component_draws_and_learns_like_the_gaussian() -> None:
    loc, scale = torch.randn(6, 5), torch.rand(6, 5) + 0.5
    mean, deviation = loc.clone().requires_grad_(), scale.clone().requires_grad_()
    loc, scale = loc.requires_grad_(), scale.requires_grad_()
    q = GaussianMixture(torch.zeros(6, 1), loc.unsqueeze(1), scale.unsqueeze(1))

    torch.manual_seed(3)
    z = q.rsample((4,))
    torch.manual_seed(3)
    twin = Normal(mean, deviation).rsample((4,))

    torch.testing.assert_close(z, twin)
    for mine, his in zip(
        torch.autograd.grad(z.sin().sum(), [loc, scale]),
        torch.autograd.grad(twin.sin().sum(), [mean, deviation]),
        strict=True,
    ):
        torch.testing.assert_close(mine, his)


def test_kl_of_the_reference_mixture() -> None:
    q = StratifiedGaussianMixture(
        torch.tensor([0.3, 0.7], dtype=torch.float64).log(),
        torch.tensor([[-1.0], [2.0]]).double(),
        torch.tensor([[0.5], [1.0]]).double(),
    )
    p = Independent(Normal(torch.zeros(1).double(), 1.0), 1)
    points, cell = grid(1, 12, 4001)
    log_q = q.log_prob(points)

    assert (log_q.exp() * (log_q - p.log_prob(points))).sum().item() * cell == pytest.approx(
        1.0973355153, abs=1e-10
    )
    torch.manual_seed(0)
    z, log_weights = q.rstratified(50_000)
    terms = log_weights.exp() * (q.log_prob(z) - p.log_prob(z)) * 50_000
    per_draw = terms.unflatten(0, (50_000, 2)).sum(1)
    error = per_draw.std().item() / math.sqrt(50_000)
    assert abs(per_draw.mean().item() - 1.0973355153) < 5 * error
    assert error < 0.01


def test_strata_have_the_weights_of_the_components() -> None:
    logits, loc, scale = parameters(2, 7)
    z, log_weights = StratifiedGaussianMixture(logits, loc, scale).rstratified(2)

    assert z.shape == (6, 7, 2)
    assert log_weights.shape == (6, 7)
    torch.testing.assert_close(log_weights.exp().sum(0), torch.ones(7).double())
    torch.testing.assert_close(2 * log_weights[3:].exp(), logits.softmax(-1).T)


def test_draws_follow_the_density() -> None:
    torch.manual_seed(1)
    logits, loc, scale = (p.detach() for p in parameters(2))
    z = GaussianMixture(logits, loc, scale).sample((20_000,))
    prob = logits.softmax(-1)
    each = Normal(loc, scale)

    first = (prob * each.cdf(z.unsqueeze(1))[..., 0]).sum(-1)
    given = (prob * each.log_prob(z.unsqueeze(1))[..., 0].exp()).clone()
    given = given / given.sum(-1, keepdim=True)
    second = (given * each.cdf(z.unsqueeze(1))[..., 1]).sum(-1)

    for u in (first, second):
        assert kstest(u.numpy(), "uniform").pvalue > 1e-5
    assert abs(torch.corrcoef(torch.stack([first, second]))[0, 1].item()) < 5 / math.sqrt(20_000)


@pytest.mark.parametrize("features", [1, 2, 3])
def test_weights_move_draws_along_fixed_conditional_distribution_functions(features: int) -> None:
    """d/dlogits of F_d(z_d(logits) | z_<d(logits)) is zero for every draw: exact, no statistics."""
    torch.manual_seed(2)
    logits, loc, scale = parameters(features, 50)
    z = GaussianMixture(logits, loc, scale).rsample()
    motion = torch.stack(
        [torch.autograd.grad(z[:, d].sum(), logits, retain_graph=True)[0] for d in range(features)]
    )

    def conditional(z: Tensor, logits: Tensor) -> Tensor:
        each = Normal(loc, scale)
        log_w = logits.log_softmax(-1)
        found = []
        for d in range(features):
            found.append((log_w.softmax(-1) * each.cdf(z.unsqueeze(1))[..., d]).sum(-1))
            log_w = log_w + each.log_prob(z.unsqueeze(1))[..., d]
        return torch.stack(found)

    z = z.detach().requires_grad_()
    values = conditional(z, logits)
    for d in range(features):
        by_z, by_logits = torch.autograd.grad(values[d].sum(), [z, logits], retain_graph=True)
        total = by_logits + torch.einsum("bd,dbc->bc", by_z, motion)
        torch.testing.assert_close(total, torch.zeros_like(total), atol=1e-10, rtol=0)


@pytest.mark.parametrize("features", [1, 2])
@pytest.mark.parametrize("estimator", ["implicit", "stratified"])
def test_gradients_are_unbiased(features: int, estimator: str) -> None:
    leaves = parameters(features)
    points, cell = grid(features)
    density = GaussianMixture(*leaves).log_prob(points).exp()
    exact = torch.autograd.grad((density * smooth(points)).sum() * cell, leaves)

    torch.manual_seed(4)
    copies = parameters(features, 100_000)
    if estimator == "implicit":
        total = smooth(GaussianMixture(*copies).rsample())
    else:
        z, log_weights = StratifiedGaussianMixture(*copies).rstratified(1)
        total = (log_weights.exp() * smooth(z)).sum(0)
    grads = flat(list(torch.autograd.grad(total.sum(), copies)))

    off = (grads.mean(0) - flat(list(exact))) / (grads.std(0) / math.sqrt(len(grads)))
    assert off.abs().max().item() < 5
    assert (grads.std(0) / math.sqrt(len(grads))).max().item() < 0.01


def test_single_precision_agrees_with_double() -> None:
    torch.manual_seed(5)
    values = [torch.randn(8, 5).double(), torch.randn(8, 5, 50).double()]
    values += [torch.rand(8, 5, 50).double() + 0.2]
    grads = []
    for dtype in (torch.float64, torch.float32):
        leaves = [v.to(dtype).requires_grad_() for v in values]
        torch.manual_seed(6)
        noise = torch.randn(8, 50, dtype=torch.float64).to(dtype)
        z = _ImplicitDraw.apply(*leaves, torch.arange(8) % 5, noise)
        grads.append(flat([g.double() for g in torch.autograd.grad(z.sin().sum(), leaves)]))
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("estimator", ["stratified", "implicit"])
def test_components_part_and_find_both_modes(estimator: str) -> None:
    """Two overlapping modes of unequal weight: both estimators find means and weights."""
    torch.manual_seed(0)
    posterior = GaussianMixturePosterior(1, 1, components=2, estimator=estimator)
    target = GaussianMixture(
        torch.tensor([0.4, 0.6]).log(), torch.tensor([[-1.0], [1.0]]), torch.full((2, 1), 0.5)
    )
    h = torch.zeros(128, 1)
    optimiser = torch.optim.Adam(posterior.parameters(), 0.05)
    for _ in range(300):
        table = draw(posterior(h), target, lambda z: torch.zeros(z.shape[:-1]), 1)
        optimiser.zero_grad()
        (-elbo(table).mean()).backward()
        optimiser.step()

    points, cell = grid(1, 9, 2001)
    q = posterior(h[:1])
    log_q = q.log_prob(points.float()[:, None])[:, 0]
    kl = (log_q.exp() * (log_q - target.log_prob(points.float()))).sum().item() * cell
    assert kl < 0.01
    assert q.log_weights.exp().min().item() == pytest.approx(0.4, abs=0.1)


@pytest.mark.parametrize("features", [1, 8, 64])
def test_components_start_apart(features: int) -> None:
    torch.manual_seed(0)
    q = GaussianMixturePosterior(features, 16, components=8)(torch.zeros(1, 16))
    apart = torch.pdist(q.loc[0])

    assert apart.min().item() > 0
    assert 1 < apart.mean().item() < 3


def test_options_that_do_not_exist_are_refused() -> None:
    with pytest.raises(ValueError, match="estimator is one of stratified, implicit, not 'gumbel'"):
        GaussianMixturePosterior(2, 3, estimator="gumbel")
    with pytest.raises(ValueError, match="at least one component, not 0"):
        GaussianMixturePosterior(2, 3, components=0)


def test_only_the_stratified_estimator_offers_strata() -> None:
    h = torch.zeros(2, 3)

    assert hasattr(GaussianMixturePosterior(2, 3)(h), "rstratified")
    assert not hasattr(GaussianMixturePosterior(2, 3, estimator="implicit")(h), "rstratified")


def test_siwae_equals_the_evidence_at_the_posterior_and_never_exceeds_it_on_average() -> None:
    """z ~ N(0, 1), x | z ~ N(z, 1), x = 1: log p(x) = -1.515512123, posterior N(1/2, 1/2)."""
    (variant,) = SIWAE.vaebench_variants()
    p = Independent(Normal(torch.zeros(1).double(), 1.0), 1)

    def log_px(z: Tensor) -> Tensor:
        return Normal(z[..., 0], 1.0).log_prob(torch.tensor(1.0).double())

    def bound(loc: list[float], scale: float, batch: int) -> Tensor:
        means = torch.tensor(loc).double()[:, None].expand(batch, 2, 1)
        q = StratifiedGaussianMixture(
            torch.tensor([0.2, -0.4]).double().expand(batch, 2), means, means * 0 + scale
        )
        return variant.objective(draw(q, p, log_px, variant.samples))

    torch.manual_seed(0)
    exact = bound([0.5, 0.5], math.sqrt(0.5), 4)
    evidence = torch.full((4,), -1.515512123, dtype=torch.float64)
    torch.testing.assert_close(exact, evidence, atol=1e-9, rtol=0)
    rough = bound([0.0, 1.0], 0.8, 50_000)
    error = rough.std().item() / math.sqrt(len(rough))
    assert -1.515512123 - 0.1 < rough.mean().item() < -1.515512123 - 5 * error


def test_names() -> None:
    assert [v.name for v in vaebench_variants()] == ["gmm"]
    assert [v.name for v in SIWAE.vaebench_variants()] == ["siwae"]
