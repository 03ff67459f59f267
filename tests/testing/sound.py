"""Variants of other kinds that break no law: the kit has to let each of them pass."""

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import (
    Beta,
    Categorical,
    Distribution,
    Gamma,
    Gumbel,
    Independent,
    Laplace,
    LogNormal,
    LowRankMultivariateNormal,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    StudentT,
    TanhTransform,
    TransformedDistribution,
    Uniform,
    constraints,
)
from torch.distributions.transforms import Transform
from torch.nn.functional import softplus

from tests.testing.zoo.base import family
from vaebench import Draw, Gaussian, Posterior, Variant, iwae
from vaebench.models.posterior import positive


def independent(law: Distribution) -> Distribution:
    return Independent(law, 1, validate_args=False)


def box(half: float) -> Any:
    return lambda z: independent(Uniform(z - half, z + half, validate_args=False))


def student(loc: Tensor, scale: Tensor) -> Distribution:
    return independent(StudentT(torch.full_like(loc, 4.0), loc, scale, validate_args=False))


def laplace(loc: Tensor, scale: Tensor) -> Distribution:
    return independent(Laplace(loc, scale, validate_args=False))


def uniform(loc: Tensor, scale: Tensor) -> Distribution:
    """On a box that the prior contains: the density jumps, the support moves."""
    centre, half = torch.tanh(loc / 4), 0.9 * torch.sigmoid(scale) - 0.4
    return independent(Uniform(centre - half, centre + half, validate_args=False))


def squashed(loc: Tensor, scale: Tensor) -> Distribution:
    base = independent(Normal(loc.clamp(-3, 3), scale.clamp_max(1.0)))
    return TransformedDistribution(base, [TanhTransform(cache_size=1)], validate_args=False)


def gumbel(loc: Tensor, scale: Tensor) -> Distribution:
    return independent(Gumbel(loc, scale, validate_args=False))


def log_normal(loc: Tensor, scale: Tensor) -> Distribution:
    return independent(LogNormal(loc.clamp(-3, 3), scale.clamp_max(1.0), validate_args=False))


def beta(loc: Tensor, scale: Tensor) -> Distribution:
    one, two = 1 + softplus(loc).clamp_max(20.0), 1 + scale.clamp_max(20.0)
    return independent(Beta(one, two, validate_args=False))


class Truncated(Distribution):
    """A Gaussian cut at 2.5 deviations whose density knows of it."""

    arg_constraints: ClassVar[dict[str, Any]] = {}
    has_rsample = True
    mass = math.erf(2.5 / math.sqrt(2))

    def __init__(self, loc: Tensor, scale: Tensor) -> None:
        self.loc, self.scale = loc, scale
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=False)

    @property
    def support(self) -> Any:
        reach = 2.5 * self.scale
        return constraints.independent(constraints.interval(self.loc - reach, self.loc + reach), 1)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        u = torch.rand(shape, dtype=self.loc.dtype, device=self.loc.device)
        noise = math.sqrt(2) * torch.erfinv(self.mass * (2 * u - 1))
        return self.loc + self.scale * noise.clamp(-2.499999, 2.499999)

    def log_prob(self, value: Tensor) -> Tensor:
        log_q = Normal(self.loc, self.scale, validate_args=False).log_prob(value)
        return (log_q - math.log(self.mass)).sum(-1)


class FullCovariance(Posterior):
    """A Gaussian whose triangular factor is a linear function of the features."""

    def __init__(self, features: int, context: int) -> None:
        super().__init__(features, context)
        self.head = nn.Linear(context, features * (features + 1))

    def forward(self, h: Tensor) -> Distribution:
        loc, lower = self.head(h).split([self.features, self.features**2], -1)
        lower = lower.unflatten(-1, (self.features, self.features))
        tril = lower.tril(-1) + torch.diag_embed(positive(lower.diagonal(dim1=-2, dim2=-1)))
        return MultivariateNormal(loc, scale_tril=tril, validate_args=False)


class Bounded(FullCovariance):
    """A Gaussian with full covariance whose correlations are bounded."""

    def forward(self, h: Tensor) -> Distribution:
        loc, lower = self.head(h).split([self.features, self.features**2], -1)
        lower = lower.unflatten(-1, (self.features, self.features))
        scale = positive(lower.diagonal(dim1=-2, dim2=-1))
        tril = torch.diag_embed(scale) + lower.tanh().tril(-1) * scale[..., None] / self.features
        return MultivariateNormal(loc, scale_tril=tril, validate_args=False)


