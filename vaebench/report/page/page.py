"""The report of a run as one page of HTML."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from vaebench._version import __version__
from vaebench.config import command
from vaebench.errors import printable
from vaebench.report.columns import Column, headlines
from vaebench.report.comparison import overall
from vaebench.report.comparison.across import across
from vaebench.report.comparison.pairs import matrix
from vaebench.report.comparison.ranking import ranking
from vaebench.report.comparison.tuned import tuned
from vaebench.report.footnotes import folded, footnoted
from vaebench.report.page import tuning as tuning_section
from vaebench.report.page.panels import panels
from vaebench.report.page.references import linked
from vaebench.report.page.script import script
from vaebench.report.page.texts import texts
from vaebench.report.plots import ladder, style
from vaebench.report.plots.look import Look
from vaebench.report.plots.section import plots
from vaebench.report.sheet import Block, Sheet
from vaebench.report.summary import caption, leader, sentence, signs, spent, told, undecided
from vaebench.report.template import ASSETS, template
from vaebench.runs import files, tuning
from vaebench.runs.about import About
from vaebench.runs.run import Run
from vaebench.runs.schema import Record
from vaebench.runs.tuning import TUNED
from vaebench.statistics.comparisons import Verdict

#: Bytes that all pictures, and all details of cells, may take.
_PICTURES = 1_500_000
_DETAILS = 600_000
_CONFIG = 2**16
#: Sentences on its data that a section shows; cells of several machines may have several of each.
_NOTES = 8
_CRITICS = {
    "patchgan": "A PatchGAN critic judges patches of reconstructions, and its verdict enters the "
    "decoder’s loss: samples get sharper, likelihoods lower. Published likelihoods are of models "
    "without one: `--critic none`.",
    "none": "No critic: decoders are trained by the likelihood alone.",
}
_STATUS = {"unfinished": "not finished"}


def write(run: Run, sheets: list[Sheet], folder: Path, about: About) -> Path:
    """Write the page of a run as ``report.html`` into a folder, and return its path."""
    path = folder / "report.html"
    files.write_text(path, render(run, sheets, about))
    return path


def render(run: Run, sheets: list[Sheet], about: About) -> str:
    """The page of a run, from its cells and what is said of it."""
    folder, by_cell = run.folder, run.records
    records = list(by_cell.values())
    look = Look(row.label for s in sheets for b in s.blocks for row in b.rows)
    pairs = [(sheet, block) for sheet in sheets for block in sheet.blocks]
    budget = _PICTURES // max(1, sum(len(block.rows) for _, block in pairs))
    with style.styled():
        sections = [
            _section(f"s{number}", run, replace(sheet, blocks=[block]), look, budget)
            for number, (sheet, block) in enumerate(pairs)
        ]
        ranks = ranking(pairs, look)
        gained = tuning_section.section(tuned(run, sheets), tuning.read(folder), look)
        together = overall.section(pairs, by_cell, look)
    drawn = template("page.html", words=_words, minus=_minus, breakable=_breakable)
    return drawn.render(
        name=folder.resolve().name,
        about=about,
        home=_home(),
        facts=_facts(run.cells, records),
        command=_command(folder, records),
        config=_config(folder),
        sections=sections,
        across=across(pairs),
        nearest=ladder.ROWS,
        colours={label: look.colour(label) for label in look.labels},
        tags={label: number for number, label in enumerate(look.labels)},
        ranks=ranks,
        tuning=gained,
        overall=together,
        broken=[record for record in records if record["status"] != "done"],
        details=list(_details(folder, records)),
        installation=_installation(records),
        version=__version__,
        style=Markup((ASSETS / "style.css").read_text("utf-8")),
        script=script(),
    )


def _home() -> str:
    """Where the project lives, as its package says; empty where it does not."""
    found = metadata("vaebench")
    urls = [url.partition(",")[2].strip() for url in found.get_all("Project-URL") or []]
    urls += found.get_all("Home-page") or []
    return next((url for url in urls if url.startswith("https://")), "")


def _words(status: str) -> str:
    """A state of a cell in words."""
    return _STATUS.get(status, status)


def _minus(text: object) -> str:
    """Numbers with minus signs, and percent signs that stay with them; names keep their hyphens."""
    return re.sub(r"(?<![\w\]])-(?=[\d.])", "\u2212", str(text)).replace(" %", "\u00a0%")


def _breakable(name: str) -> Markup:
    """A variant's name that a line may break before its options and between them."""
    return Markup("<wbr>").join(Markup.escape(part) for part in re.split(r"(?<=,)|(?=\[)", name))


