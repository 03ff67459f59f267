"""What the checks look at: a variant's posterior at small sizes, and draws from it."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, kl_divergence

from vaebench.models.distributions import inside
from vaebench.models.draw import Draw, Fixed, draw, fixed, halved, held
from vaebench.models.posterior import Posterior, knows_parts
from vaebench.models.rival import Rival
from vaebench.models.variant import Variant

#: F, the number of encoder features that the posteriors under test see.
CONTEXT = 8
#: D, the sizes that a posterior is asked for.
SIZES = (1, 2, 3, 4, 5, 8, 16, 32, 64, 128, 256, 512, 1024)
#: How large encoder features are: as at initialisation, in training, and extreme.
SCALES = (1.0, 10.0, 100.0)


class DoesNotApply(Exception):
    """The law says nothing about this variant; the text says why."""


def build(
    variant: Variant,
    size: int,
    dtype: torch.dtype = torch.float64,
    facts: Mapping[str, int] = MappingProxyType({}),
) -> Posterior:
    """The variant's posterior in general position: parameters that start at zero are moved off.

    It is in training mode, but for one that drops features there, which has no law to be held to.
    """
    posterior = variant.posterior(size, CONTEXT, **facts).to(dtype)
    with torch.no_grad():
        for parameter in posterior.parameters():
            fan_in = parameter.shape[-1] if parameter.dim() > 1 else 1
            parameter.add_(torch.randn_like(parameter), alpha=0.3 / math.sqrt(fan_in))
    return posterior.eval() if _random(posterior, dtype) else posterior


def _random(posterior: Posterior, dtype: torch.dtype) -> bool:
    """Whether q itself, and not only its draws, differs between two calls, as dropout makes it."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        h, draws = features(64, dtype=dtype), []
        for _ in range(2):
            q = posterior(h)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(1)
                draws.append(sample(q, 1))
        return not torch.equal(*draws)


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


@dataclass(frozen=True)
class View:
    """A posterior as training or as evaluation sees it.

    Attributes:
        size: D.
        name: The size and, where it is not training, the mode.
        posterior: In that mode.
    """

    size: int
    name: str
    posterior: Posterior

    def q(self, h: Tensor) -> Distribution:
        """q(z|h), which counts truly where training draws relaxed counts."""
        return exact(self.posterior, h)

    def sample(self, q: Distribution, count: int) -> Tensor:
        """Draws (count, B, D) of q by the method that this mode uses."""
        if self.posterior.training:
            return sample(q, count)
        with torch.no_grad():
            return q.sample(torch.Size((count,)))


def views(
    variant: Variant, sizes: Iterable[int], dtype: torch.dtype = torch.float64
) -> Iterator[View]:
    """The posterior at each size in training, and in evaluation where that is another one.

    Two modes are the same where draws, densities and moments agree under one seed, at features of
    every scale. Relaxed counts are of no law: of a variant that has them, evaluation alone is seen.
    """
    for size in sizes:
        posterior = build(variant, size, dtype)
        training = View(size, f"D={size}", posterior)
        evaluation = View(size, f"D={size} in evaluation", posterior)
        with torch.no_grad():
            relaxed = is_discrete(training.q(features(1, dtype=dtype)))
        apart = relaxed or not posterior.training
        if not apart:
            yield training
        if apart or not _alike(training, evaluation, dtype):
            posterior.eval()
            yield evaluation


def _alike(one: View, other: View, dtype: torch.dtype) -> bool:
    h = graded().to(dtype)
    count = 1000 if one.size <= 8 else 200
    first, second = (
        portrait(view.posterior.train(mode), h, count, view.sample)
        for view, mode in ((one, True), (other, False))
    )
    close = 1e-9 if dtype == torch.float64 else 1e-4
    return first.keys() == second.keys() and all(
        torch.allclose(value, second[what], rtol=close, atol=close, equal_nan=True)
        for what, value in first.items()
    )


