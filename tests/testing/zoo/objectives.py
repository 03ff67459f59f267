"""Objectives that are not bounds, or not the one they seem."""

import math

import torch
from torch import Tensor, nn
from torch.distributions import (
    Distribution,
    kl_divergence,
)

from tests.testing.zoo.base import caught_by
from vaebench import Draw, Gaussian, Variant, elbo, iwae


def weights(draw: Draw) -> Tensor:
    return draw.log_w.softmax(0)


@caught_by("objective")
def mean_over_the_batch() -> Variant:
    return Variant("mean-over-the-batch", Gaussian, lambda d: elbo(d).mean())


@caught_by("objective")
def logsumexp_over_the_batch() -> Variant:
    return Variant(
        "logsumexp-over-the-batch",
        Gaussian,
        lambda d: d.log_w.logsumexp(-1) - math.log(len(d.log_w)),
        samples=5,
    )


@caught_by("objective")
def penalty_summed_over_the_batch() -> Variant:
    return Variant(
        "penalty-summed-over-the-batch",
        Gaussian,
        penalties={"size": lambda d: d.z.square().sum()},
    )


@caught_by("monotone")
def weights_of_the_errors() -> Variant:
    """PyTorch-VAE's IWAE: the softmax prefers the draws that explain the data worst."""
    return Variant(
        "weights-of-the-errors",
        Gaussian,
        lambda d: ((-d.log_w).softmax(0) * d.log_w).sum(0),
        samples=5,
    )


@caught_by("monotone")
def sign_turned() -> Variant:
    return Variant("sign-turned", Gaussian, lambda d: -iwae(d), samples=5)


@caught_by("evidence")
def weighted_mean_for_the_bound() -> Variant:
    return Variant(
        "weighted-mean-for-the-bound",
        Gaussian,
        lambda d: (weights(d).detach() * d.log_w).sum(0),
        samples=8,
    )


@caught_by("evidence")
def sum_for_the_mean_of_weights() -> Variant:
    return Variant(
        "sum-for-the-mean-of-weights", Gaussian, lambda d: d.log_w.logsumexp(0), samples=8
    )


@caught_by("evidence")
def groups_divided_by_their_number() -> Variant:
    """MIWAE whose logarithm is that of M where it should be that of K."""

    def grouped(draw: Draw) -> Tensor:
        log_w = draw.log_w.unflatten(0, (2, -1))
        return (log_w.logsumexp(1) - math.log(2)).mean(0)

    return Variant("groups-divided-by-their-number", Gaussian, grouped, samples=8)


@caught_by("evidence")
def kl_weight_of_almost_nothing() -> Variant:
    return Variant(
        "kl-weight-of-almost-nothing", Gaussian, lambda d: d.mean(d.log_px) - 0.00025 * d.kl
    )


@caught_by("evidence")
def kl_added() -> Variant:
    return Variant("kl-added", Gaussian, lambda d: d.mean(d.log_px) + d.kl)


@caught_by("linear_gaussian")
def no_kl() -> Variant:
    return Variant("no-kl", Gaussian, lambda d: d.mean(d.log_px) - 0 * d.log_pz.sum(0))


@caught_by("rises")
def worst_draw() -> Variant:
    return Variant("worst-draw", Gaussian, lambda d: d.log_w.min(0).values, samples=4)


@caught_by("rises")
def logarithm_of_k_subtracted_twice() -> Variant:
    return Variant(
        "logarithm-of-k-subtracted-twice",
        Gaussian,
        lambda d: iwae(d) - math.log(len(d.log_w)),
        samples=4,
    )


@caught_by("rises")
def first_draw_only() -> Variant:
    return Variant("first-draw-only", Gaussian, lambda d: d.log_w[0], samples=4)


@caught_by("rescaled")
def pixel_mean() -> Variant:
    return Variant("pixel-mean", Gaussian, lambda d: d.mean(d.log_px) / 6 - d.kl)


@caught_by("additive")
def batch_moments() -> Variant:
    """GAMIX without saying so."""

    def value(draw: Draw) -> Tensor:
        loc = draw.q.mean
        variance = loc.var(0, correction=0) + 1e-3
        return draw.mean(draw.log_px) - (variance - 1 - variance.log()).sum() / 2

    return Variant("batch-moments", Gaussian, value)


