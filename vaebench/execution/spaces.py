"""What tuning searches of each variant, and which variants have no criterion in common."""

from collections.abc import Mapping, Sequence

from vaebench.config.cell import Task
from vaebench.config.names import parse
from vaebench.config.resources import Place
from vaebench.config.space import Space, default, of_option, read, shared
from vaebench.errors import UserError
from vaebench.execution.search import Searched, Searches
from vaebench.execution.trial import CRITERIA
from vaebench.registry.catalogue import Catalogue, catalogue
from vaebench.registry.options import options
from vaebench.training import build


def plan(tasks: Sequence[Task], spaces: tuple[str, ...], criterion: str, place: Place) -> Searches:
    """What is searched, and what trials are measured by.

    Args:
        tasks: One of each variant, with its default settings.
        spaces: What is asked for, as `config.space.read` takes it.
        criterion: Of `CRITERIA`.
        place: Where the data are.

    Raises:
        UserError: A space is none, a variant has nothing to search, or none has the criterion.
    """
    installed = catalogue()
    settings, texts = read(spaces)
    of_options = {installed.canonical("variants", name): said for name, said in texts.items()}
    names = [parse(task.cell.plugin)[0] for task in tasks]
    for name in of_options:
        if name not in names:
            raise UserError(f"--space is of {name}, which is not tuned here; name it as a variant.")
    found: dict[str, Searched | str] = {}
    for name, task in zip(names, tasks, strict=True):
        found[task.cell.plugin] = _lacks(installed, task, criterion) or _searched(
            installed, task, settings, of_options.get(name, {})
        )
    if not any(isinstance(each, Searched) for each in found.values()):
        reasons = " ".join(f"{name}: {str(why).rstrip('.')}." for name, why in found.items())
        raise UserError(f"No variant can be tuned by --criterion {criterion}. {reasons}")
    evaluation, metric = tasks[0].evaluation, CRITERIA[criterion]
    images = build.read(tasks[0].cell, place)
    most = evaluation.iw_images if criterion == "iwae" else evaluation.ais_images
    return Searches(
        found,
        {
            "name": criterion,
            "title": f"L_{evaluation.iw_samples}" if criterion == "iwae" else metric.title,
            "unit": metric.unit.replace("/image", f"/{images.noun}"),
            "images": min(most, len(images.validation)),
            "effort": {
                name: getattr(evaluation, name)
                for name in ("iw_samples", *metric.effort)
                if hasattr(evaluation, name)
            },
        },
    )


def _lacks(installed: Catalogue, task: Task, criterion: str) -> str:
    """Why a variant has no such number; empty where it has."""
    spelled = task.cell.plugin
    if why := installed.broken.get(parse(spelled)[0]):
        return why
    lost = installed.variant(spelled).deviations
    return "; ".join(lost[law] for law in lost if law in CRITERIA[criterion].needs)


def _searched(
    installed: Catalogue,
    task: Task,
    settings: Mapping[str, Space | None],
    texts: Mapping[str, str],
) -> Searched:
    """The space of a variant: an option that its name sets is searched where that is asked for."""
    name, given = parse(task.cell.plugin)
    known = options(installed.variant(task.cell.plugin))
    own: dict[str, Space | None] = {
        key: space for key, space in installed.search(name).items() if key not in given
    }
    for key, text in texts.items():
        if key not in known:
            raise UserError(
                f"--space is of the option {key} of {name}, which has {', '.join(known)}."
            )
        own[key] = of_option(f"--space {name}[{key}={text}]", text, known[key])
    space = shared(task.cell, settings)
    space |= {f"[{key}]": each for key, each in own.items() if each is not None}
    if not space:
        raise UserError(f"Nothing of {name} is searched; give it a space with --space.")
    return Searched(space, default(task.cell, space, known))
