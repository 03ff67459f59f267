"""Posteriors of several modalities on a linear-Gaussian model of two parts, in closed form.

p(z) = N(0, 1), x_1|z ~ N(z, 0.5), x_2|z ~ N(2z, 1), at x = (1, -0.5).
"""

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence
from vaebench_plugins.mmvm import Separate, mmvm
from vaebench_plugins.modalities import (
    Mixture,
    MixtureOfProducts,
    Pooled,
    Product,
    TotalCorrelation,
    bound,
    masked,
    mvae,
    mvtcae,
    product,
)

from vaebench.models.draw import Draw
from vaebench.models.items import Items
from vaebench.models.likelihoods import Gaussian
from vaebench.models.modalities import EachPart, Form, Layout, Modalities
from vaebench.models.objectives import elbo
from vaebench.models.observation import Pixels
from vaebench.models.vae import VAE

X, NOISE, SLOPE = (1.0, -0.5), (0.5, 1.0), (1.0, 2.0)
BOTH, FIRST, SECOND = -3.517829979, -1.455004421, -1.748657489
#: Mean and variance of z given x_1, x_2 and both; and of what each part says as a likelihood.
POSTERIOR = {(0,): (2 / 3, 1 / 3), (1,): (-0.2, 0.2), (0, 1): (1 / 7, 1 / 7)}
LIKELY = [(1.0, 0.5), (-0.25, 0.25)]


def decoder(slope):
    """z (N, 1) to slope · z, as a picture of one pixel."""
    made = nn.Sequential(nn.Linear(1, 1), nn.Unflatten(-1, (1, 1, 1)))
    with torch.no_grad():
        made[0].weight.fill_(slope)
        made[0].bias.zero_()
    return made


def model(posterior, parts=(0, 1)):
    """The model above, or that of some parts or another order, with its x."""
    layout = Layout({f"x{m}": Form("pictures", (1, 1, 1), 2, real=True) for m in parts})
    encoders, seen = {}, {}
    for m in parts:
        encoders[f"x{m}"] = nn.Flatten()
        encoders[f"x{m}"].features = 1
        noise = Gaussian(2, scale=str(math.sqrt(NOISE[m])))
        seen[f"x{m}"] = Pixels(decoder(SLOPE[m]), noise)
    observation = Modalities(layout, seen)
    observation.tell(posterior.reads)
    x = torch.tensor([[X[m] for m in parts]], dtype=torch.float64)
    return VAE(EachPart(layout, encoders), posterior, observation).double(), Items(x)


def raw(scale):
    """What `positive` makes a deviation of."""
    return math.log(math.expm1(scale - 1e-4)) - 0.5413248546


def with_heads(kind, laws, parts=(0, 1)):
    """A posterior of experts with these means and variances, whatever x is."""
    posterior = kind(1, len(parts), parts=(1,) * len(parts)).double()
    for head, m in zip(posterior.heads, parts, strict=True):
        mean, variance = laws[m]
        with torch.no_grad():
            head.head.weight.zero_()
            head.head.bias.copy_(torch.tensor([mean, raw(math.sqrt(variance))]))
    return posterior


def pooled(encoder, parts=(0, 1)):
    """The posterior of sums or attention that is exact for every subset."""
    posterior = Pooled(1, len(parts), encoder=encoder, width=4, parts=(1,) * len(parts)).double()
    with torch.no_grad():
        for parameter in posterior.parameters():
            parameter.zero_()
        for place, m in enumerate(parts):
            mean, variance = LIKELY[m]
            posterior.embed[place].bias[0] = mean / variance
            posterior.embed[place].bias[1 + m] = 1.0
        precisions = [1 + 1 / LIKELY[0][1], 1 + 1 / LIKELY[1][1]]
        one, two, all_ = (
            math.log(math.expm1(p - 1e-3)) for p in (*precisions, sum(precisions) - 1)
        )
        step = (all_ - one - two) / 3
        posterior.inner.weight[0, 1:3] = 1e3
        posterior.inner.bias[0] = -1.5e3
        posterior.out.weight[0, 0] = 1.0
        posterior.out.weight[1, 1:3] = torch.tensor([one + step, two + step])
        posterior.out.weight[1, 4] = step
    return posterior


