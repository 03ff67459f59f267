r"""Distributions of a picture given z, each pixel independent of the others.

Batch shape (...), event shape (C, H, W). Values are on [0, 1]: two or L levels v / (L - 1), or
real numbers; log-densities are per unit of that scale, in nats, summed over the event.
"""

import math
from typing import ClassVar

import torch
from torch import Size, Tensor
from torch.distributions import Categorical as Choice
from torch.distributions import Distribution, Gamma
from torch.distributions import Laplace as LaplaceNoise
from torch.nn.functional import softplus

from vaebench.models.logistic import binary_log_prob, fast_softplus, over_pixels

#: Where a logistic distribution of any scale has ended.
_FAR = 1e9


class Pixels(Distribution):
    """Independent pixels.

    Args:
        shape: Of a parameter that each pixel has one of, (..., C, H, W).
    """

    arg_constraints: ClassVar = {}

    def __init__(self, shape: Size) -> None:
        super().__init__(shape[:-3], shape[-3:], validate_args=False)

    @torch.no_grad()
    def sample(self, sample_shape: Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Draws (sample_shape, ..., C, H, W)."""
        return self._draw(Size(sample_shape))

    def _draw(self, sample_shape: Size) -> Tensor:
        raise NotImplementedError

    def _many(self, parameter: Tensor, sample_shape: Size) -> Tensor:
        """A parameter, repeated for each sample."""
        return parameter.expand(sample_shape + parameter.shape)


class Bernoulli(Pixels):
    """Pixels that are 0 or 1, with logits (..., C, H, W)."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__(logits.shape)
        self.logits = logits

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(x) (...)."""
        return binary_log_prob(self.logits, value)

    @property
    def mean(self) -> Tensor:
        """The probability of a lit pixel."""
        return self.logits.sigmoid()

    def _draw(self, sample_shape: Size) -> Tensor:
        return torch.bernoulli(self._many(self.mean, sample_shape))


class _LocationScale(Pixels):
    """A family with locations (..., C, H, W), and one scale for all pixels or one for each.

    Args:
        location: Of each pixel.
        log_scale: Of shape () or (..., C, H, W).
    """

    def __init__(self, location: Tensor, log_scale: Tensor) -> None:
        super().__init__(location.shape)
        self.location = location
        self.log_scale = log_scale

    @property
    def scale(self) -> Tensor:
        return self.log_scale.exp()

    @property
    def mean(self) -> Tensor:
        """The locations."""
        return self.location

    def _total(self, value: Tensor) -> Tensor:
        """A value of shape () or (..., C, H, W), summed over the pixels."""
        return over_pixels(value) if value.dim() else math.prod(self.event_shape) * value


class Gaussian(_LocationScale):
    """N(location, scale²) for each pixel."""

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(x) (...)."""
        scaled = (value - self.location) / self.scale
        density = over_pixels(-0.5 * scaled.square() - 0.5 * math.log(2 * math.pi))
        return density - self._total(self.scale.log())

    def _draw(self, sample_shape: Size) -> Tensor:
        location = self._many(self.location, sample_shape)
        return location + self.scale * torch.randn_like(location)


class Laplace(_LocationScale):
    """exp(-|x - location| / scale) / (2 scale) for each pixel."""

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(x) (...)."""
        density = -over_pixels((value - self.location).abs() / self.scale)
        return density - self._total((2 * self.scale).log())

    def _draw(self, sample_shape: Size) -> Tensor:
        return LaplaceNoise(self.location, self.scale, validate_args=False).sample(sample_shape)


class DiscretisedLogistic(_LocationScale):
    """The probability of each of L levels under a logistic distribution, open at both ends.

    References:
        Kingma et al. 2016, arXiv 1606.04934, app. C.
    """

    def __init__(self, location: Tensor, log_scale: Tensor, levels: int) -> None:
        super().__init__(location, log_scale)
        self.levels = levels

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(x) (...) of x on the levels."""
        return over_pixels(self.each(value))

    def each(self, value: Tensor) -> Tensor:
        """log p(x) (..., C, H, W) of each pixel."""
        half, rate = 0.5 / (self.levels - 1), (-self.log_scale).exp()
        darkest, lightest = value <= half, value >= 1 - half
        upper = (value + half).masked_fill(lightest, _FAR)
        lower = (value - half).masked_fill(darkest, -_FAR)
        # log(sigmoid(b) - sigmoid(a)) without a difference of nearly equal numbers.
        width = (-(-2 * half * rate).expm1()).log() * ~(darkest | lightest)
        ends = (self.location - upper) * rate, (lower - self.location) * rate
        return width - fast_softplus(ends[0]) - fast_softplus(ends[1])

    @property
    def mean(self) -> Tensor:
        """The locations, clipped to the range of the levels: the mean where scales are small."""
        return self.location.clamp(0, 1)

    @property
    def clipped_mean(self) -> Tensor:
        """The mean of the logistic distribution clipped to [0, 1], ∫ (1 - F(t)) dt over [0, 1]."""
        scale = self.scale
        above = softplus((1 - self.location) / scale) - softplus(-self.location / scale)
        return (1 - scale * above).clamp(0, 1)

    def _draw(self, sample_shape: Size) -> Tensor:
        location = self._many(self.location, sample_shape)
        u = torch.rand_like(location).clamp(1e-6, 1 - 1e-6)
        x = location + self.scale * (u.log() - (-u).log1p())
        return (x.clamp(0, 1) * (self.levels - 1)).round() / (self.levels - 1)


class LogisticMixture(Pixels):
    """A mixture of discretised logistic distributions for each value of each pixel.

    Args:
        logits: Of the components' weights, (..., M, C, H, W).
        location: Of the components, (..., M, C, H, W).
        log_scale: Of the components, (..., M, C, H, W).
        levels: L.

    References:
        Salimans et al. 2017, arXiv 1701.05517, eq. 1 and 2; without the regression of a colour on
        those before it (eq. 3).
    """

    def __init__(self, logits: Tensor, location: Tensor, log_scale: Tensor, levels: int) -> None:
        super().__init__(logits.select(-4, 0).shape)
        self.logits = logits
        self.components = DiscretisedLogistic(location, log_scale, levels)

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(x) (...) of x on the levels."""
        joint = self.logits + self.components.each(value.unsqueeze(-4))
        return over_pixels(joint.logsumexp(-4) - self.logits.logsumexp(-4))

    @property
    def mean(self) -> Tensor:
        """Expected values, up to the width of a level."""
        return (self.logits.softmax(-4) * self.components.clipped_mean).sum(-4).clamp(0, 1)

    def _draw(self, sample_shape: Size) -> Tensor:
        each = self.components.sample(sample_shape)
        chosen = Choice(logits=self.logits.movedim(-4, -1), validate_args=False)
        return each.gather(-4, chosen.sample(sample_shape).unsqueeze(-4)).squeeze(-4)


class Categorical(Pixels):
    """A probability for each of L levels, from logits (..., L, C, H, W)."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__(logits.select(-4, 0).shape)
        self.logits = logits

    @property
    def _highest(self) -> int:
        return self.logits.shape[-4] - 1

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(x) (...) of x on the levels."""
        level = (value * self._highest).round().long().unsqueeze(-4)
        batch = torch.broadcast_shapes(self.batch_shape, value.shape[:-3])
        logits = self.logits.expand(batch + self.logits.shape[-4:])
        chosen = logits.gather(-4, level.expand(batch + level.shape[-4:])).squeeze(-4)
        return over_pixels(chosen - self.logits.logsumexp(-4))

    @property
    def mean(self) -> Tensor:
        """Expected values."""
        levels = torch.linspace(0, 1, self._highest + 1).to(self.logits)
        return (self.logits.softmax(-4) * levels[:, None, None, None]).sum(-4).clamp(0, 1)

    def _draw(self, sample_shape: Size) -> Tensor:
        chosen = Choice(logits=self.logits.movedim(-4, -1), validate_args=False)
        return chosen.sample(sample_shape).to(self.logits) / self._highest


class ContinuousBernoulli(Pixels):
    r"""Densities proportional to exp(η x) on [0, 1], with logits η (..., C, H, W).

    Their normaliser is the Bernoulli's times η / tanh(η / 2), a 0 / 0 at η = 0: near it, all is
    computed from power series in η / 2.

    References:
        Loaiza-Ganem & Cunningham 2019, arXiv 1907.06845, eq. 6 to 9.
    """

    def __init__(self, logits: Tensor) -> None:
        super().__init__(logits.shape)
        self.logits = logits

    def _branches(self) -> tuple[Tensor, Tensor, Tensor]:
        """Where |η / 2| < .3; η / 2 there and 0 elsewhere; |η| elsewhere and 1 there."""
        half, size = self.logits / 2, self.logits.abs()
        small = size < 0.6
        return (
            small,
            half.where(small, torch.zeros_like(half)),
            size.where(~small, size.new_ones(())),
        )

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(x) (...) of x in [0, 1]."""
        small, t, size = self._branches()
        # log(sinh(t) / t).
        square = t.square()
        series = square / 6 - square**2 / 180 + square**3 / 2835 - square**4 / 37800
        series = series + square**5 / 467775
        near = self.logits * (value - 0.5) - series
        far = self.logits * value - self.logits.relu() + size.log() - (-(-size).expm1()).log()
        return over_pixels(torch.where(small, near, far))

    @property
    def mean(self) -> Tensor:
        """Expected values, (1 + coth(η / 2) - 2 / η) / 2."""
        small, t, size = self._branches()
        near = t / 3 - t**3 / 45 + 2 * t**5 / 945 - t**7 / 4725 + 2 * t**9 / 93555
        far = self.logits.sign() * (1 / (size / 2).tanh() - 2 / size)
        return 0.5 + 0.5 * torch.where(small, near, far)

    def _draw(self, sample_shape: Size) -> Tensor:
        logits = self._many(self.logits, sample_shape)
        size = logits.abs().clamp_min(1e-6)
        x = -(torch.rand_like(logits) * (-size).expm1()).log1p() / size
        return torch.where(logits > 0, 1 - x, x).clamp(0, 1)


class BetaBinomial(Pixels):
    """L levels: counts of L - 1 trials whose probability is drawn from Beta(α, β).

    Computed in float64, since it is a small difference of large log-gammas.

    Args:
        log_alpha: (..., C, H, W).
        log_beta: (..., C, H, W).
        levels: L.

    References:
        Skellam 1948, J. R. Stat. Soc. B 10(2), p. 257.
    """

    def __init__(self, log_alpha: Tensor, log_beta: Tensor, levels: int) -> None:
        super().__init__(log_alpha.shape)
        self.log_alpha = log_alpha
        self.log_beta = log_beta
        self.trials = levels - 1

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(x) (...) of x on the levels."""
        alpha, beta = self.log_alpha.double(), self.log_beta.double()
        lit = (value.double() * self.trials).round()
        dark = self.trials - lit
        ways = math.lgamma(self.trials + 1) - (lit + 1).lgamma() - (dark + 1).lgamma()
        rising = _log_rising(alpha, lit) + _log_rising(beta, dark)
        all_trials = torch.full_like(lit, self.trials)
        each = ways + rising - _log_rising(torch.logaddexp(alpha, beta), all_trials)
        return over_pixels(each).to(self.log_alpha.dtype)

    @property
    def mean(self) -> Tensor:
        """Expected values, α / (α + β)."""
        return (self.log_alpha - self.log_beta).sigmoid()

    def _draw(self, sample_shape: Size) -> Tensor:
        alpha, beta = (
            _log_gamma_draw(self._many(one.double(), sample_shape))
            for one in (self.log_alpha, self.log_beta)
        )
        lit = torch.binomial(torch.full_like(alpha, self.trials), (alpha - beta).sigmoid())
        return (lit / self.trials).to(self.log_alpha.dtype)


def _log_gamma_draw(log_a: Tensor) -> Tensor:
    """Logarithms of draws from Gamma(a, 1), also where these are too small for their type."""
    a = log_a.exp().clamp_min(1e-12)
    return (
        Gamma(a + 1, torch.ones_like(a), validate_args=False).sample().log()
        + torch.rand_like(a).log() / a
    )


def _log_rising(log_a: Tensor, n: Tensor) -> Tensor:
    """log(a (a + 1) … (a + n - 1)), also where a is too small for its type."""
    a, some = log_a.exp(), n.clamp_min(1)
    return torch.where(n > 0, log_a + (a + some).lgamma() - (a + 1).lgamma(), 0.0)
