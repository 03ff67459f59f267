"""What the checks look at: a variant's posterior at small sizes, and draws from it."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaebench.models.draw import Draw, draw, fixed
from vaebench.models.posterior import Posterior
from vaebench.models.variant import Variant

#: F, the number of encoder features that the posteriors under test see.
CONTEXT = 8
#: D, the sizes that a posterior is asked for.
SIZES = (1, 2, 3, 4, 5, 8, 16, 32, 64, 128, 256, 512, 1024)
#: How large encoder features are: as at initialisation, in training, and extreme.
SCALES = (1.0, 10.0, 100.0)


class DoesNotApply(Exception):
    """The law says nothing about this variant; the text says why."""


def build(variant: Variant, size: int, dtype: torch.dtype = torch.float64) -> Posterior:
    """The variant's posterior in general position: parameters that start at zero are moved off."""
    posterior = variant.posterior(size, CONTEXT).to(dtype)
    with torch.no_grad():
        for parameter in posterior.parameters():
            fan_in = parameter.shape[-1] if parameter.dim() > 1 else 1
            parameter.add_(torch.randn_like(parameter), alpha=0.3 / math.sqrt(fan_in))
    return posterior


def accepted(variant: Variant, sizes: tuple[int, ...] = SIZES) -> list[int]:
    """The sizes that the posterior does not refuse with ValueError."""

    def accepts(size: int) -> bool:
        try:
            variant.posterior(size, CONTEXT)
        except ValueError:
            return False
        return True

    return [size for size in sizes if accepts(size)]


def small(variant: Variant, count: int = 5) -> list[int]:
    """The smallest sizes that the posterior accepts."""
    found = accepted(variant, SIZES[:6])
    return (found if len(found) >= 3 else accepted(variant))[:count]


def one_small(variant: Variant) -> int:
    """A size that is small and yet not the smallest, where much is degenerate."""
    return small(variant, 3)[-1]


def features(rows: int, scale: float = 1.0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Random encoder features (rows, F)."""
    return scale * torch.randn(rows, CONTEXT, dtype=dtype)


def graded() -> Tensor:
    """A row of features (3, F) of each scale, so that q runs from wide to concentrated."""
    return torch.cat([features(1, scale) for scale in SCALES])


def is_discrete(q: Distribution) -> bool:
    """Whether q counts; its relaxed draws then follow another law than its density."""
    try:
        return bool(getattr(q.support, "is_discrete", False))
    except NotImplementedError:
        return False


def exact(posterior: Posterior, h: Tensor) -> Distribution:
    """q(z|h) as evaluation sees it: true counts where training draws relaxed ones."""
    q = posterior(h)
    if is_discrete(q) and posterior.training:
        q = posterior.eval()(h)
        posterior.train()
    return q


def sample(q: Distribution, count: int) -> Tensor:
    """Draws (count, B, D) without gradient, by the method that training uses."""
    with torch.no_grad():
        shape = torch.Size((count,))
        return q.sample(shape) if is_discrete(q) else q.rsample(shape)


def has_density(posterior: Posterior, dtype: torch.dtype = torch.float64) -> bool:
    """Whether log q(z) can be asked for, features being of this dtype."""
    with torch.no_grad():
        q = posterior(features(2, dtype=dtype))
        try:
            q.log_prob(sample(q, 1))
        except NotImplementedError:
            return False
    return True


def need_density(posterior: Posterior) -> None:
    """Raise DoesNotApply where q has no density."""
    if not has_density(posterior):
        raise DoesNotApply("q has no density")


class LinearGaussian:
    """p(x|z) = N(x; W z, noise I), with an optional bonus for each draw.

    Args:
        x: Observations (B, P).
        weight: W (P, D).
        noise: The variance.
        bonus: Added to log p(x|z), broadcast to (K, B).
    """

    def __init__(
        self, x: Tensor, weight: Tensor, noise: float = 0.5, bonus: Tensor | float = 0.0
    ) -> None:
        self.x, self.weight, self.noise, self.bonus = x, weight, noise, bonus

    @classmethod
    def random(
        cls, rows: int, size: int, dtype: torch.dtype = torch.float64, noise: float = 0.5
    ) -> "LinearGaussian":
        """Six observations a row, of the model's scale; the posterior is nearly factorised."""
        weight = torch.randn(6, size, dtype=dtype)
        if size <= 6:
            weight = torch.linalg.qr(weight).Q * torch.linspace(0.7, 1.5, size, dtype=dtype)
        else:
            weight = weight / math.sqrt(size)
        x = torch.randn(rows, size, dtype=dtype) @ weight.T
        return cls(x + math.sqrt(noise) * torch.randn(rows, 6, dtype=dtype), weight, noise)

    def __call__(self, z: Tensor) -> Tensor:
        """log p(x|z) (K, B) in nats."""
        square = (self.x - z.to(self.weight.dtype) @ self.weight.T).square().sum(-1)
        constant = self.x.shape[-1] * math.log(2 * math.pi * self.noise)
        return -(square / self.noise + constant) / 2 + self.bonus

    def rows(self, index: Tensor) -> "LinearGaussian":
        """The same model of some of the observations."""
        return LinearGaussian(self.x[index], self.weight, self.noise, self.bonus)


def table(
    variant: Variant,
    posterior: Posterior,
    h: Tensor,
    log_likelihood: Callable[[Tensor], Tensor],
    samples: int | None = None,
) -> Draw:
    """K draws for features h (B, F), with everything that the harness would offer."""
    return draw(
        posterior(h),
        posterior.prior(),
        log_likelihood,
        samples or variant.samples,
        fixed=fixed(posterior, h, [], log_likelihood),
    )
