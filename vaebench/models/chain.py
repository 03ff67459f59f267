"""A chain of conditionals over named blocks of one vector: levels, or a set and its elements."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from vaebench.compute.random import seeded
from vaebench.models.distributions import from_normal, inside, on_real_vectors

#: The distribution of a block, event shape (size,), given the blocks before it.
Law = Callable[..., Distribution]


class Chain(Distribution):
    """p(a) p(b|a) p(c|a, b) over the blocks a, b, c of one vector z = (a, b, c).

    Args:
        laws: For each block, in the order in which it is drawn and stands in z, its size and a
            function of the blocks before it, each (..., size): the distribution of the block, with
            event shape (size,) and their leading shape as batch shape, or the last axes of it
            where the block does not depend on them. That of the first block takes no argument.
        batch: The batch shape, () or (B,).

    Raises:
        ValueError: There is no block, or one of no dimension.

    Example:
        >>> from torch.distributions import Independent, Normal
        >>> def top():
        ...     return Independent(Normal(torch.zeros(1), 1.0), 1)
        >>> def low(top):
        ...     return Independent(Normal(torch.cat([top, -top], -1), 0.5), 1)
        >>> p = Chain({"top": (1, top), "low": (2, low)})
        >>> z = p.sample((5,))
        >>> z.shape, p.parts(z)["low"].shape, p.at(z)["low"].mean.shape, p.log_prob(z).shape
        (torch.Size([5, 3]), torch.Size([5, 2]), torch.Size([5, 2]), torch.Size([5]))
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    has_rsample = True

    def __init__(
        self, laws: Mapping[str, tuple[int, Law]], batch: tuple[int, ...] | torch.Size = ()
    ) -> None:
        self.sizes = {name: size for name, (size, _) in laws.items()}
        if not self.sizes or min(self.sizes.values()) < 1:
            raise ValueError(f"A chain has blocks of one dimension or more, not {self.sizes}.")
        self._laws = {name: law for name, (_, law) in laws.items()}
        super().__init__(
            torch.Size(batch), torch.Size([sum(self.sizes.values())]), validate_args=False
        )

    def _law(self, name: str, before: list[Tensor]) -> Distribution:
        law = self._laws[name](*before)
        if tuple(law.event_shape) != (self.sizes[name],):
            raise ValueError(
                f"The law of block {name!r} has event shape {tuple(law.event_shape)}: it has to "
                f"be ({self.sizes[name]},)."
            )
        return law

    def _built(self, lead: torch.Size, draw: Callable[[int, Distribution], Tensor]) -> Tensor:
        """z (*lead, D), each block made by `draw` of its first place and its law."""
        found: list[Tensor] = []
        for name, size in self.sizes.items():
            part = draw(sum(each.shape[-1] for each in found), self._law(name, found))
            found.append(part.expand(*lead, size))
        return torch.cat(found, -1)

    def parts(self, z: Tensor) -> dict[str, Tensor]:
        """The blocks (..., size) of z (..., D) by their names."""
        return dict(zip(self.sizes, z.split(list(self.sizes.values()), -1), strict=True))

    def at(self, z: Tensor) -> dict[str, Distribution]:
        """The distribution of each block given the blocks before it in z (..., D)."""
        lead = torch.broadcast_tensors(z[..., 0], z.new_empty(self.batch_shape))[0].shape
        before = list(self.parts(z.expand(*lead, -1)).values())
        return {name: self._law(name, before[:i]) for i, name in enumerate(self.sizes)}

    def after(self, first: Tensor) -> "Chain":
        """The chain of the blocks behind the first one, given values (..., size) of it.

        Its batch shape is that of the values.

        Raises:
            ValueError: There is no block behind the first one.
        """

        def told(law: Law, *before: Tensor) -> Distribution:
            return law(first.expand(*before[0].shape[:-1], -1) if before else first, *before)

        _, *others = self.sizes
        laws = {name: (self.sizes[name], partial(told, self._laws[name])) for name in others}
        return Chain(laws, first.shape[:-1])

    @property
    def first(self) -> Distribution:
        """The distribution of the first block."""
        return self._law(next(iter(self.sizes)), [])

    def rsample(self, sample_shape: list[int] | tuple[int, ...] = ()) -> Tensor:
        """Draws z (*sample_shape, *batch, D), one block after the other."""
        lead = torch.Size(sample_shape) + self.batch_shape
        return self._built(lead, lambda _, law: law.rsample(_missing(lead, law)))

    def sample(self, sample_shape: list[int] | tuple[int, ...] = ()) -> Tensor:
        """Draws z (*sample_shape, *batch, D) without a gradient, of laws without `rsample` too."""
        lead = torch.Size(sample_shape) + self.batch_shape
        with torch.no_grad():
            return self._built(lead, lambda _, law: law.sample(_missing(lead, law)))

    def from_normal(self, u: Tensor) -> Tensor:
        """Map u ~ N(0, I) (..., D) to draws z (..., D).

        Raises:
            NotImplementedError: The law of a block names no such map.
        """

        def draw(begin: int, law: Distribution) -> Tensor:
            return from_normal(law, u[..., begin : begin + law.event_shape[0]])

        return self._built(u.shape[:-1], draw)

    def completed(self, z: Tensor, known: int) -> Tensor:
        """z (..., D) with all but its first `known` blocks drawn anew, given those; no gradient."""
        kept = list(self.parts(z).values())[:known]
        lead = z.shape[:-1]

        def draw(begin: int, law: Distribution) -> Tensor:
            place = len(found)
            part = kept[place] if place < known else law.sample(_missing(lead, law))
            found.append(part)
            return part

        found: list[Tensor] = []
        with torch.no_grad():
            return self._built(lead, draw)

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(value) (...) in nats for value (..., D): the sum over blocks."""
        parts = self.parts(value)
        return sum(law.log_prob(parts[name]) for name, law in self.at(value).items())  # type: ignore[return-value]

    def expand(
        self, batch_shape: list[int] | tuple[int, ...], _instance: Distribution | None = None
    ) -> "Chain":
        """The same distribution with a larger batch shape."""
        laws = {name: (size, self._laws[name]) for name, size in self.sizes.items()}
        return Chain(laws, torch.Size(batch_shape))

    @property
    def mean(self) -> Tensor:
        """The mean (*batch, D) of a single block; NotImplementedError where there are more."""
        return self._only.mean.expand(self._extended_shape())

    @property
    def variance(self) -> Tensor:
        """The variance (*batch, D) of a single block; NotImplementedError where there are more."""
        return self._only.variance.expand(self._extended_shape())

    @property
    def _only(self) -> Distribution:
        if len(self.sizes) > 1:
            raise NotImplementedError("The moments of a chain of conditionals are not known.")
        return self.first

    @property
    def support(self) -> constraints.Constraint:
        """All of R^D, or what the laws of the blocks allow."""
        with seeded(0, "support"), torch.no_grad():
            laws = self.at(self.sample()).values()
        if all(on_real_vectors(law) for law in laws):
            return constraints.real_vector
        return _Blocks(self, any(_counts(law) for law in laws))


def _missing(lead: torch.Size, law: Distribution) -> torch.Size:
    """The sample shape that a law needs for draws of leading shape `lead`."""
    return lead[: len(lead) - len(law.batch_shape)]


def _counts(law: Distribution) -> bool:
    try:
        return bool(getattr(law.support, "is_discrete", False))
    except NotImplementedError:
        return False


class _Blocks(constraints.Constraint):
    """Vectors each of whose blocks lies in the support of its law given the blocks before."""

    event_dim = 1

    def __init__(self, chain: Chain, is_discrete: bool) -> None:
        self._chain, self.is_discrete = chain, is_discrete
        super().__init__()

    def check(self, value: Tensor) -> Tensor:
        """Whether value (..., D) lies in it (...)."""
        parts = self._chain.parts(value)
        each = [inside(law, parts[name]) for name, law in self._chain.at(value).items()]
        return torch.stack(torch.broadcast_tensors(*each)).all(0)


def conditionals(
    q: Distribution, p: Distribution, z: Tensor
) -> dict[str, tuple[Distribution, Distribution, Tensor]]:
    """q, p and z (K, B, size) of each block given the blocks before it in z (K, B, D).

    Empty where q and p are not chains of the same blocks in the same order.
    """
    if not (isinstance(q, Chain) and isinstance(p, Chain)):
        return {}
    if list(q.sizes.items()) != list(p.sizes.items()):
        return {}
    ours, theirs, parts = q.at(z), p.at(z), q.parts(z)
    return {name: (ours[name], theirs[name], parts[name]) for name in q.sizes}
