"""Broken variants, each with one mistake and the check that is meant to catch it.

Most are mistakes found in published code; the comments say what a reader would otherwise miss.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import (
    Beta,
    Categorical,
    Distribution,
    Independent,
    MixtureSameFamily,
    Normal,
    RelaxedOneHotCategorical,
    Uniform,
    constraints,
    kl_divergence,
    register_kl,
)
from torch.nn.functional import softplus

from vaebench import Draw, Gaussian, Posterior, Variant, elbo, iwae
from vaebench.posterior import positive


@dataclass(frozen=True)
class Broken:
    """A variant with a mistake, and the name of the check meant for it."""

    variant: Variant
    check: str


ZOO: list[Broken] = []


def caught_by(check: str) -> Callable[[Callable[[], Variant]], Callable[[], Variant]]:
    """Add the variant that a function makes to the zoo."""

    def add(make: Callable[[], Variant]) -> Callable[[], Variant]:
        ZOO.append(Broken(make(), check))
        return make

    return add


def family(
    make: Callable[[Tensor, Tensor], Distribution],
    prior: Callable[[Tensor], Distribution] | None = None,
) -> Callable[[int, int], Posterior]:
    """A posterior that makes q of a mean and a deviation, (B, D) both."""

    class Made(Gaussian):
        def forward(self, h: Tensor) -> Distribution:
            loc, raw = self.head(h).chunk(2, -1)
            return make(loc, positive(raw))

        def prior(self) -> Distribution:
            return super().prior() if prior is None else prior(self._zeros)  # type: ignore[arg-type]

    return Made


def normal(loc: Tensor, scale: Tensor) -> Distribution:
    return Independent(Normal(loc, scale, validate_args=False), 1)


class Free(Distribution):
    """A distribution of D dimensions to be filled in: parameters loc and scale, (B, D) both."""

    arg_constraints: ClassVar[dict[str, Any]] = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, loc: Tensor, scale: Tensor) -> None:
        self.loc, self.scale = loc, scale
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=False)

    def noise(self, shape: Any) -> Tensor:
        return torch.randn(
            self._extended_shape(shape), dtype=self.loc.dtype, device=self.loc.device
        )

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.loc + self.scale * self.noise(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        return normal(self.loc, self.scale).log_prob(value)


class _Times(torch.autograd.Function):
    """The identity, with a gradient multiplied by a factor."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return x.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return ctx.factor * grad, None


# --- shapes, sizes, names ---------------------------------------------------------------------


@caught_by("shapes")
def normal_without_independent() -> Variant:
    return Variant("normal-without-independent", family(lambda m, s: Normal(m, s)))


@caught_by("shapes")
def mixture_without_rsample() -> Variant:
    class Mixture(Posterior):
        def __init__(self, features: int, context: int) -> None:
            super().__init__(features, context)
            self.head = nn.Linear(context, 3 + 6 * features)

        def forward(self, h: Tensor) -> Distribution:
            logits, rest = self.head(h).split([3, 6 * self.features], -1)
            loc, raw = rest.unflatten(-1, (3, -1)).chunk(2, -1)
            return MixtureSameFamily(Categorical(logits=logits), normal(loc, positive(raw)))

    return Variant("mixture-without-rsample", Mixture)


@caught_by("sizes")
def two_sizes_only() -> Variant:
    def make(features: int, context: int) -> Posterior:
        if features not in (2, 3):
            raise ValueError("only two or three dimensions")
        return Gaussian(features, context)

    return Variant("two-sizes-only", make)


@caught_by("name")
def name_with_a_slash() -> Variant:
    return Variant("name/with a slash", Gaussian)


# --- support and density ------------------------------------------------------------------------


def box(zeros: Tensor) -> Distribution:
    return Independent(Uniform(zeros - 1, zeros + 1, validate_args=False), 1)


@caught_by("support")
def support_wider_than_the_prior() -> Variant:
    return Variant("support-wider-than-the-prior", family(normal, box))