def portrait(
    posterior: Posterior,
    h: Tensor,
    count: int,
    draw: Callable[[Distribution, int], Tensor] | None = None,
) -> dict[str, Tensor]:
    """Draws of q and p under one seed, their densities there, and what q states about itself."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        q, p = posterior(h), posterior.prior()
        z = (draw or sample)(q, count)
        found = {"rsample": z, "prior sample": p.sample(torch.Size((count,)))}
        found["log p(z)"] = _log_prob(p, z)
        found["log p of prior draws"] = _log_prob(p, found["prior sample"])
        stated: dict[str, Callable[[], Tensor]] = {
            "log q(z)": lambda: _log_prob(q, z),
            "log q of other rows' draws": lambda: _log_prob(q, z.roll(1, 1)),
            "log q of prior draws": lambda: _log_prob(q, found["prior sample"][:, None]),
            "mean": lambda: q.mean,
            "variance": lambda: q.variance,
            "entropy": lambda: q.entropy(),
            "kl": lambda: kl_divergence(q, p),
        }
        for what, value in stated.items():
            try:
                found[what] = value()
            except NotImplementedError:
                pass
    return found


def _log_prob(law: Distribution, z: Tensor) -> Tensor:
    """log p at z (N, B, D) inside the support, -∞ elsewhere."""
    z = z.expand(len(z), *law.batch_shape, *z.shape[-1:]) if law.batch_shape else z
    known = inside(law, z)
    if bool(known.all()):
        return law.log_prob(z)
    stand_in = law.sample()
    value = law.log_prob(torch.where(known[..., None], z, stand_in))
    return value.masked_fill(~known, -math.inf)


def rounded(z: Tensor) -> Tensor:
    """z (..., D) with every coordinate one unit in the last place up or down, at random.

    Whole numbers, such as counts and classes, are exact and stay.
    """
    away = torch.where(torch.rand(z.shape) < 0.5, -math.inf, math.inf).to(z.dtype)
    return torch.where(z == z.round(), z, torch.nextafter(z, away))


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


class LinearGaussian(nn.Module):
    """p(x|z) = N(x; W z, noise I) with W as parameter, and an optional bonus for each draw.

    Args:
        x: Observations (B, P).
        weight: W (P, D).
        noise: The variance.
        bonus: Added to log p(x|z), broadcast to (K, B).
    """

    def __init__(
        self, x: Tensor, weight: Tensor, noise: float = 0.5, bonus: Tensor | float = 0.0
    ) -> None:
        super().__init__()
        self.x, self.noise, self.bonus = x, noise, bonus
        self.weight = nn.Parameter(weight.detach())

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

    def forward(self, z: Tensor) -> Tensor:
        """log p(x|z) (K, B) in nats."""
        square = (self.x - z.to(self.weight.dtype) @ self.weight.T).square().sum(-1)
        constant = self.x.shape[-1] * math.log(2 * math.pi * self.noise)
        return -(square / self.noise + constant) / 2 + self.bonus

    def rows(self, index: Tensor) -> "LinearGaussian":
        """This model of some of the observations."""
        return LinearGaussian(self.x[index], self.weight, self.noise, self.bonus)


def table(
    variant: Variant,
    posterior: Posterior,
    h: Tensor,
    log_likelihood: Callable[[Tensor], Tensor],
    samples: int | None = None,
    kl_weight: float = 1.0,
) -> Draw:
    """K draws for features h (B, F), with everything that the harness would offer."""
    found = draw(
        posterior(h),
        posterior.prior(),
        log_likelihood,
        samples or variant.samples,
        fixed=held_densities(posterior, h, log_likelihood),
    )
    found = found._replace(kl_weight=kl_weight, h=h)
    return of_two_parts(found, posterior, h, log_likelihood, samples or variant.samples)


def of_two_parts(
    found: Draw,
    posterior: Posterior,
    h: Tensor,
    log_likelihood: Callable[[Tensor], Tensor],
    samples: int,
) -> Draw:
    """The draws as of items of two parts, where the posterior knows of parts."""
    if not knows_parts(posterior):
        return found
    return halved(found, partial(posterior.of_parts, h), log_likelihood, samples)


def valued(variant: Variant, draw: Draw) -> Tensor:
    """The objective (B,), its own random numbers the same each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return variant.objective(draw)


def rival_of(variant: Variant, size: int, dtype: torch.dtype = torch.float64) -> Rival | None:
    """The variant's rival on codes of this size, where it has one."""
    return variant.rival and variant.rival(size).to(dtype)


def total(variant: Variant, draw: Draw) -> Tensor:
    """What training maximises, (B,) nats: the objective less penalties and the rival's term."""
    value = variant.objective(draw)
    for penalty in variant.penalties.values():
        value = value - penalty(draw)
    rival = rival_of(variant, draw.z.shape[-1], draw.z.dtype)
    if rival is not None:
        with held([rival]):
            value = value - rival.term(draw)
    return value


def held_densities(posterior: Posterior, h: Tensor, log_likelihood: Any) -> Fixed:
    """The densities at features h (B, F) with the parameters of posterior and model held."""
    decoder = [log_likelihood] if isinstance(log_likelihood, nn.Module) else []
    return fixed(posterior, h, decoder, log_likelihood)