CONTAIN = {
    "poe": lambda parts=(0, 1): with_heads(Product, LIKELY, parts),
    "mopoe": lambda parts=(0, 1): with_heads(MixtureOfProducts, LIKELY, parts),
    "sum": lambda parts=(0, 1): pooled("sum", parts),
    "attention": lambda parts=(0, 1): pooled("attention", parts),
}
POINTS, WEIGHTS = np.polynomial.hermite_e.hermegauss(120)
WEIGHTS = WEIGHTS / math.sqrt(2 * math.pi)


def nodes(q):
    """Points z (K, 1, D) and log-weights (K, 1) by which expectations under q are sums."""
    if hasattr(q, "at"):
        each = [nodes(law) for law in q.at(torch.zeros(1, *q.event_shape).double()).values()]
        (z1, w1), *others = each
        for z2, w2 in others:
            z1 = torch.cat([z1.repeat_interleave(len(z2), 0), z2.repeat(len(z1), 1, 1)], -1)
            w1 = w1.repeat_interleave(len(w2), 0) + w2.repeat(len(w1), 1)
        return z1, w1
    loc, scale = (q.loc, q.scale) if hasattr(q, "loc") else (q.mean[:, None], q.stddev[:, None])
    u = torch.from_numpy(POINTS)[:, None, None, None]
    log_w = torch.from_numpy(np.log(WEIGHTS))[:, None, None] - math.log(loc.shape[1])
    z = (loc + scale * u).movedim(2, 1).flatten(0, 1)
    return z, log_w.expand(-1, 1, loc.shape[1]).movedim(2, 1).flatten(0, 1)


def exactly(made, x, parts=None):
    """A draw whose means are expectations, by quadrature."""
    h = made.features(x)
    posterior, p = made.posterior, made.prior()
    q = posterior(h) if parts is None else posterior.of_parts(h, parts)
    z, log_w = nodes(q)
    each = made.observation.each(made.observation.outputs(z, x.x), x.x)
    scored = each if parts is None else each[list(parts)]
    return Draw(
        q,
        p,
        z,
        q.log_prob(z),
        p.log_prob(z),
        scored.sum(0),
        log_w,
        each=each,
        redraw=lambda some: exactly(made, x, some),
    )


def near(value, truth, tolerance=2e-6):
    assert abs(float(value.detach()) - truth) < tolerance, (float(value.detach()), truth)


@pytest.mark.parametrize("name", CONTAIN)
def test_posteriors_of_all_parts_are_exact(name):
    made, x = model(CONTAIN[name]())
    for parts, (mean, variance) in POSTERIOR.items():
        if name == "mopoe" and len(parts) > 1:
            continue
        q = made.posterior.of_parts(made.features(x), parts)
        near(q.mean, mean), near(q.variance, variance)


@pytest.mark.parametrize("name", ["poe", "sum", "attention"])
def test_the_bound_is_the_evidence_where_the_posterior_is_exact(name):
    found = exactly(*model(CONTAIN[name]()))
    near(elbo(found), BOTH)
    near(elbo(found.of_parts([0])), FIRST)
    near(elbo(found.of_parts([1])), SECOND)
    near(mvae(found), BOTH + FIRST + SECOND)


@pytest.mark.parametrize("name", ["poe", "sum", "attention"])
def test_the_masked_bound_is_the_evidence_for_every_subset_and_the_mixed_one_is_not(name):
    found = exactly(*model(CONTAIN[name]()))
    for shown in ([], [0], [1], [0, 1]):
        near(bound(found, shown), BOTH)
    for seed in range(5):
        torch.manual_seed(seed)
        near(masked(found), BOTH)
    for part, mixed in ((0, -4.721165176), (1, -3.961022432)):
        some = found.of_parts([part])
        near(some.mean(some.each.sum(0)) - some.kl, mixed)