def _command(run: Path, records: list[Record]) -> str:
    """What goes on with the run, or repeats it beside it once it is finished."""
    finished = all(record["status"] == "done" for record in records)
    out = run.with_name(f"{run.resolve().name}-again") if finished else run
    search = tuning.read(run)
    parts = ["vaebench", *(_search(search) if search else ["run"])]
    return shlex.join(map(str, [*parts, "--config", run / "config.yaml", "--out", out]))


def _search(found: tuning.Tuning) -> list[str]:
    """The command that tunes, with its flags."""
    spaces = [word for text in found["asked"] for word in ("--space", text)]
    flags = ["--trials", str(found["trials"]), "--criterion", found["criterion"]["name"]]
    return ["tune", *flags, *spaces]


def _facts(cells: pd.DataFrame, records: list[Record]) -> list[str]:
    """What was run, in a few words each."""
    variants = cells[cells["tuning"] != TUNED] if "tuning" in cells else cells
    facts = [
        _count(variants["plugin"].astype(str).nunique(), "variant"),
        _count(cells["dataset"].astype(str).nunique(), "data set"),
        _count(cells["seed"].astype(str).nunique(), "seed"),
        _cells(cells),
    ]
    dates = sorted(record["date"][:10] for record in records if record["date"])
    return facts + ([" to ".join(dict.fromkeys((dates[0], dates[-1])))] if dates else [])


def _cells(cells: pd.DataFrame) -> str:
    unfinished = int((cells["status"] == "unfinished").sum())
    count = _count(len(cells), "cell")
    return f"{count} planned, {unfinished} not finished" if unfinished else count


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _config(run: Path | str) -> str:
    path = files.file(run, "config.yaml", _CONFIG)
    return printable(path.read_text("utf-8", errors="replace"), _CONFIG) if path else ""


def _section(name: str, run: Run, sheet: Sheet, look: Look, budget: int) -> dict[str, Any]:
    """What the template shows of a sheet with one block of comparable rows."""
    folder, records = str(run.folder), run.records
    sheet, empty = folded(sheet)
    sheet, notes = footnoted(sheet, [column for column in sheet.columns if column.key])
    (block,) = sheet.blocks
    shown = [row.label for row in block.rows if row.entries]
    focused = look.focused(shown)
    figures = list(_figures(name, run, sheet, block, focused))
    return {
        "name": name,
        "title": " · ".join(filter(None, (sheet.dataset, sheet.title(block)))),
        "settings": _settings(block),
        "brief": _brief_settings(block),
        "cards": [
            card
            for column in headlines(sheet.columns)
            if (card := _card(name, column, block, look))["sentence"]
        ],
        "remarks": told(block, sheet.columns),
        "columns": sheet.columns,
        "rows": block.rows,
        "tuned": block.tuned,
        "references": block.references,
        "images": block.images,
        "signs_text": signs(block),
        "caption": caption(block, sheet.columns, "marked ★"),
        "variants": _variants(block, records),
        "critic": _CRITICS.get(str(block.settings.get("critic")), ""),
        "data": _data(block, records),
        "empty": empty,
        "matrices": [
            matrix(column, block.pairs[column.name])
            for column in sheet.columns
            if column.name in block.pairs
        ],
        "notes": notes,
        "more_notes": sheet.notes[len(notes) :],
        "colours": {row.label: look.colour(row.label) for row in block.rows},
        "signs": {row.label: look.sign(row.label) for row in block.rows},
        "legend": shown,
        "grey": focused.grey,
        "figures": [figure for figure in figures if not figure["curve"]],
        "curves": [figure for figure in figures if figure["curve"]],
        "panels": panels(folder, block.rows, budget, records),
        "texts": texts(folder, block.rows, budget),
    }


def _data(block: Block, records: Mapping[str, Record]) -> list[str]:
    """What was read, passed over and converted of the data set, as its cells say."""
    cells = [cell for row in block.rows for cell in row.cells]
    said = [note for cell in cells for note in records[cell]["data"].get("notes", [])]
    return list(dict.fromkeys(said))[:_NOTES]


def _variants(block: Block, records: Mapping[str, Record]) -> list[dict[str, Any]]:
    """What each row is: its family, a sentence, and its papers."""
    found = [(row.label, records[row.cells[0]]["variant"]) for row in block.rows]
    return [
        {
            "label": label,
            "family": variant.get("family", ""),
            "description": variant.get("description", ""),
            "reference": linked(variant.get("reference", "")),
        }
        for label, variant in found
        if variant.get("description") or variant.get("reference")
    ]


