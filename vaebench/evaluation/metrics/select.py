"""All metrics, and how they are chosen by name."""

from collections.abc import Collection, Iterable

from vaebench.config.cell import Evaluation
from vaebench.errors import UserError, unknown
from vaebench.evaluation.metrics import (
    conditional,
    conditions,
    disentanglement,
    features,
    gaps,
    gradients,
    images,
    language,
    latents,
    levels,
    likelihood,
    novelty,
    parts,
    regret,
    representations,
    sets,
)
from vaebench.evaluation.metrics.plugged import Plugged, plugged
from vaebench.evaluation.metrics.sampled import PRIOR, under
from vaebench.models.metric import Metric
from vaebench.registry.catalogue import catalogue
from vaebench.registry.lookup import samplers as known_samplers
from vaebench.runs.effort import Wanted

METRICS: tuple[Metric, ...] = (
    *likelihood.METRICS,
    *regret.METRICS,
    *sets.METRICS,
    *conditional.METRICS,
    *parts.METRICS,
    *language.METRICS,
    *gaps.METRICS,
    *latents.METRICS,
    *levels.METRICS,
    *features.METRICS,
    *images.METRICS,
    *novelty.METRICS,
    *representations.METRICS,
    *disentanglement.METRICS,
    *conditions.METRICS,
    *gradients.METRICS,
)
#: What selects them.
_OWN = {m.name for m in METRICS} | {m.group for m in METRICS}


def select(names: Iterable[str], samplers: Iterable[str] = (PRIOR,)) -> tuple[Metric, ...]:
    """The metrics that names of columns, of groups, of plugins, ``default`` or ``all`` stand for.

    Those of samples are had under each of the samplers; without the prior among these, under it
    not.

    ``default`` is all of vaebench's own but the costly ones. Those of plugins come last and are
    loaded.

    Raises:
        UserError: A name stands for none, or a plugin cannot be loaded.
    """
    chosen = set(names)
    theirs = asked_of_plugins(chosen)
    own = (
        m
        for m in METRICS
        if chosen & {m.name, m.group, "all"} or ("default" in chosen and not m.costly)
    )
    found = (*own, *(metric.load(catalogue()) for metric in theirs))
    spelled = known_samplers(samplers)
    plain = (metric for metric in found if PRIOR in spelled or not metric.sampled)
    others = (name for name in spelled if name != PRIOR)
    return (*plain, *(under(m, name) for name in others for m in found if m.sampled))


def fitting(metrics: Iterable[Metric], kind: str) -> list[Metric]:
    """Those of the metrics that can be had of items of a kind."""
    return [metric for metric in metrics if not metric.kinds or kind in metric.kinds]


def check_kinds(names: Iterable[str], kinds: Collection[str]) -> None:
    """Raise UserError where a name stands for metrics of other items than there are."""
    for name in names:
        found = select([name])
        if not any(fitting(found, kind) for kind in kinds):
            of = {str(kind) for metric in found for kind in metric.kinds}
            raise UserError(
                f"--metrics {name} is of {', '.join(sorted(of))}; the data are "
                f"{' and '.join(sorted(kinds))}: leave it out."
            )


def wanted(evaluation: Evaluation, steps: int | None = None) -> dict[str, tuple[Metric, Wanted]]:
    """What an evaluation asks for, by column.

    Args:
        evaluation: With the name of its extractor.
        steps: Steps of AIS, where no pilot decides.

    Raises:
        UserError: A metric does not exist, or its plugin cannot be loaded.
    """
    found = {}
    for metric in select(evaluation.metrics, evaluation.sampler):
        column = metric.column(evaluation.extractor, evaluation.iw_samples)
        effort = {name: getattr(evaluation, name, steps) for name in metric.effort}
        found[column] = metric, Wanted(column, effort, metric.code, metric.group, metric.kinds)
    return found


def needing(law: str) -> set[str]:
    """The names of all metrics, those of plugins included, that mean nothing without a law."""
    theirs = plugged(catalogue(), (m.name for m in METRICS))
    own = {m.name for m in METRICS if law in m.needs}
    return own | {each.name for each in theirs if law in each.facts.get("needs", ())}


def asked_of_plugins(names: Iterable[str]) -> list[Plugged]:
    """The metrics of plugins among those that names stand for; UserError for an unknown name.

    A group that is called as a metric or group of vaebench's own does not select them.
    """
    found, chosen = catalogue(), set(names)
    theirs = plugged(found, (m.name for m in METRICS))
    said = [each.names | ({each.group, each.plugin.name} - _OWN) for each in theirs]
    known = {"all", "default"}.union(_OWN, *said)
    for name in chosen - known:
        if name in found.broken:
            raise UserError(f"The plugin {name!r} cannot be loaded: {found.broken[name]}.")
        raise unknown("metric", name, known)
    return [each for each, mine in zip(theirs, said, strict=True) if chosen & (mine | {"all"})]
