"""What a metric declares about itself."""

from collections.abc import Callable
from dataclasses import dataclass

from vaebench.evaluation.metrics.estimate import Estimate
from vaebench.evaluation.metrics.subject import Subject

#: The laws (see `vaebench.posterior.LAWS`) that a number of each kind needs.
ANY: frozenset[str] = frozenset()
NO_MODEL = frozenset({"likelihood"})
NO_DENSITY = frozenset({"density"})
NO_ELBO = frozenset({"density", "likelihood", "support"})


@dataclass(frozen=True)
class Metric:
    """One column of the table.

    Attributes:
        name: The column; `{extractor}` and `{k}` stand for what the number depends on.
        group: What `--metrics` also selects it by.
        title: In words.
        unit: Its unit.
        better: "higher", "lower", or None where neither is a merit.
        description: One sentence.
        laws: Deviations (see `vaebench.posterior.LAWS`) that make it meaningless.
        compute: The estimate; Unavailable or UserError where there is none.
        costly: Left out unless it is asked for.
    """

    name: str
    group: str
    title: str
    unit: str
    better: str | None
    description: str
    laws: frozenset[str]
    compute: Callable[[Subject], Estimate]
    costly: bool = False

    def column(self, subject: Subject) -> str:
        """The column's name for this subject."""
        return self.name.format(extractor=subject.extractor_name, k=subject.iw_samples)