def _settings(block: Block) -> list[tuple[str, str]]:
    return [
        (key.replace("_", " "), str(value))
        for key, value in block.settings.items()
        if key not in ("plugin", "dataset") and value is not None
    ]


def _brief_settings(block: Block) -> list[str]:
    """The settings that a reader looks for first, in a few words each."""
    known = {key: value for key, value in block.settings.items() if value not in (None, "")}
    words = (
        ("epochs", "{} epochs"),
        ("latent", "{} latent dimensions"),
        ("likelihood", "{} likelihood"),
        ("critic", "critic {}"),
        ("decoder_of", "decoder of {}, frozen"),
    )
    return [text.format(known[key]) for key, text in words if key in known]


def _card(name: str, column: Column, block: Block, look: Look) -> dict[str, Any]:
    """The verdict on one metric, with the differences that it rests on."""
    found = block.verdicts.get(column.name)
    text = sentence(column, block) or undecided(column, block)
    drawing = None
    if found:
        figure = ladder.differences(column, found, look)
        words = f"Differences to {found.best} with the intervals that decide. {text}"
        drawing = style.svg(figure, words, f"{name}-{column.name}")
    elif text:
        figure = ladder.values(column, block.rows, look)
        drawing = style.svg(figure, f"{column.title}. {text}", f"{name}-{column.name}")
    return {
        "title": column.title,
        "kind": _kind(found),
        "names": [f"{n}?" if n in found.unsure else n for n in found.leading] if found else [],
        "leader": leader(column, block),
        "spent": spent(found, block) if found else "",
        "rows": len(found.differences) + 1 if found else 0,
        "sentence": text,
        "svg": drawing,
    }


def _kind(found: Verdict | None) -> str:
    """What a card says: a best variant, a tie, a trained model ahead, or nothing certain."""
    if found is None:
        return "open"
    if len(found.leading) > 1:
        return "tied"
    return "model" if found.seeds == 1 else "best"


def _figures(
    name: str, run: Run, sheet: Sheet, block: Block, look: Look
) -> Iterator[dict[str, Any]]:
    """Each plot that the block has data for: the first sentence about it, the rest, drawing."""
    for plot in plots(sheet, block, look, run.records, run.epochs):
        drawing = style.svg(plot.figure, f"{plot.title}. {plot.text}".strip(), f"{name}-{plot.key}")
        first, stop, more = plot.text.partition(". ")
        text = first + stop.strip()
        yield {
            "title": plot.title,
            "text": text,
            "more": more,
            "svg": drawing,
            "curve": plot.key.startswith("c"),
        }


def _details(run: Path | str, records: list[Record]) -> Iterator[dict[str, Any]]:
    """Every cell's command, record if it has ended, and log if it failed, while there is room."""
    room = _DETAILS
    for record in records:
        ended, failed = record["status"] != "unfinished", record["status"] == "failed"
        told = (
            json.dumps(_brief(record), indent=1, ensure_ascii=False) if ended and room > 0 else ""
        )
        text = _between_tags(told)
        log = _between_tags(files.tail(run, record["cell"])) if failed and room > 0 else ""
        room -= len(text) + len(log)
        yield {
            "record": record,
            "command": command.command(record["config"] | record["evaluation"], record["data"]),
            "ended": ended,
            "text": text if room > 0 else "",
            "log": log if room > 0 else "",
        }


def _between_tags(text: str) -> Markup:
    """Text escaped for where quotes mean nothing: as entities they make JSON a third larger."""
    return Markup(str(Markup.escape(text)).replace("&#34;", '"'))


def _brief(record: Record) -> dict[str, Any]:
    """A record without what the page says elsewhere, and without long details of its metrics."""
    keys = ("value", "se", "n", "depends", "reason", "warning")
    metrics = {
        name: {key: value for key in keys if (value := metric.get(key)) not in (None, "")}
        for name, metric in record["metrics"].items()
    }
    return {**record, "metrics": metrics}


def _installation(records: list[Record]) -> Mapping[str, list[str]]:
    """Versions and hardware with each value that the cells ran with."""
    found: dict[str, dict[str, None]] = {}
    for record in records:
        for key, value in (*record["versions"].items(), *record["hardware"].items()):
            found.setdefault(str(key), {})[str(value)] = None
    return {key: list(values) for key, values in found.items()}