@caught_by("own_support")
def draws_outside_the_stated_support() -> Variant:
    class Bounded(Free):
        support = constraints.independent(constraints.interval(-1.0, 1.0), 1)

    return Variant("draws-outside-the-stated-support", family(Bounded))


@caught_by("normalised")
def tanh_without_jacobian() -> Variant:
    class Squashed(Free):
        support = constraints.independent(constraints.interval(-1.0, 1.0), 1)

        def rsample(self, sample_shape: Any = ()) -> Tensor:
            return torch.tanh(super().rsample(sample_shape))

        def log_prob(self, value: Tensor) -> Tensor:
            return super().log_prob(torch.atanh(value.clamp(-1 + 1e-12, 1 - 1e-12)))

    return Variant("tanh-without-jacobian", family(Squashed, box))


@caught_by("normalised")
def constant_missing() -> Variant:
    class Unnormalised(Free):
        def log_prob(self, value: Tensor) -> Tensor:
            return super().log_prob(value) + 0.5 * math.log(2 * math.pi)  # of one dimension

    return Variant("constant-missing", family(Unnormalised))


@caught_by("normalised")
def constant_missing_above_two_dimensions() -> Variant:
    class Unnormalised(Free):
        def log_prob(self, value: Tensor) -> Tensor:
            return super().log_prob(value) + 0.2 * (value.shape[-1] > 2)

    return Variant("constant-missing-above-two-dimensions", family(Unnormalised))


@caught_by("normalised")
def prior_unnormalised() -> Variant:
    class Flat(Free):
        def log_prob(self, value: Tensor) -> Tensor:
            return -value.square().sum(-1) / 2

    return Variant("prior-unnormalised", family(normal, lambda z: Flat(z, torch.ones_like(z))))


@caught_by("normalised")
def flow_with_the_log_determinant_turned() -> Variant:
    class Flow(Free):
        def rsample(self, sample_shape: Any = ()) -> Tensor:
            return torch.sinh(super().rsample(sample_shape))

        def log_prob(self, value: Tensor) -> Tensor:
            base = super().log_prob(torch.asinh(value))
            return base + 0.5 * torch.log1p(value.square()).sum(-1)

    return Variant("flow-with-the-log-determinant-turned", family(Flow))


class Mixed(Posterior):
    """A mixture of three Gaussians, made by `kind` from logits, means and deviations."""

    def __init__(self, features: int, context: int, kind: Any) -> None:
        super().__init__(features, context)
        self.kind = kind
        self.head = nn.Linear(context, 3 + 6 * features)

    def forward(self, h: Tensor) -> Distribution:
        logits, rest = self.head(h).split([3, 6 * self.features], -1)
        loc, raw = rest.unflatten(-1, (3, -1)).chunk(2, -1)
        return self.kind(logits, loc, positive(raw))


def mixed(kind: Any) -> Callable[[int, int], Posterior]:
    return lambda features, context: Mixed(features, context, kind)


class Mixture(Distribution):
    """A correct density, and draws whose choice of component has no gradient."""

    arg_constraints: ClassVar[dict[str, Any]] = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, logits: Tensor, loc: Tensor, scale: Tensor) -> None:
        self.log_pi, self.loc, self.scale = logits.log_softmax(-1), loc, scale
        super().__init__(logits.shape[:-1], loc.shape[-1:], validate_args=False)

    def components(self, value: Tensor) -> Tensor:
        return self.log_pi + normal(self.loc, self.scale).log_prob(value[..., None, :])

    def log_prob(self, value: Tensor) -> Tensor:
        return self.components(value).logsumexp(-1)

    def all(self, sample_shape: Any) -> Tensor:
        shape = (*sample_shape, *self.loc.shape)
        return self.loc + self.scale * torch.randn(shape, dtype=self.loc.dtype)

    def choice(self, sample_shape: Any) -> Tensor:
        return Categorical(logits=self.log_pi).sample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        index = self.choice(torch.Size(sample_shape))[..., None, None]
        z = self.all(sample_shape)
        return z.gather(-2, index.expand(*index.shape[:-1], z.shape[-1])).squeeze(-2)