def test_the_prior_counts_once():
    posteriors = [POSTERIOR[0,], POSTERIOR[1,]]
    twice = exactly(*model(with_heads(TotalCorrelation, posteriors)))
    near(twice.q.mean, 0.125), near(twice.q.variance, 0.125)
    near(elbo(twice), -3.523211747)
    single = [(torch.tensor(a), torch.tensor(b).sqrt()) for a, b in LIKELY]
    mean, scale = product(single)
    near(mean, 1 / 7), near(scale.square(), 1 / 7)


def test_the_mixture_of_experts_has_the_density_of_the_mixture():
    made, x = model(with_heads(Mixture, [POSTERIOR[0,], POSTERIOR[1,]]))
    found = exactly(made, x)
    near(elbo(found), -4.072425760)
    apart = [found.of_parts([m]) for m in (0, 1)]
    near(sum(some.mean(some.each.sum(0)) - some.kl for some in apart) / 2, -4.341093804)
    torch.manual_seed(0)
    drawn = elbo(made.draw(Items(x.x.expand(40_000, -1)), 1))
    assert abs(drawn.mean() + 4.072425760) < 4 * drawn.std() / len(drawn) ** 0.5


def test_the_mixture_of_products_has_a_component_for_each_subset():
    made, x = model(CONTAIN["mopoe"]())
    grid = torch.linspace(-9, 9, 40_001, dtype=torch.float64)
    density = sum(Normal(m, v**0.5).log_prob(grid).exp() for m, v in POSTERIOR.values()) / 3
    log_px = sum(
        Normal(SLOPE[m] * grid, NOISE[m] ** 0.5).log_prob(torch.tensor(X[m])) for m in (0, 1)
    )
    whole = log_px + Normal(0.0, 1.0).log_prob(grid) - density.log()
    truth = (density * whole).nan_to_num().sum() * (grid[1] - grid[0])
    near(elbo(exactly(made, x)), truth.item(), 1e-5)


def test_total_correlation_weighs_what_experts_miss():
    found = exactly(*model(with_heads(TotalCorrelation, LIKELY)))
    q = Normal(found.q.mean, found.q.stddev)
    missed = sum(
        kl_divergence(q, Normal(torch.tensor(m), torch.tensor(v).sqrt())).sum() for m, v in LIKELY
    )
    prior = kl_divergence(q, Normal(torch.tensor(0.0), torch.tensor(1.0))).sum()
    truth = 0.6 * found.mean(found.log_px) - 0.5 * (0.2 * prior + 0.4 * missed)
    near(mvtcae(found, alpha=0.8, beta=0.5), truth.item())


def test_codes_of_parts_are_measured_against_the_mixture_of_experts():
    made, x = model(with_heads(Separate, [POSTERIOR[0,], POSTERIOR[1,]]))
    found = exactly(made, x)
    reconstruction = -2.340747921
    near(found.mean(found.log_px), reconstruction)
    experts, codes = list(found.q.at(found.z[0]).values()), found.q.parts(found.z)
    for expert, z, truth in zip(experts, codes.values(), (0.245306915, 0.292029172), strict=True):
        every = torch.stack([other.log_prob(z) for other in experts]).logsumexp(0)
        near(found.mean(expert.log_prob(z) - every + math.log(2)), truth)
    near(mmvm(found), -2.878084008)
    near(mmvm(found, kl="pairwise"), reconstruction - 0.977849 - 0.591040)
    near(mmvm(found, kl="pairwise"), -3.909636809)
    with pytest.raises(ValueError, match="mixture or pairwise"):
        mmvm(found, kl="jensen")


def test_a_code_of_a_missing_part_is_that_of_the_others():
    made, x = model(with_heads(Separate, [POSTERIOR[0,], POSTERIOR[1,]]))
    q = made.posterior.of_parts(made.features(x), [0])
    torch.testing.assert_close(
        q.sample((20_000,)).mean(0), q.first.mean.expand(1, 2), atol=0.02, rtol=0
    )


