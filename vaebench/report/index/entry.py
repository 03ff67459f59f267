"""What a run has come to, in a few lines that are kept on disk until it changes."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from vaebench._version import __version__
from vaebench.config.resources import cache_folder
from vaebench.errors import UserError, printable, short
from vaebench.report.columns import Column, headlines
from vaebench.report.footnotes import folded
from vaebench.report.sheet import Block, Sheet, sheets
from vaebench.runs import files
from vaebench.runs.run import Run
from vaebench.runs.schema import Record, fits

#: Cells of a run that is read at all.
MOST = 20_000
#: Names, results and cells without one that are told of each run.
_NAMES, _RESULTS, _LOST = 12, 8, 4
#: Variants that are named of those that cannot be told apart.
_TOLD = 3
_LETTERS = 80
#: The parts of metrics that verdicts are put in words of.
_SPOKEN_OF = ("likelihood", "elbo", "samples")


class Result(NamedTuple):
    """Who does best at what, as far as that can be said.

    Attributes:
        task: The data set, with the settings that tell it from others of the run.
        metric: The name of the metric, with its direction.
        kind: ``best``, ``model`` (one seed), ``only`` (nothing to compare), ``tied`` or ``open``.
        name: The variant, or which cannot be told apart.
        value: Its number with its interval, where the verdict is of one variant.
    """

    task: str
    metric: str
    kind: str
    name: str
    value: str


@dataclass(frozen=True)
class Entry:
    """A run in an index.

    Attributes:
        path: Its folder, relative to that of the index.
        first: The day of its first cell, empty where that is unknown.
        last: That of the last one.
        variants: Their names.
        datasets: Theirs.
        seeds: How many.
        cells: How many are planned.
        done: How many of them have a result.
        lost: Cells that have none, with the reason, or why the run cannot be read.
        results: Who does best at what.
        more: How many results are left out.
        page: Whether the run has a page.
    """

    path: str
    first: str = ""
    last: str = ""
    variants: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    seeds: int = 0
    cells: int = 0
    done: int = 0
    lost: tuple[str, ...] = ()
    results: tuple[Result, ...] = ()
    more: int = 0
    page: bool = False


def entry(folder: Path, run: Path) -> Entry:
    """The entry of a run below a folder, from disk where the run is as it was then."""
    path = run.relative_to(folder).as_posix()
    kept = cache_folder() / "index" / f"{_state(run)}.json"
    found = _read(kept)
    if found is None:
        found = _made(run)
        with suppress(OSError):
            files.write_json(kept, asdict(found))
    return replace(found, path=printable(path), page=files.file(run, "report.html") is not None)


def _state(run: Path) -> str:
    """A digest of the path of a run and of when its cells were written last."""
    state = hashlib.sha256(f"{__version__}\n{run.resolve()}".encode("utf-8", "replace"))
    names = sorted(run.glob("cells/*"))[: MOST + 1]
    parts = (each / name for each in names for name in ("result.json", "per_image.csv"))
    for path in (run / "plan.json", *parts):
        with suppress(OSError):
            about = path.lstat()
            state.update(f"{path.parent.name} {about.st_mtime_ns} {about.st_size}".encode())
    return state.hexdigest()


def _read(path: Path) -> Entry | None:
    """An entry that was kept; None where there is none, or not a whole one."""
    with suppress(UserError, TypeError, ValueError):
        found = files.read_json(path)
        texts = ("variants", "datasets", "lost")
        if all(fits(found[name], list[str]) for name in texts):
            found |= {name: tuple(found[name]) for name in texts}
            found["results"] = tuple(Result(*map(str, each)) for each in found["results"])
            return Entry(**found)
    return None


def _made(run: Path) -> Entry:
    """The entry of a run, which somebody else may have written."""
    try:
        if sum(1 for _ in (run / "cells").iterdir()) > MOST:
            return Entry("", lost=(f"it has more than {MOST} cells",))
        read = Run(run, pending=True)
        # The rest shows nowhere, and takes time.
        for record in read.records.values():
            record["metrics"] = {
                name: metric
                for name, metric in record["metrics"].items()
                if metric["role"] in _SPOKEN_OF or name.endswith("_noise")
            }
        return _of(read)
    # Whatever is wrong with a run costs its own entry alone.
    except Exception as error:
        why = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        return Entry("", lost=(short(why),))


def _of(run: Run) -> Entry:
    records = list(run.records.values())
    dates = sorted(record["date"][:10] for record in records if record["date"])
    lost = [record for record in records if record["status"] != "done"]
    whole = sheets(run) if len(lost) < len(records) else []
    # As on the page of the run, where a metric that none has makes room for the next one.
    parts = [replace(sheet, blocks=[block]) for sheet in whole for block in sheet.blocks]
    results = [
        result
        for sheet, _ in map(folded, parts)
        for column in headlines(sheet.columns)
        for result in _result(sheet, sheet.blocks[0], column)
    ]
    return Entry(
        path="",
        first=dates[0] if dates else "",
        last=dates[-1] if dates else "",
        variants=_few(run, "plugin"),
        datasets=_few(run, "dataset"),
        seeds=len(set(map(str, run.cells["seed"].dropna()))),
        cells=len(records),
        done=len(records) - len(lost),
        lost=_reasons(lost) if records else ("no cells",),
        results=tuple(results[:_RESULTS]),
        more=max(0, len(results) - _RESULTS),
    )


def _few(run: Run, column: str) -> tuple[str, ...]:
    names = sorted(set(map(str, run.cells[column].dropna())))
    return (*(name[:_LETTERS] for name in names[:_NAMES]), *_rest(len(names) - _NAMES, "other"))


def _all(names: Sequence[str]) -> str:
    """The first few of several names."""
    shown = names if len(names) <= _TOLD + 1 else [*names[:_TOLD], f"{len(names) - _TOLD} others"]
    *most, last = (name[:_LETTERS] for name in shown)
    return f"{', '.join(most)} and {last}"


def _rest(count: int, noun: str) -> list[str]:
    return [f"{count} {noun}{'' if count == 1 else 's'}"] if count > 0 else []


def _reasons(lost: Sequence[Record]) -> tuple[str, ...]:
    return (*map(_why, lost[:_LOST]), *_rest(len(lost) - _LOST, "other cell"))


def _why(record: Record) -> str:
    state = "failed" if record["status"] == "failed" else "not finished"
    reason = short(str(record["reason"])) if state == "failed" else ""
    return f"{record['cell'][:_LETTERS]} {state}{': ' if reason else ''}{reason}"


def _result(sheet: Sheet, block: Block, column: Column) -> Iterator[Result]:
    """Who does best; nothing where no row has the metric."""
    rows = {row.label: row.entries[column.name] for row in block.rows if row.entries}
    rows = {label: each for label, each in rows.items() if each.value is not None}
    task = " · ".join(filter(None, (sheet.dataset, sheet.title(block))))[:_LETTERS]
    metric = f"{column.head} {column.arrow}".strip()
    found = block.verdicts.get(column.name)
    if not rows:
        return
    if len(rows) == 1:
        ((label, each),) = rows.items()
        kind, name = "only", label[:_LETTERS]
    elif found is None:
        kind, name, each = "open", "no verdict", None
    elif len(found.leading) > 1:
        kind, name, each = "tied", f"{_all(found.leading)} not told apart", None
    else:
        kind, name = "model" if found.seeds == 1 else "best", found.best[:_LETTERS]
        each = rows[found.best]
    value = f"{each.text} {each.error} {column.suffix}".strip() if each else ""
    yield Result(task, metric, kind, name, " ".join(value.split()))


def plain(found: Entry) -> dict[str, Any]:
    """The entry as plain data."""
    return asdict(found) | {"results": [each._asdict() for each in found.results]}
