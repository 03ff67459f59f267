"""A check: a law, how it is examined, and what it says."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from vaebench.models.networks import tried
from vaebench.models.variant import Variant
from vaebench.testing import torch_state
from vaebench.testing.statistics import ALPHA, combined
from vaebench.testing.subjects import CONTEXT, DoesNotApply


class KitWarning(UserWarning):
    """Something that a user should know of and that breaks no law."""


@dataclass
class Report:
    """What an examination compared.

    Attributes:
        seed: Of the examination's random numbers.
        lines: What was compared, with the figures.
        broken: The lines that break the law.
        p_values: Of the statistical comparisons, by what was compared.
        notes: Warnings.
        compared: How many comparisons were made.
    """

    seed: int
    lines: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    p_values: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    compared: int = 0

    def exact(self, holds: bool, line: str) -> None:
        """Note a comparison that random numbers have no part in."""
        self.compared += 1
        self.lines.append(line)
        if not holds:
            self.broken.append(line)

    def statistical(self, p_value: float, line: str) -> None:
        """Note a comparison that holds with this p-value."""
        self.compared += 1
        self.p_values[line] = p_value
        self.lines.append(f"{line}: p = {p_value:.2g}")

    def beyond(self, line: str) -> None:
        """Note what floats are too coarse to decide; the first such line is a warning."""
        self.lines.append(line)
        if not any("spacing of floats" in note for note in self.notes):
            self.notes.append(line)

    @property
    def p_value(self) -> float:
        """Of all statistical comparisons together."""
        return combined(list(self.p_values.values()))

    def verdict(self) -> list[str]:
        """The lines that break the law; none where it holds."""
        if self.p_value >= ALPHA:
            return self.broken
        limit = max(ALPHA / len(self.p_values), min(self.p_values.values()))
        return [
            *self.broken,
            *(f"{line}: p = {p:.2g}" for line, p in self.p_values.items() if p <= limit),
        ]


@dataclass(frozen=True)
class Check:
    """A callable check(variant) that raises AssertionError where a law is broken.

    Attributes:
        name: What the check is called.
        law: The law in `Variant.deviations` under which a failure is declared.
        examine: Compares, noting everything in a Report.
        mistake: What is likely wrong where the law is broken.
    """

    name: str
    law: str
    examine: Callable[[Variant, Report], None]
    mistake: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "__name__", self.name)
        object.__setattr__(self, "__doc__", self.examine.__doc__)

    def report(self, variant: Variant, seed: int = 0) -> Report:
        """Examine the variant; DoesNotApply where the law says nothing about it."""
        report = Report(seed)
        with torch.random.fork_rng(devices=[]), torch_state.restored():
            torch.manual_seed(seed)
            torch.set_num_threads(1)  # small tensors; and the same sums on every machine
            try:
                self.examine(tried(variant, CONTEXT), report)
            except DoesNotApply:
                raise
            except Exception as error:
                where = _innermost(error)
                report.exact(False, f"raised {type(error).__name__}: {error} ({where})")
        return report

    def __call__(self, variant: Variant, seed: int = 0) -> None:
        """Print what was compared and return None where the law holds, or says nothing.

        Args:
            variant: What to examine.
            seed: Of the examination's random numbers; the caller's are left as they were.

        Raises:
            AssertionError: The law is broken; the text has the figures and the likely mistake.
        """
        try:
            report = self.report(variant, seed)
        except DoesNotApply as reason:
            print(f"{self.name}: does not apply to {variant.name}: {reason}")
            return
        print(f"{self.name} ({variant.name})", *report.lines, sep="\n  ")
        for note in report.notes:
            warnings.warn(f"{variant.name}, {self.name}: {note}", KitWarning, stacklevel=2)
        if broken := report.verdict():
            raise AssertionError(
                "\n  ".join([f"{variant.name} breaks {self.name!r}:", *broken, self.mistake])
            )


def _innermost(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "no place known"
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"


def check(mistake: str, law: str = "") -> Callable[[Callable[[Variant, Report], None]], Check]:
    """Make a check of an examination; one without a law is a law of its own."""

    def make(examine: Callable[[Variant, Report], None]) -> Check:
        return Check(examine.__name__, law or examine.__name__, examine, mistake)

    return make
