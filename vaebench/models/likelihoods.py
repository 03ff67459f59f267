r"""Observation models p(x|z): what a decoder's outputs say of the pixels.

A data set stores integers v in {0, …, L-1}. What a likelihood `takes` says in which form they are
observed: binarised, as the levels themselves, or as real numbers; densities are per unit of the
observed scale [0, 1]. Plugins add more of them.
"""

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.distributions import Categorical as Choice
from torch.distributions import Distribution

from vaebench.errors import UserError
from vaebench.models import pixels

Takes = Literal["binary", "levels", "real", "tokens"]
#: What a likelihood may take, in the words of tables.
TAKES: dict[Takes, str] = {
    "binary": "binarised",
    "levels": "exact levels",
    "real": "uniformly dequantised",
    "tokens": "tokens",
}
#: Learned scales stay within exp of these, and begin at START.
_LEAST, _MOST, _START = -7.0, 3.0, 0.2
#: Fixed scales that float32 can compute with.
_SMALLEST, _LARGEST = 1e-6, 1e6


class Likelihood(nn.Module):
    r"""Maps what the decoder says of the pixels to a distribution over observations x.

    A subclass says what it `takes` and defines `forward`; a constructor takes `levels`, and by
    keyword, with defaults, what may be chosen as ``name[option=value]``. Parameters of its own are
    trained with the decoder.

    Args:
        levels: L, the number of grey levels that the data set stores.

    Attributes:
        title: What it is, for `vaebench list`, with the paper where there is one.
        takes: ``binary``: x in {0, 1}, drawn with the grey values as probabilities; ``levels``:
            x = v / (L - 1), exactly; ``real``: x = (v + u) / L with u uniform on [0, 1); or
            ``tokens``: sequences of x in {0, …, L-1}, -1 behind their end.
        outputs: M, the numbers that the decoder says of each of the C values of a pixel.

    Example:
        >>> import torch
        >>> from torch.distributions import Independent, StudentT
        >>> class HeavyTails(Likelihood):
        ...     title, takes, outputs = "Student's t with learned scales", "real", 2
        ...
        ...     def __init__(self, levels, df=3.0):
        ...         super().__init__(levels)
        ...         self.df = df
        ...
        ...     def forward(self, output):
        ...         location, raw = self.split(output)
        ...         return Independent(StudentT(self.df, location, 0.1 * raw.exp()), 3)
        >>> HeavyTails(256, df=4.0).log_prob(torch.zeros(5, 6, 8, 8), torch.rand(5, 3, 8, 8)).shape
        torch.Size([5])
    """

    title: ClassVar[str] = ""
    takes: Takes = "levels"
    outputs: int = 1

    def __init__(self, levels: int) -> None:
        super().__init__()
        self.levels = levels

    def forward(self, output: Tensor) -> Distribution:
        """p(x|z), batch shape (...), event shape (C, H, W), for outputs (..., M·C, H, W)."""
        raise NotImplementedError(f"{type(self).__name__} does not say what p(x|z) is.")

    def split(self, output: Tensor) -> tuple[Tensor, ...]:
        """The M numbers of each value, (..., C, H, W) each, of outputs (..., M·C, H, W)."""
        return output.unflatten(-3, (self.outputs, -1)).unbind(-4)

    def log_prob(self, output: Tensor, x: Tensor) -> Tensor:
        """log p(x|z) (...) in nats, summed over pixels, of x (B, C, H, W)."""
        return self.forward(output).log_prob(x)

    def mean(self, output: Tensor) -> Tensor:
        """The expected picture (..., C, H, W), grey values in [0, 1]."""
        mean = self.forward(output).mean
        if self.takes == "real":
            return ((mean * self.levels - 0.5) / (self.levels - 1)).clamp(0, 1)
        return mean

    def sample(self, output: Tensor) -> Tensor:
        """Draws of x (..., C, H, W), one for each output."""
        return self.forward(output).sample()