class LowRank(Posterior):
    """A Gaussian with a covariance of rank two beside its diagonal."""

    def __init__(self, features: int, context: int) -> None:
        super().__init__(features, context)
        self.head = nn.Linear(context, 4 * features)

    def forward(self, h: Tensor) -> Distribution:
        loc, raw, factor = self.head(h).split([self.features, self.features, 2 * self.features], -1)
        factor = factor.tanh().unflatten(-1, (self.features, 2))
        return LowRankMultivariateNormal(
            loc, factor, positive(raw).square() + 0.01, validate_args=False
        )


class MixturePrior(Gaussian):
    """Five learned Gaussians as the prior; torch gives their mixture no rsample."""

    def __init__(self, features: int, context: int) -> None:
        super().__init__(features, context)
        self.centres = nn.Parameter(torch.randn(5, features))
        self.logits = nn.Parameter(torch.zeros(5))

    def prior(self) -> Distribution:
        each = independent(Normal(self.centres, torch.ones_like(self.centres)))
        return MixtureSameFamily(Categorical(logits=self.logits), each, validate_args=False)


class Vamp(Gaussian):
    """The posteriors of learned features as the prior (Tomczak & Welling 2018)."""

    def __init__(self, features: int, context: int) -> None:
        super().__init__(features, context)
        self.pseudo = nn.Parameter(torch.randn(4, context))

    def prior(self) -> Distribution:
        logits = self.pseudo.new_zeros(len(self.pseudo))
        return MixtureSameFamily(Categorical(logits=logits), self(self.pseudo), validate_args=False)


class LearnedPrior(Gaussian):
    """A Gaussian prior with learned place and width."""

    def __init__(self, features: int, context: int) -> None:
        super().__init__(features, context)
        self.loc, self.raw = (nn.Parameter(torch.zeros(features)) for _ in range(2))

    def prior(self) -> Distribution:
        return independent(Normal(self.loc, positive(self.raw), validate_args=False))


class Circles(Distribution):
    """Wrapped Gaussians on D/2 circles, each of them in a plane of its own, or uniform ones."""

    arg_constraints: ClassVar[dict[str, Any]] = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, angle: Tensor, scale: Tensor | None) -> None:
        self.angle, self.scale = angle, scale
        shape = torch.Size([*angle.shape[:-1], 2 * angle.shape[-1]])
        super().__init__(shape[:-1], shape[-1:], validate_args=False)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = torch.Size(sample_shape) + self.angle.shape
        noise = torch.randn(shape, dtype=self.angle.dtype, device=self.angle.device)
        if self.scale is None:
            angle = 2 * math.pi * torch.rand_like(noise)
        else:
            angle = self.angle + self.scale * noise
        return torch.stack([angle.cos(), angle.sin()], -1).flatten(-2)

    def log_prob(self, value: Tensor) -> Tensor:
        x, y = value.unflatten(-1, (-1, 2)).unbind(-1)
        if self.scale is None:
            return 0 * (x + y).sum(-1) - self.angle.shape[-1] * math.log(2 * math.pi)
        away = torch.atan2(y, x) - self.angle
        away = away - 2 * math.pi * (away / (2 * math.pi)).round()
        turns = torch.arange(-3, 4, dtype=x.dtype, device=x.device) * 2 * math.pi
        every = Normal(0.0, self.scale[..., None]).log_prob(away[..., None] + turns)
        return every.logsumexp(-1).sum(-1)


class ProductOfCircles(Posterior):
    """A code of D/2 angles, each given by a point of the plane."""

    def __init__(self, features: int, context: int) -> None:
        if features % 2:
            raise ValueError(f"A product of circles needs an even size, not {features}.")
        super().__init__(features, context)
        self.head = nn.Linear(context, features)

    def forward(self, h: Tensor) -> Distribution:
        angle, raw = self.head(h).chunk(2, -1)
        return Circles(angle, 0.05 + torch.sigmoid(raw))

    def prior(self) -> Distribution:
        zeros: Any = self._zeros
        return Circles(zeros[::2], None)


