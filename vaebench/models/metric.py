"""What a metric declares about itself, and the number that it finds."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from vaebench.config.cell import EFFORT
from vaebench.config.metric import ROLES, SUFFIXES, SYMBOL, TEMPLATE, UNDER, Better, Role
from vaebench.errors import UserError
from vaebench.models.items import NOUNS, Kind
from vaebench.models.variant import LAWS

#: The laws of `LAWS` that numbers of the usual kinds need.
NOTHING: frozenset[str] = frozenset()
MODEL = frozenset({"likelihood"})
DENSITY = frozenset({"density"})
ELBO = frozenset({"density", "likelihood", "support"})


class Unavailable(Exception):
    """A number that cannot be computed honestly; the text is the reason that the table shows."""


@dataclass(frozen=True)
class Measurement:
    """A metric's value for one cell.

    Attributes:
        value: The number.
        n: Number of images.
        se: Standard error of the mean over images, where the value is one.
        depends: What the number depends on, as numbers and short texts.
        per_image: Values (N,) of the first N test images, for paired comparisons.
        warning: Why the number deserves caution, or nothing.
        trusted: Whether a verdict may rest on the number; if not, `warning` says why.
        detail: What else was seen on the way, as plain data: numbers, lists, histograms.
        parts: What its parts come to, by name: columns of their own, `kl@z1` for the part `z1`.

    Example:
        >>> import torch
        >>> found = Measurement.mean(torch.tensor([1.0, 3.0]), draws=8)
        >>> found.value, found.n, found.depends
        (2.0, 2, {'draws': 8})
    """

    value: float
    n: int
    se: float | None = None
    depends: dict[str, Any] = field(default_factory=dict)
    per_image: Tensor | None = None
    warning: str | None = None
    detail: dict[str, Any] = field(default_factory=dict)
    trusted: bool = True
    parts: "Mapping[str, Measurement]" = field(default_factory=dict)

    @classmethod
    def mean(
        cls,
        values: Tensor,
        warning: str | None = None,
        detail: dict[str, Any] | None = None,
        **depends: Any,
    ) -> "Measurement":
        """The mean of values (N,) of the first N test images, with its standard error over them."""
        values = values.detach().double().cpu()
        n = len(values)
        se = values.std().item() / math.sqrt(n) if n > 1 else None
        return cls(values.mean().item(), n, se, depends, values, warning, detail or {})


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A number of a trained model: how it is computed, named and shown.

    Attributes:
        name: The column; `{extractor}` stands for the feature extractor and `{k}` for the number
            of draws of the importance-weighted bound, where the number depends on them.
        title: The name in words.
        unit: The unit.
        better: ``higher``, ``lower``, or None where neither is a merit.
        description: One sentence.
        compute: Maps the `Subject` to the `Measurement`; raises `Unavailable` with the reason
            where there is no honest number.
        group: What ``--metrics`` also selects it by, and its time is counted under.
        needs: Laws that a variant must keep for the number to mean anything: ``bound``,
            ``support``, ``density`` or ``likelihood``, see `Variant.deviations`.
        kind: ``pictures``, ``tokens`` or ``sets``, or several of them, where it is of such items
            alone: of others it is not measured.
        costly: Computed only when it is asked for.
        head: The short name at the head of its column; without one the title stands there.
        symbol: What stands at its head in a paper, as mathematics of LaTeX such as
            ``\\mathcal{L}_{k}`` with `{k}` as in `name`; without one `head` stands there.
        place: The order in the main table, from the left; None keeps it out of the main table.
        keep: The order in which a narrow terminal gives columns up, the smallest first.
        error: Whether a terminal shows the error too.
        role: The part that it plays in the report's sentences and plots, see `ROLES`.
        reference: The name of the metric that says what real images score.
        effort: The settings of evaluation that say how much the number is worth, such as
            ``ais_images``: it is measured again where more of them is asked for.
        sampled: Whether it is of what the model makes of codes from its prior, so that it can
            also be had of codes from a sampler (see `vaebench_samplers`).
        code: Digest of the plugin that brings it, filled in by vaebench.

    Example:
        >>> def brightness(subject):
        ...     return Measurement.mean(subject.samples.flatten(1).mean(1))
        >>> bright = Metric(
        ...     name="brightness",
        ...     title="Mean grey value of samples",
        ...     unit="",
        ...     better=None,
        ...     description="Samples are decoder means of draws from the prior.",
        ...     compute=brightness,
        ...     group="brightness",
        ...     needs=("likelihood",),
        ... )
        >>> bright.costly
        False
    """

    name: str
    title: str
    unit: str
    description: str
    compute: Callable[[Any], Measurement]
    better: Better | None = None
    group: str = ""
    needs: frozenset[str] = NOTHING
    kind: Kind | tuple[Kind, ...] | None = None
    costly: bool = False
    head: str = ""
    symbol: str = ""
    place: int | None = None
    keep: int = 0
    error: bool = False
    role: Role | None = None
    reference: str = ""
    effort: tuple[str, ...] = ()
    sampled: bool = False
    code: str = ""

    def __post_init__(self) -> None:
        """Check what was declared; UserError where it cannot be shown."""
        object.__setattr__(self, "needs", frozenset(self.needs))
        object.__setattr__(self, "effort", tuple(self.effort))
        for name in self.effort:
            _expect(self, "effort", name, (*EFFORT, "ais_steps"))
        _expect(self, "better", self.better, (None, "higher", "lower"))
        _expect(self, "role", self.role, (None, *ROLES))
        for kind in self.kinds:
            _expect(self, "kind", kind, tuple(NOUNS))
        for law in self.needs:
            _expect(self, "needs", law, tuple(LAWS))
        if not SYMBOL.fullmatch(self.symbol):
            raise UserError(
                f"The metric {self.name!r} has the symbol {self.symbol!r}; it is made of letters, "
                "digits, brackets, \\mathrm{…}, \\mathcal{…}, \\log and the like alone."
            )
        if not callable(self.compute):
            raise UserError(f"The metric {self.name!r} has no function to compute it.")
        for name in filter(None, (UNDER.sub("", self.name), self.reference)):
            if not TEMPLATE.fullmatch(name) or name.endswith(SUFFIXES):
                raise UserError(
                    f"The metric name {name!r} must be of the form {TEMPLATE.pattern} and not end "
                    f"in {' or '.join(SUFFIXES)}."
                )

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What items it is of, empty for all."""
        if self.kind is None:
            return ()
        return (self.kind,) if isinstance(self.kind, str) else self.kind

    def column(self, extractor: str, k: int) -> str:
        """The column's name with an extractor and a number of draws."""
        return self.name.format(extractor=extractor, k=k)

    def takes(self, parameter: str) -> bool:
        """Whether the name depends on ``extractor`` or ``k``."""
        return f"{{{parameter}}}" in self.name


def _expect(metric: Metric, what: str, given: Any, known: tuple[Any, ...]) -> None:
    if given not in known:
        words = ", ".join(repr(one) for one in known)
        raise UserError(f"The metric {metric.name!r} says {what} {given!r}; it is one of {words}.")