@caught_by("normalised")
def density_of_the_nearest_component() -> Variant:
    class Nearest(Mixture):
        def log_prob(self, value: Tensor) -> Tensor:
            return self.components(value).max(-1).values

    return Variant("density-of-the-nearest-component", mixed(Nearest))


@caught_by("ways_to_draw")
def density_of_the_drawn_component() -> Variant:
    class Own(Mixture):
        def rsample_and_log_prob(self, sample_shape: Any = ()) -> tuple[Tensor, Tensor]:
            index = self.choice(torch.Size(sample_shape))[..., None]
            z = self.all(sample_shape)
            z = z.gather(-2, index[..., None].expand(*index.shape, z.shape[-1])).squeeze(-2)
            return z, self.components(z).gather(-1, index).squeeze(-1)

    return Variant("density-of-the-drawn-component", mixed(Own))


# --- draws --------------------------------------------------------------------------------------


@caught_by("sampler")
def scale_floor_in_the_sampler_only() -> Variant:
    class Floored(Free):
        def rsample(self, sample_shape: Any = ()) -> Tensor:
            return self.loc + self.scale.clamp_min(0.02) * self.noise(sample_shape)

    return Variant("scale-floor-in-the-sampler-only", family(Floored))


@caught_by("sampler")
def tails_cut_at_high_concentration() -> Variant:
    class Cut(Free):
        def rsample(self, sample_shape: Any = ()) -> Tensor:
            noise = self.noise(sample_shape)
            noise = torch.where(self.scale < 0.1, noise.clamp(-1.5, 1.5), noise)
            return self.loc + self.scale * noise

    return Variant("tails-cut-at-high-concentration", family(Cut))


@caught_by("sampler")
def same_moments_another_law() -> Variant:
    class Boxed(Free):
        def noise(self, shape: Any) -> Tensor:
            unit = torch.rand(self._extended_shape(shape), dtype=self.loc.dtype)
            return (unit - 0.5) * math.sqrt(12)

    return Variant("same-moments-another-law", family(Boxed))


@caught_by("sampler")
def one_noise_for_all_dimensions() -> Variant:
    class Shared(Free):
        def noise(self, shape: Any) -> Tensor:
            return super().noise(shape)[..., :1].expand(self._extended_shape(shape))

    return Variant("one-noise-for-all-dimensions", family(Shared))


@caught_by("sampler")
def variance_for_deviation() -> Variant:
    class Squared(Free):
        def rsample(self, sample_shape: Any = ()) -> Tensor:
            return self.loc + self.scale.square() * self.noise(sample_shape)

    return Variant("variance-for-deviation", family(Squared))


@caught_by("sampler")
def gumbel_softmax_mixture() -> Variant:
    class Relaxed(Mixture):
        def rsample(self, sample_shape: Any = ()) -> Tensor:
            temperature = torch.tensor(0.5, dtype=self.loc.dtype)
            y = RelaxedOneHotCategorical(temperature, logits=self.log_pi).rsample(sample_shape)
            return (y[..., None] * self.all(sample_shape)).sum(-2)

    return Variant("gumbel-softmax-mixture", mixed(Relaxed))


@caught_by("ways_to_draw")
def stratified_weights_of_one_third() -> Variant:
    class Even(Mixture):
        def rstratified(self, samples: int) -> tuple[Tensor, Tensor]:
            z = self.all((samples,)).movedim(-2, 0).flatten(0, 1)
            return z, torch.full(z.shape[:-1], -math.log(len(z)), dtype=z.dtype)

    return Variant("stratified-weights-of-one-third", mixed(Even))


# --- the sphere ---------------------------------------------------------------------------------


class Sphere(constraints.Constraint):
    event_dim = 1

    def check(self, value: Tensor) -> Tensor:
        return (value.norm(dim=-1) - 1).abs() < 1e-6


def log_area(m: int) -> float:
    return math.log(2) + m / 2 * math.log(math.pi) - math.lgamma(m / 2)