KINDS = {
    "poe": Product,
    "moe": Mixture,
    "mopoe": MixtureOfProducts,
    "mvtcae": TotalCorrelation,
    "sum": Pooled,
    "attention": lambda *given, **options: Pooled(*given, encoder="attention", **options),
    "mmvm": Separate,
}


@pytest.mark.parametrize("name", KINDS)
def test_what_is_missing_is_not_seen(name):
    torch.manual_seed(0)
    sizes = (3, 2, 4)
    posterior, h = KINDS[name](4, 9, parts=sizes).double(), torch.randn(5, 9).double()
    z = torch.randn(7, 5, posterior.features).double()
    for count in (1, 2, 3):
        for parts in combinations(range(3), count):
            q = posterior.of_parts(h, parts)
            assert q.batch_shape == (5,) and q.event_shape == z.shape[-1:]
            other = torch.cat([e + (m not in parts) for m, e in enumerate(h.split(sizes, -1))], -1)
            assert torch.equal(posterior.of_parts(other, parts).log_prob(z), q.log_prob(z))
            seen = torch.cat([e + (m in parts) for m, e in enumerate(h.split(sizes, -1))], -1)
            assert not torch.allclose(posterior.of_parts(seen, parts).log_prob(z), q.log_prob(z))
            for again in (parts[::-1], (*parts, *parts)):
                assert torch.equal(posterior.of_parts(h, again).log_prob(z), q.log_prob(z))
    assert torch.equal(posterior.of_parts(h, range(3)).log_prob(z), posterior(h).log_prob(z))
    nothing = posterior.of_parts(h, ())
    torch.testing.assert_close(nothing.log_prob(z), posterior.prior().log_prob(z))


@pytest.mark.parametrize("name", CONTAIN)
def test_the_order_of_parts_changes_nothing(name):
    values = [elbo(exactly(*model(CONTAIN[name](parts), parts))) for parts in ((0, 1), (1, 0))]
    torch.testing.assert_close(*values)


@pytest.mark.parametrize("name", ["poe", "moe", "mopoe", "sum"])
def test_private_codes_are_of_one_part_alone(name):
    torch.manual_seed(0)
    posterior = KINDS[name](5, 4, private=2, parts=(2, 2)).double()
    assert posterior.features == 7
    assert posterior.reads == [[0, 1, 2, 3, 4], [0, 1, 2, 5, 6]]
    h = torch.randn(6, 4).double()
    z, one, both = torch.randn(9, 6, 7).double(), posterior.of_parts(h, [0]), posterior(h)
    private = Normal(torch.zeros(2).double(), 1.0).log_prob(z[..., 5:]).sum(-1)
    shown = one.log_prob(z) - private
    moved = torch.cat([z[..., :5], z[..., 5:] + 1], -1)
    again = Normal(torch.zeros(2).double(), 1.0).log_prob(moved[..., 5:]).sum(-1)
    torch.testing.assert_close(one.log_prob(moved) - again, shown)
    assert not torch.allclose(both.log_prob(moved) - again, both.log_prob(z) - private)
    with pytest.raises(ValueError, match="less than --latent"):
        KINDS[name](5, 4, private=5, parts=(2, 2))


def test_one_part_has_nothing_to_agree_with():
    made, x = model(with_heads(Separate, LIKELY, [0]), [0])
    found = exactly(made, x)
    near(mmvm(found), found.mean(found.log_px).item())
    near(mmvm(found, kl="pairwise"), mmvm(found).item())
    for kind, objective in ((Product, mvae), (Product, masked), (Mixture, elbo)):
        one = exactly(*model(with_heads(kind, LIKELY, [0]), [0]))
        assert torch.equal(objective(one), elbo(one))


def test_no_such_encoder_or_width():
    for options in ({"encoder": "mean"}, {"encoder": "attention", "width": 6}, {"width": 0}):
        with pytest.raises(ValueError):
            Pooled(2, 2, parts=(1, 1), **options)