@caught_by("additive")
def batch_normalisation() -> Variant:
    class Normalised(Gaussian):
        def __init__(self, features: int, context: int) -> None:
            super().__init__(features, context)
            self.norm = nn.BatchNorm1d(context)

        def forward(self, h: Tensor) -> Distribution:
            return super().forward(self.norm(h) if len(h) > 1 else h)

    return Variant("batch-normalisation", Normalised)


@caught_by("batch_size")
def kl_times_the_batch_size() -> Variant:
    return Variant(
        "kl-times-the-batch-size", Gaussian, lambda d: d.mean(d.log_px) - d.kl * len(d.kl)
    )


@caught_by("prior_matters")
def prior_forgotten() -> Variant:
    return Variant("prior-forgotten", Gaussian, lambda d: d.mean(d.log_px))


@caught_by("prior_matters")
def kl_without_its_gradient() -> Variant:
    return Variant("kl-without-its-gradient", Gaussian, lambda d: d.mean(d.log_px) - d.kl.detach())


@caught_by("training_gradient")
def sticking_the_landing_with_many_draws() -> Variant:
    def value(draw: Draw) -> Tensor:
        assert draw.fixed is not None
        return iwae(draw._replace(log_qz=draw.fixed.log_qz(draw.z)))

    return Variant("sticking-the-landing-with-many-draws", Gaussian, value, samples=8)


@caught_by("training_gradient")
def weights_not_detached() -> Variant:
    def value(draw: Draw) -> Tensor:
        surrogate = (weights(draw) * draw.log_w).sum(0)
        return surrogate + (iwae(draw) - surrogate).detach()

    return Variant("weights-not-detached", Gaussian, value, samples=8)


@caught_by("training_gradient")
def squared_weights_without_the_rest() -> Variant:
    """DReG's squared weights, with the score left in."""

    def value(draw: Draw) -> Tensor:
        surrogate = (weights(draw).detach().square() * draw.log_w).sum(0)
        return surrogate + (iwae(draw) - surrogate).detach()

    return Variant("squared-weights-without-the-rest", Gaussian, value, samples=8)


@caught_by("kl_weight")
def kl_weight_ignored() -> Variant:
    return Variant(
        "kl-weight-ignored", Gaussian, lambda d: d.mean(d.log_px) - kl_divergence(d.q, d.p)
    )


@caught_by("kl_weight")
def kl_weight_ignored_by_the_k_sample_bound() -> Variant:
    return Variant(
        "kl-weight-ignored-by-the-k-sample-bound",
        Gaussian,
        lambda d: (d.log_px + d.log_pz - d.log_qz).logsumexp(0) - math.log(len(d.z)),
        samples=8,
    )


@caught_by("kl_weight")
def kl_weight_squared() -> Variant:
    return Variant("kl-weight-squared", Gaussian, lambda d: d.mean(d.log_px) - d.kl_weight * d.kl)


@caught_by("training_gradient")
def squared_weights_in_the_warm_up() -> Variant:
    """DReG whose factor is w² where it should be (1 - β) w + β w²."""

    def value(draw: Draw) -> Tensor:
        assert draw.fixed is not None
        draw = draw._replace(log_qz=draw.fixed.log_qz(draw.z))
        bound = iwae(draw)
        if not draw.z.requires_grad:
            return bound
        (slope,) = torch.autograd.grad(draw.log_w.sum(), draw.z, retain_graph=True)
        w = weights(draw).detach()
        change = (w.square() - w).unsqueeze(-1) * slope
        return bound + (change * (draw.z - draw.z.detach())).sum((0, -1))

    return Variant("squared-weights-in-the-warm-up", Gaussian, value, samples=8)


@caught_by("decoder_gradient")
def decoder_detached() -> Variant:
    """log p(x|z) from draw.fixed: the encoder learns, the decoder never does."""

    def value(draw: Draw) -> Tensor:
        assert draw.fixed is not None
        return elbo(draw._replace(log_px=draw.fixed.log_px(draw.z)))

    return Variant("decoder-detached", Gaussian, value)


@caught_by("decoder_gradient")
def decoder_counted_twice() -> Variant:
    def value(draw: Draw) -> Tensor:
        assert draw.fixed is not None
        again = draw.log_px - draw.fixed.log_px(draw.z)
        return elbo(draw) + draw.mean(again)

    return Variant("decoder-counted-twice", Gaussian, value)


@caught_by("objective")
def other_value_without_gradient() -> Variant:
    def value(draw: Draw) -> Tensor:
        return iwae(draw) + 0.1 * (not draw.z.requires_grad)

    return Variant("other-value-without-gradient", Gaussian, value, samples=4)