class Couple(Transform):
    """Scales and shifts the second half by functions of the first and of h (Dinh et al. 2017)."""

    bijective = True
    domain = codomain = constraints.real_vector

    def __init__(self, net: nn.Module, h: Tensor, turned: bool) -> None:
        super().__init__()
        self.net, self.h, self.turned = net, h, turned

    def _parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        half = x.shape[-1] // 2
        one, two = x[..., :half], x[..., half:]
        return (two, one) if self.turned else (one, two)

    def _maps(self, given: Tensor) -> tuple[Tensor, Tensor]:
        h = self.h.expand(*given.shape[:-1], -1)
        log_scale, shift = self.net(torch.cat([given, h], -1)).chunk(2, -1)
        return torch.tanh(log_scale), shift

    def _join(self, one: Tensor, two: Tensor) -> Tensor:
        return torch.cat([two, one] if self.turned else [one, two], -1)

    def _call(self, x: Tensor) -> Tensor:
        one, two = self._parts(x)
        log_scale, shift = self._maps(one)
        return self._join(one, two * log_scale.exp() + shift)

    def _inverse(self, y: Tensor) -> Tensor:
        one, two = self._parts(y)
        log_scale, shift = self._maps(one)
        return self._join(one, (two - shift) * (-log_scale).exp())

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return self._maps(self._parts(x)[0])[0].sum(-1)


class Coupling(Gaussian):
    """Two coupling layers on a Gaussian."""

    def __init__(self, features: int, context: int) -> None:
        if features < 2:
            raise ValueError("A coupling needs two dimensions or more.")
        super().__init__(features, context)
        half = features // 2
        sides = (half, features - half), (features - half, half)
        self.nets = nn.ModuleList(
            nn.Sequential(nn.Linear(a + context, 16), nn.Tanh(), nn.Linear(16, 2 * b))
            for a, b in sides
        )

    def forward(self, h: Tensor) -> Distribution:
        layers = [Couple(net, h.tanh(), bool(i)) for i, net in enumerate(self.nets)]
        return TransformedDistribution(super().forward(h), layers, validate_args=False)


class Dropping(Gaussian):
    """Drops features in training, and none in evaluation."""

    def __init__(self, features: int, context: int) -> None:
        super().__init__(features, context)
        self.drop = nn.Dropout(0.1)

    def forward(self, h: Tensor) -> Distribution:
        return super().forward(self.drop(h))


class Implicit(Distribution):
    """Noise sent through a network: draws without a density."""

    arg_constraints: ClassVar[dict[str, Any]] = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, net: nn.Module, h: Tensor, size: int) -> None:
        self.net, self.h = net, h
        super().__init__(h.shape[:-1], torch.Size([size]), validate_args=False)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = torch.Size(sample_shape) + self.batch_shape
        noise = torch.randn(*shape, 4, dtype=self.h.dtype, device=self.h.device)
        return self.net(torch.cat([noise, self.h.expand(*shape, -1)], -1))

    def log_prob(self, value: Tensor) -> Tensor:
        raise NotImplementedError("The density of the network's output is not known.")


class ImplicitPosterior(Posterior):
    def __init__(self, features: int, context: int) -> None:
        super().__init__(features, context)
        self.net = nn.Sequential(nn.Linear(context + 4, 16), nn.Tanh(), nn.Linear(16, features))

    def forward(self, h: Tensor) -> Distribution:
        return Implicit(self.net, h, self.features)


def moment_matching(draw: Draw) -> Tensor:
    """E[log p(x|z)] less a pull of the draws to the prior's moments; no bound."""
    return draw.mean(draw.log_px) - draw.kl_weight * draw.mean(draw.z.square().sum(-1)) / 2


def gamma_prior(zeros: Tensor) -> Distribution:
    return independent(Gamma(zeros + 2, torch.ones_like(zeros), validate_args=False))


SOUND = [
    Variant("student", family(student)),
    Variant("student-iwae", family(student), iwae, samples=4),
    Variant("laplace", family(laplace, lambda z: laplace(z, torch.ones_like(z)))),
    Variant("uniform", family(uniform, box(2.0))),
    Variant("squashed", family(squashed, box(1.0))),
    Variant("gumbel", family(gumbel)),
    Variant("log-normal", family(log_normal, gamma_prior)),
    Variant("beta", family(beta, lambda z: independent(Beta(z + 1, z + 1, validate_args=False)))),
    Variant("truncated", family(Truncated)),
    Variant("full-covariance", FullCovariance),
    Variant("bounded-covariance", Bounded, iwae, samples=3),
    Variant("low-rank", LowRank),
    Variant("mixture-prior", MixturePrior),
    Variant("mixture-prior-iwae", MixturePrior, iwae, samples=4),
    Variant("vamp", Vamp),
    Variant("learned-prior", LearnedPrior),
    Variant("circles", ProductOfCircles),
    Variant("coupling", Coupling),
    Variant("dropping", Dropping),
    Variant(
        "implicit",
        ImplicitPosterior,
        moment_matching,
        deviations={"density": "an implicit posterior", "bound": "moments stand for the KL"},
    ),
]
