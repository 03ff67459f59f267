r"""Observation models p(x|z): how pixels are observed, and their log-likelihood in nats.

A data set stores integers v in {0, …, L-1}. A likelihood turns them into what the encoder sees
(`observe`), scores that (`log_prob`, summed over pixels), and maps the decoder's output to the
expected picture in [0, 1] (`image`). Densities are per unit of the observed scale [0, 1].
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from vaebench.config.names import parse
from vaebench.errors import UserError, unknown


class Likelihood(nn.Module):
    """p(x|z) for decoder outputs (..., C, H, W) and observations x (B, C, H, W).

    Args:
        levels: L, the number of grey levels that the data set stores.
    """

    #: What the noise of `observe` is, in words, for the tables.
    noise = ""

    def __init__(self, levels: int) -> None:
        super().__init__()
        self.levels = levels

    def observe(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """What is observed of stored pixels (N, C, H, W), float32."""
        raise NotImplementedError

    def log_prob(self, output: Tensor, x: Tensor) -> Tensor:
        """log p(x|z) (...) in nats, summed over channels and pixels."""
        raise NotImplementedError

    def image(self, output: Tensor) -> Tensor:
        """The expected picture in [0, 1] for decoder outputs (..., C, H, W)."""
        raise NotImplementedError

    def sample(self, output: Tensor) -> Tensor:
        """Draw x ~ p(x|z) for decoder outputs (..., C, H, W)."""
        raise NotImplementedError


def grey(pixels: Tensor, levels: int) -> Tensor:
    """Stored pixels as float32 in [0, 1]."""
    return pixels.float() / (levels - 1)


def _uniform(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """A uniform number for each pixel, drawn where the generator is: the same on every device."""
    return torch.rand(pixels.shape, generator=generator).to(pixels.device, non_blocking=True)


def _sum(values: Tensor) -> Tensor:
    return values.sum((-3, -2, -1))


class Bernoulli(Likelihood):
    """Binary pixels, drawn once and for all (fixed) or anew each time (dynamic).

    References:
        Salakhutdinov & Murray 2008, doi 10.1145/1390156.1390266; Burda et al. 2016, app. D.
    """

    noise = "binarised"

    def observe(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """One Bernoulli draw for each pixel, its grey value being the probability."""
        return _uniform(pixels, generator).lt_(grey(pixels, self.levels))

    def log_prob(self, output: Tensor, x: Tensor) -> Tensor:
        """Logits (..., C, H, W) and binary x (B, C, H, W) to log p(x|z) (...)."""
        return _sum(x * output - softplus(output))

    def image(self, output: Tensor) -> Tensor:
        """The probability of a lit pixel."""
        return output.sigmoid()

    def sample(self, output: Tensor) -> Tensor:
        """Binary pixels."""
        return torch.bernoulli(output.sigmoid())


class _Scaled(Likelihood):
    """A location-scale family with one scale for all pixels, learned unless it is given."""

    def __init__(self, levels: int, scale: float | None = None) -> None:
        super().__init__(levels)
        if scale is not None and not scale > 0:
            raise UserError(f"The scale of a likelihood must be positive, not {scale}.")
        self.log_scale = nn.Parameter(
            torch.tensor(math.log(scale or 0.2)), requires_grad=scale is None
        )

    @property
    def scale(self) -> Tensor:
        return self.log_scale.clamp(-7, 3).exp()


class _Dequantised(_Scaled):
    """Continuous pixels: uniform noise fills each grey level, so that densities are bounded."""

    noise = "uniformly dequantised"

    def observe(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """(v + u) / L with u uniform on [0, 1)."""
        return (pixels.float() + _uniform(pixels, generator)) / self.levels

    def image(self, output: Tensor) -> Tensor:
        """The location, moved from the dequantised scale to grey values."""
        return ((output * self.levels - 0.5) / (self.levels - 1)).clamp(0, 1)


class Gaussian(_Dequantised):
    """N(x; output, scale²) for each pixel.

    References:
        Rybkin et al. 2021, Simple and Effective VAE Training with Calibrated Decoders,
        arXiv 2006.13202, eq. 3 (one learned scale).
    """

    def log_prob(self, output: Tensor, x: Tensor) -> Tensor:
        """Locations (..., C, H, W) and x (B, C, H, W) to log p(x|z) (...)."""
        scaled = (x - output) / self.scale
        return _sum(-0.5 * scaled.square() - 0.5 * math.log(2 * math.pi)) - (
            math.prod(output.shape[-3:]) * self.scale.log()
        )

    def sample(self, output: Tensor) -> Tensor:
        """Continuous pixels."""
        return output + self.scale * torch.randn_like(output)


class Laplace(_Dequantised):
    """Laplace(x; output, scale) for each pixel: absolute error as a likelihood."""

    def log_prob(self, output: Tensor, x: Tensor) -> Tensor:
        """Locations (..., C, H, W) and x (B, C, H, W) to log p(x|z) (...)."""
        count = math.prod(output.shape[-3:])
        return -_sum((x - output).abs() / self.scale) - count * (2 * self.scale).log()

    def sample(self, output: Tensor) -> Tensor:
        """Continuous pixels."""
        return torch.distributions.Laplace(output, self.scale).sample()


class DiscretisedLogistic(_Scaled):
    """The probability of a stored level under a logistic distribution, open at both ends.

    References:
        Kingma et al. 2016, arXiv 1606.04934, app. C.
    """

    noise = "exact levels"

    def observe(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """The levels themselves, on [0, 1]."""
        return grey(pixels, self.levels)

    def log_prob(self, output: Tensor, x: Tensor) -> Tensor:
        """Locations (..., C, H, W) and x (B, C, H, W) on the levels to log p(x|z) (...)."""
        half = 0.5 / (self.levels - 1)
        upper = (x - output + half) / self.scale
        lower = (x - output - half) / self.scale
        # log(sigmoid(upper) - sigmoid(lower)) without a difference of nearly equal numbers.
        inside = (-(lower - upper).expm1()).log() - softplus(-upper) - softplus(lower)
        darkest = torch.where(x <= half, -softplus(-upper), inside)
        return _sum(torch.where(x >= 1 - half, -softplus(lower), darkest))

    def image(self, output: Tensor) -> Tensor:
        """The location, clipped to the range of the levels."""
        return output.clamp(0, 1)

    def sample(self, output: Tensor) -> Tensor:
        """Pixels on the levels."""
        u = torch.rand_like(output).clamp(1e-6, 1 - 1e-6)
        x = output + self.scale * (u.log() - (-u).log1p())
        return (x.clamp(0, 1) * (self.levels - 1)).round() / (self.levels - 1)


LIKELIHOODS: dict[str, type[Likelihood]] = {
    "bernoulli": Bernoulli,
    "gaussian": Gaussian,
    "laplace": Laplace,
    "logistic": DiscretisedLogistic,
}


def likelihood(spelled: str, levels: int) -> Likelihood:
    """The observation model spelled ``bernoulli``, ``gaussian``, ``gaussian[scale=0.1]``, …"""
    name, options = parse(spelled)
    if name not in LIKELIHOODS:
        raise unknown("likelihood", name, LIKELIHOODS)
    kind = LIKELIHOODS[name]
    if not options:
        return kind(levels)
    if set(options) != {"scale"} or not issubclass(kind, _Scaled):
        raise UserError(
            f"Cannot read the likelihood {spelled!r}; write for example gaussian[scale=0.1]."
        )
    try:
        return kind(levels, float(options["scale"]))
    except ValueError:
        raise UserError(f"The scale in {spelled!r} is not a number.") from None