class UniformSphere(Free):
    support = Sphere()

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        z = self.noise(sample_shape)
        return z / z.norm(dim=-1, keepdim=True)

    def log_prob(self, value: Tensor) -> Tensor:
        return torch.full(value.shape[:-1], -log_area(value.shape[-1]), dtype=value.dtype)


class RejectionSphere(Distribution):
    """von Mises-Fisher by Wood's rejection sampler, differentiated through accepted proposals.

    The density is right; the gradient lacks the correction for the rejections, outside m = 3.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    support = Sphere()
    has_rsample = True

    def __init__(self, loc: Tensor, kappa: Tensor) -> None:
        self.loc, self.kappa = loc, kappa
        super().__init__(kappa.shape, loc.shape[-1:], validate_args=False)

    def b(self) -> Tensor:
        m = self.event_shape[0]
        return (m - 1) / (2 * self.kappa + (4 * self.kappa.square() + (m - 1) ** 2).sqrt())

    def cosine(self, shape: Any) -> Tensor:
        m = self.event_shape[0]
        b, kappa = self.b().expand(shape), self.kappa.expand(shape)
        x = (1 - b) / (1 + b)
        c = kappa * x + (m - 1) * torch.log1p(-x.square())
        half = torch.full(shape, (m - 1) / 2, dtype=kappa.dtype)
        with torch.no_grad():
            chosen = torch.full(shape, 0.5, dtype=kappa.dtype)
            waiting = torch.ones(shape, dtype=torch.bool)
            while waiting.any():
                e = Beta(half, half, validate_args=False).sample()
                w = (1 - (1 + b) * e) / (1 - (1 - b) * e)
                log_u = torch.rand(shape, dtype=kappa.dtype).log()
                good = waiting & (kappa * w + (m - 1) * torch.log1p(-x * w) - c >= log_u)
                chosen = torch.where(good, e, chosen)
                waiting = waiting & ~good
        return (1 - (1 + b) * chosen) / (1 - (1 - b) * chosen)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        w = self.cosine(shape[:-1])[..., None]
        across = torch.randn(shape, dtype=self.loc.dtype)
        across = across - (across * self.loc).sum(-1, keepdim=True) * self.loc
        across = across / across.norm(dim=-1, keepdim=True)
        return w * self.loc + (1 - w.square()).clamp_min(1e-30).sqrt() * across

    def log_normaliser(self) -> Tensor:
        m, dtype = self.event_shape[0], self.kappa.dtype
        # In the angle, log of the integral of exp(κ (cos a - 1)) sin^(m-2) a, graded towards 0.
        edges = torch.linspace(0, 1, 601, dtype=dtype)
        middle = (edges[1:] + edges[:-1]) / 2
        angle, jacobian = math.pi * middle.pow(3), math.pi * 3 * middle.square() / 600
        power = (m - 2) * angle.sin().log() + jacobian.log()
        bent = self.kappa[..., None] * (angle.cos() - 1) + power
        return bent.logsumexp(-1) + self.kappa + log_area(m - 1)

    def log_prob(self, value: Tensor) -> Tensor:
        return self.kappa * (value * self.loc).sum(-1) - self.log_normaliser()


class OnSphere(Posterior):
    def __init__(self, features: int, context: int, kind: Any) -> None:
        if features < 2:
            raise ValueError("a sphere needs two coordinates")
        super().__init__(features, context)
        self.kind = kind
        self.head = nn.Linear(context, features + 1)

    def forward(self, h: Tensor) -> Distribution:
        out = self.head(h)
        loc = out[..., :-1] / out[..., :-1].norm(dim=-1, keepdim=True).clamp_min(1e-12)
        return self.kind(loc, softplus(out[..., -1]) + 1)

    def prior(self) -> Distribution:
        return UniformSphere(self._zeros, torch.ones_like(self._zeros))  # type: ignore[arg-type]


def spherical(kind: Any) -> Callable[[int, int], Posterior]:
    return lambda features, context: OnSphere(features, context, kind)


@caught_by("gradient")
def rejection_without_correction() -> Variant:
    return Variant("rejection-without-correction", spherical(RejectionSphere))


@caught_by("sampler")
def proposal_for_large_concentrations() -> Variant:
    class Approximate(RejectionSphere):
        def b(self) -> Tensor:
            m = self.event_shape[0]
            return torch.where(self.kappa > 10, (m - 1) / (4 * self.kappa), super().b())

    return Variant("proposal-for-large-concentrations", spherical(Approximate))


@caught_by("normalised")
def normaliser_of_three_coordinates() -> Variant:
    class Three(RejectionSphere):
        def log_normaliser(self) -> Tensor:
            k = self.kappa
            return math.log(2 * math.pi) + k - k.log() + torch.log1p(-(-2 * k).exp())

    return Variant("normaliser-of-three-coordinates", spherical(Three))


@caught_by("normalised")
def relative_to_the_uniform_law() -> Variant:
    class Relative(RejectionSphere):
        def log_prob(self, value: Tensor) -> Tensor:
            return super().log_prob(value) + log_area(value.shape[-1])

    return Variant("relative-to-the-uniform-law", spherical(Relative))


@caught_by("moments")
def mean_direction_for_mean() -> Variant:
    class Direction(RejectionSphere):
        @property
        def mean(self) -> Tensor:
            return self.loc

    return Variant("mean-direction-for-mean", spherical(Direction))


# --- gradients ----------------------------------------------------------------------------------


def biased(loc_factor: float, scale_factor: float) -> Callable[[int, int], Posterior]:
    class Biased(Free):
        def rsample(self, sample_shape: Any = ()) -> Tensor:
            loc = _Times.apply(self.loc, loc_factor)
            scale = _Times.apply(self.scale, scale_factor)
            return loc + scale * self.noise(sample_shape)

    return family(Biased)


@caught_by("gradient")
def gradient_of_the_mean_ten_per_cent_high() -> Variant:
    return Variant("gradient-of-the-mean-ten-per-cent-high", biased(1.1, 1.0))


@caught_by("gradient")
def gradient_of_the_scale_ten_per_cent_low() -> Variant:
    return Variant("gradient-of-the-scale-ten-per-cent-low", biased(1.0, 0.9))


@caught_by("gradient")
def gradient_of_the_choice_forgotten() -> Variant:
    return Variant("gradient-of-the-choice-forgotten", mixed(Mixture))


@caught_by("gradient")
def straight_through_mixture() -> Variant:
    class StraightThrough(Mixture):
        def rsample(self, sample_shape: Any = ()) -> Tensor:
            temperature = torch.tensor(0.5, dtype=self.loc.dtype)
            y = RelaxedOneHotCategorical(temperature, logits=self.log_pi).rsample(sample_shape)
            hard = torch.zeros_like(y).scatter(-1, y.argmax(-1, keepdim=True), 1.0)
            y = hard + y - y.detach()
            return (y[..., None] * self.all(sample_shape)).sum(-2)

    return Variant("straight-through-mixture", mixed(StraightThrough))


@caught_by("gradient")
def stratified_weights_detached() -> Variant:
    class Detached(Mixture):
        def rstratified(self, samples: int) -> tuple[Tensor, Tensor]:
            z = self.all((samples,)).movedim(-2, 0).flatten(0, 1)
            weights = self.log_pi.movedim(-1, 0).detach() - math.log(samples)
            return z, weights.repeat_interleave(samples, 0)

    return Variant("stratified-weights-detached", mixed(Detached))


@caught_by("parameter_gradient")
def gradient_of_global_weights_forgotten() -> Variant:
    class Global(Mixed):
        """The weights belong to the model; an objective without log q leaves them untrained."""

        def __init__(self, features: int, context: int) -> None:
            super().__init__(features, context, Mixture)
            self.logits = nn.Parameter(torch.zeros(3))
            with torch.no_grad():
                centres = self.head.bias[3:].view(3, 2, features)[:, 0]
                centres += torch.linspace(-1.5, 1.5, 3)[:, None]

        def forward(self, h: Tensor) -> Distribution:
            _, rest = self.head(h).split([3, 6 * self.features], -1)
            loc, raw = rest.unflatten(-1, (3, -1)).chunk(2, -1)
            return self.kind(self.logits.expand(len(h), -1), loc, positive(raw))

    return Variant("gradient-of-global-weights-forgotten", Global)


# --- closed forms -------------------------------------------------------------------------------


class Own(Normal):
    """A normal distribution with a KL of its own."""


def own(kind: type[Normal]) -> Callable[[int, int], Posterior]:
    return family(lambda m, s: Independent(kind(m, s, validate_args=False), 1))


def with_kl(formula: Callable[[Normal, Normal], Tensor]) -> Callable[[int, int], Posterior]:
    kind = type("Own", (Normal,), {})
    register_kl(kind, Normal)(formula)
    return own(kind)


def right_kl(q: Normal, p: Normal) -> Tensor:
    return kl_divergence(Normal(q.loc, q.scale), p)


@caught_by("kl")
def kl_with_deviation_for_variance() -> Variant:
    return Variant(
        "kl-with-deviation-for-variance",
        with_kl(lambda q, p: (q.scale + q.loc.square() - 1 - q.scale.log()) / 2),
    )


@caught_by("kl")
def kl_without_the_half() -> Variant:
    return Variant("kl-without-the-half", with_kl(lambda q, p: 2 * right_kl(q, p)))


@caught_by("kl")
def kl_two_per_cent_low() -> Variant:
    return Variant("kl-two-per-cent-low", with_kl(lambda q, p: 0.98 * right_kl(q, p)))


@caught_by("kl")
def kl_the_other_way_round() -> Variant:
    return Variant(
        "kl-the-other-way-round",
        with_kl(lambda q, p: kl_divergence(p, Normal(q.loc, q.scale))),
    )


@caught_by("kl")
def kl_with_the_sign_turned() -> Variant:
    return Variant("kl-with-the-sign-turned", with_kl(lambda q, p: -right_kl(q, p)))


# --- objectives ---------------------------------------------------------------------------------


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


# --- numbers ------------------------------------------------------------------------------------


@caught_by("finite")
def product_of_densities() -> Variant:
    class Product(Free):
        def log_prob(self, value: Tensor) -> Tensor:
            return Normal(self.loc, self.scale).log_prob(value).exp().prod(-1).log()

    return Variant("product-of-densities", family(Product), iwae)


@caught_by("finite")
def exponential_of_the_features() -> Variant:
    class Exponential(Gaussian):
        def forward(self, h: Tensor) -> Distribution:
            loc, raw = self.head(h).chunk(2, -1)
            return normal(loc, (3 * raw).exp())

    return Variant("exponential-of-the-features", Exponential)


@caught_by("finite")
def gradient_of_a_root_at_zero() -> Variant:
    """The value is finite at features of 0, its gradient is not."""

    class Root(Gaussian):
        def forward(self, h: Tensor) -> Distribution:
            return super().forward(h / (1 + h.norm(dim=-1, keepdim=True).sqrt()))

    return Variant("gradient-of-a-root-at-zero", Root)


@caught_by("dtypes")
def noise_in_float32() -> Variant:
    class Single(Free):
        def rsample(self, sample_shape: Any = ()) -> Tensor:
            z = self.loc.float() + self.scale.float() * self.noise(sample_shape).float()
            return z.to(self.loc.dtype)

    return Variant("noise-in-float32", family(Single))


@caught_by("dtypes")
def float32_only() -> Variant:
    class Single(Gaussian):
        def forward(self, h: Tensor) -> Distribution:
            q: Any = super().forward(h)
            return normal(q.mean.float(), q.stddev.float())

    return Variant("float32-only", Single)


@caught_by("precision")
def squares_that_cancel() -> Variant:
    class Cancelling(Free):
        def log_prob(self, value: Tensor) -> Tensor:
            far = 1e3
            a, b = (value - self.loc + far) / self.scale, far / self.scale
            square = a.square() - b.square() - 2 * b * (value - self.loc) / self.scale
            return (-square / 2 - self.scale.log() - 0.5 * math.log(2 * math.pi)).sum(-1)

    return Variant("squares-that-cancel", family(Cancelling))


@caught_by("devices")
def constant_on_the_cpu() -> Variant:
    class Constant(Gaussian):
        def __init__(self, features: int, context: int) -> None:
            super().__init__(features, context)
            self.shift = torch.full((2 * features,), 0.1)

        def forward(self, h: Tensor) -> Distribution:
            loc, raw = (self.head(h) + self.shift).chunk(2, -1)
            return normal(loc, positive(raw))

    return Variant("constant-on-the-cpu", Constant)


# --- conduct ------------------------------------------------------------------------------------


@caught_by("parameters")
def head_not_used() -> Variant:
    class Spare(Gaussian):
        def __init__(self, features: int, context: int) -> None:
            super().__init__(features, context)
            self.spare = nn.Linear(context, features)

    return Variant("head-not-used", Spare)


@caught_by("parameters")
def features_detached() -> Variant:
    class Detached(Gaussian):
        def forward(self, h: Tensor) -> Distribution:
            return super().forward(h.detach())

    return Variant("features-detached", Detached)


@caught_by("copies")
def features_kept() -> Variant:
    class Keeping(Gaussian):
        def forward(self, h: Tensor) -> Distribution:
            self.last = self.head(h)  # not a leaf: deepcopy refuses it
            return super().forward(h)

    return Variant("features-kept", Keeping)


@caught_by("checkpoints")
def permutation_outside_the_state() -> Variant:
    class Permuted(Gaussian):
        def __init__(self, features: int, context: int) -> None:
            super().__init__(features, context)
            self.order = torch.randperm(context)

        def forward(self, h: Tensor) -> Distribution:
            return super().forward(h[:, self.order])

    return Variant("permutation-outside-the-state", Permuted)


@caught_by("checkpoints")
def object_in_the_state() -> Variant:
    class Stateful(Gaussian):
        def get_extra_state(self) -> Any:
            return np.random.default_rng(0)

        def set_extra_state(self, state: Any) -> None:
            pass

    return Variant("object-in-the-state", Stateful)


@caught_by("seeds")
def random_numbers_of_its_own() -> Variant:
    rng = np.random.default_rng(0)

    class Foreign(Free):
        def noise(self, shape: Any) -> Tensor:
            noise = rng.standard_normal(self._extended_shape(shape))
            return torch.as_tensor(noise, dtype=self.loc.dtype)

    return Variant("random-numbers-of-its-own", family(Foreign))


@caught_by("seeds")
def the_same_noise_each_time() -> Variant:
    class Frozen(Free):
        def noise(self, shape: Any) -> Tensor:
            generator = torch.Generator().manual_seed(0)
            shape = self._extended_shape(shape)
            return torch.randn(shape, dtype=self.loc.dtype, generator=generator)

    return Variant("the-same-noise-each-time", family(Frozen))


@caught_by("seeds")
def seeded_when_made() -> Variant:
    class Seeding(Free):
        def noise(self, shape: Any) -> Tensor:
            torch.manual_seed(int(self.loc.shape[0]))
            return super().noise(shape)

    return Variant("seeded-when-made", family(Seeding))


@caught_by("torch_globals")
def default_dtype_changed() -> Variant:
    class Changing(Gaussian):
        def forward(self, h: Tensor) -> Distribution:
            torch.set_default_dtype(torch.float64)
            return super().forward(h)

    return Variant("default-dtype-changed", Changing)


@caught_by("torch_globals")
def validation_switched_off() -> Variant:
    def make(features: int, context: int) -> Posterior:
        Distribution.set_default_validate_args(False)
        return Gaussian(features, context)

    return Variant("validation-switched-off", make)