class Bernoulli(Likelihood):
    """Binary pixels, drawn once and for all (fixed) or anew each time (dynamic).

    References:
        Salakhutdinov & Murray 2008, doi 10.1145/1390156.1390266; Burda et al. 2016, app. D.
    """

    title = "A probability for each pixel (Burda et al. 2016)"
    takes = "binary"

    def forward(self, output: Tensor) -> Distribution:
        """Outputs are logits."""
        return pixels.Bernoulli(output)


class _LocationScale(Likelihood):
    """A family whose first output is the location.

    Args:
        levels: L.
        scale: ``learned``, one for all pixels; ``pixel``, a second output of the decoder; or a
            number.
    """

    def __init__(self, levels: int, scale: str = "learned") -> None:
        super().__init__(levels)
        self._fixed = scale not in ("learned", "pixel")
        if scale == "pixel":
            self.outputs = 2
        else:
            start = _number(scale) if self._fixed else _START
            self.log_scale = nn.Parameter(
                torch.tensor(math.log(start)), requires_grad=not self._fixed
            )

    @property
    def scale(self) -> Tensor:
        """The one scale of all pixels, where there is one."""
        return self._shared().exp()

    def _shared(self) -> Tensor:
        return self.log_scale if self._fixed else self.log_scale.clamp(_LEAST, _MOST)

    def _location_scale(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """Locations (..., C, H, W), and logarithms of scales, as many or one."""
        if self.outputs == 1:
            return output, self._shared()
        location, raw = self.split(output)
        return location, (raw + math.log(_START)).clamp(_LEAST, _MOST)


def _number(scale: str) -> float:
    """A fixed scale; UserError unless float32 can compute with it."""
    try:
        found = float(scale)
    except ValueError:
        found = math.nan
    if not _SMALLEST <= found <= _LARGEST:
        raise UserError(
            f"The scale of a likelihood is learned, pixel, or a number from {_SMALLEST:g} to "
            f"{_LARGEST:g}, not {scale!r:.40}."
        )
    return found


class Gaussian(_LocationScale):
    """N(location, scale²) for each pixel.

    References:
        Rybkin et al. 2021, Simple and Effective VAE Training with Calibrated Decoders,
        arXiv 2006.13202, eq. 3 (one learned scale).
    """

    title = "Normal densities, one learned scale for all pixels (Rybkin et al. 2021)"
    takes = "real"

    def forward(self, output: Tensor) -> Distribution:
        """Outputs are locations, and logarithms of scales with ``scale=pixel``."""
        return pixels.Gaussian(*self._location_scale(output))


class Laplace(_LocationScale):
    """A Laplace density for each pixel: absolute error as a likelihood."""

    title = "Laplace densities, one learned scale for all pixels"
    takes = "real"

    def forward(self, output: Tensor) -> Distribution:
        """Outputs are locations, and logarithms of scales with ``scale=pixel``."""
        return pixels.Laplace(*self._location_scale(output))


class DiscretisedLogistic(_LocationScale):
    """The probability of a stored level under a logistic distribution, open at both ends.

    References:
        Kingma et al. 2016, arXiv 1606.04934, app. C.
    """

    title = "Logistic probabilities, one learned scale for all pixels (Kingma et al. 2016)"
    takes = "levels"

    def forward(self, output: Tensor) -> Distribution:
        """Outputs are locations, and logarithms of scales with ``scale=pixel``."""
        return pixels.DiscretisedLogistic(*self._location_scale(output), self.levels)


class LogisticMixture(Likelihood):
    """A mixture of discretised logistic distributions for each value, colours independent.

    Args:
        levels: L.
        components: How many, spread evenly over [0, 1] at the start.

    References:
        Salimans et al. 2017, arXiv 1701.05517, eq. 1 and 2.
    """

    title = "Mixtures of logistic probabilities, colours independent (Salimans et al. 2017)"
    takes = "levels"

    def __init__(self, levels: int, components: int = 5) -> None:
        super().__init__(levels)
        if not 1 <= components <= 100:
            raise UserError(f"logistic-mixture[components] is from 1 to 100, not {components}.")
        self.outputs = 3 * components
        self.components = components
        starts = (torch.arange(components) + 0.5) / components
        self.register_buffer("_starts", starts[:, None, None, None], persistent=False)

    def forward(self, output: Tensor) -> Distribution:
        """Outputs are logits of weights, locations, and logarithms of scales."""
        parts = output.unflatten(-3, (3, self.components, -1))
        logits, location, raw = parts.unbind(-5)
        log_scale = (raw + math.log(0.5 / self.components)).clamp(_LEAST, _MOST)
        return pixels.LogisticMixture(logits, location + self._starts, log_scale, self.levels)


class Categorical(Likelihood):
    """A free probability for each level of each value."""

    title = "A probability for each level: as many outputs as levels, a lot of memory"
    takes = "levels"

    def __init__(self, levels: int) -> None:
        super().__init__(levels)
        self.outputs = levels

    def forward(self, output: Tensor) -> Distribution:
        """Outputs are logits."""
        return pixels.Categorical(output.unflatten(-3, (self.levels, -1)))


class ContinuousBernoulli(Likelihood):
    """Densities on [0, 1] that are exponential in x.

    References:
        Loaiza-Ganem & Cunningham 2019, arXiv 1907.06845.
    """

    title = "Exponential densities on [0, 1] (Loaiza-Ganem & Cunningham 2019)"
    takes = "real"

    def forward(self, output: Tensor) -> Distribution:
        """Outputs are logits."""
        return pixels.ContinuousBernoulli(output)


class BetaBinomial(Likelihood):
    """Binomial counts of grey, their probability from a beta distribution."""

    title = "Beta-binomial probabilities of the levels, uniform where both outputs are 0"
    takes = "levels"
    outputs = 2

    def forward(self, output: Tensor) -> Distribution:
        """Outputs are log α and log β; above 15 they are cut, since a binomial is reached."""
        log_alpha, log_beta = self.split(output.clamp(max=15))
        return pixels.BetaBinomial(log_alpha, log_beta, self.levels)


class Tokens(Likelihood):
    """A probability for each of V symbols at each place of a sequence."""

    title = "A probability for each next token"
    takes = "tokens"

    def forward(self, output: Tensor) -> Distribution:
        """Outputs (..., T, V) are logits."""
        return Choice(logits=output, validate_args=False)

    def log_prob(self, output: Tensor, x: Tensor) -> Tensor:
        """log p(x|z) (...) in nats of tokens x (B, T), from logits (..., B, T or 1, V)."""
        inside = x >= 0
        batch = torch.broadcast_shapes(output.shape[:-2], x.shape[:-1])
        output = output.expand(*batch, *output.shape[-2:])
        token = x.clamp_min(0).expand(*batch, -1)
        if output.shape[-2] == 1:
            chosen = output[..., 0, :].gather(-1, token)
        else:
            chosen = output.gather(-1, token.unsqueeze(-1)).squeeze(-1)
        return ((chosen - output.logsumexp(-1)) * inside).sum(-1)

    def mean(self, output: Tensor) -> Tensor:
        """There is none; NotImplementedError."""
        raise NotImplementedError("Tokens have no mean.")


#: The likelihoods that come with vaebench; a plugin brings its own through `vaebench_likelihoods`.
LIKELIHOODS: dict[str, type[Likelihood]] = {
    "bernoulli": Bernoulli,
    "gaussian": Gaussian,
    "laplace": Laplace,
    "logistic": DiscretisedLogistic,
    "logistic-mixture": LogisticMixture,
    "categorical": Categorical,
    "continuous-bernoulli": ContinuousBernoulli,
    "beta-binomial": BetaBinomial,
    "tokens": Tokens,
}
