"""The pictures of a block, kind by kind, each variant's beside the others'."""

import os
import re
from collections.abc import Mapping, Set
from pathlib import Path
from typing import NamedTuple

from vaebench.report.page.embed import Picture, picture
from vaebench.report.rows import Row
from vaebench.runs.schema import Record

#: Lines of a picture that a note tells of, and characters that it has for each.
_LINES, _WORD = 20, 40


#: Title, explanation, and the files with their share of the room, what they show of a row, and
#: the head of each where there are several.
_Kind = tuple[str, str, tuple[tuple[str, float, str, str], ...]]
_SAMPLED = re.compile(r"samples@[\w.=]{1,60}\.png")
#: Samplers that a page has pictures of.
_SAMPLERS = 8


class Shown(NamedTuple):
    """A picture, None where there is none to show, with words about it and its head."""

    words: str
    head: str
    picture: Picture | None


class Panel(NamedTuple):
    """One kind of pictures; an entry is a row, a note, and pictures."""

    title: str
    text: str
    entries: list[tuple[Row, str, list[Shown]]]


_KINDS: tuple[_Kind, ...] = (
    (
        "Drawn given a set",
        "Each line of test sets stands over the line of sets drawn given them, whose code of the "
        "set comes from q and those of elements from the prior. The expected pictures.",
        (("given.png", 0.2, "Test sets over sets drawn given them, by", ""),),
    ),
    (
        "Generated from one part",
        "A line of test items, their parts side by side, then for each part a line of items of "
        "which all parts are generated from that one alone, from a draw of q. The same items for "
        "every variant.",
        (("generated.png", 0.25, "Items generated from one part alone, by", ""),),
    ),
    (
        "Interpolations",
        "Each line leads from the code of one test image to that of another, in equal steps.",
        (("interpolations.png", 0.15, "Interpolations by", ""),),
    ),
    (
        "Traversals",
        "In each line one dimension of the first test image's code runs through the middle 96 % of "
        "what the test images have there; the widest dimension comes first. Where factors are "
        "known, each is labelled by the one that it follows most, with the share of that factor's "
        "entropy that it knows.",
        (("traversals.png", 0.15, "Latent traversals of", ""),),
    ),
    (
        "Nearest training images",
        "The samples that are nearest to a training image, in features, over those images.",
        (("nearest.png", 0.05, "Samples over their nearest training images, of", ""),),
    ),
    (
        "Training",
        "Samples of the same noise during training, an epoch a line.",
        (("film.png", 0.1, "Samples during the training of", ""),),
    ),
    (
        "Latent map",
        "The plane of the two latent dimensions, decoded.",
        (("map.png", 0.05, "Latent map of", ""),),
    ),
)


def panels(run: str, rows: list[Row], budget: int, records: Mapping[str, Record]) -> list[Panel]:
    """The kinds that any row has pictures of; a row takes those of its first cell that has them.

    Args:
        run: The run's folder.
        rows: The rows of a block.
        budget: Bytes that the pictures of one row may take.
        records: The cells by name.
    """
    found = []
    there = {cell: _names(run, cell) for row in rows for cell in row.cells}
    for title, text, files in [_samples(rows, there), *_KINDS]:
        entries, without = [], []
        for row in rows:
            shown, cells = [], []
            for name, share, words, head in files if row.entries else ():
                each, cell = _first(run, row, name, int(budget * share), there)
                shown.append(Shown(words, head, each))
                cells.append(cell)
            if any(each.picture for each in shown):
                entries.append((row, _note(records[cells[0]], files[0][0]), shown))
            elif row.entries:
                without.append(row.label)
        if entries:
            none = f" There are none of {', '.join(without)}." if without else ""
            found.append(Panel(title, text + none, entries))
    return found


def _names(run: str, cell: str) -> Set[str]:
    """The pictures in a cell's folder."""
    try:
        return {name for name in os.listdir(Path(run, "cells", cell)) if name.endswith(".png")}
    except OSError:
        return frozenset()


def _samples(rows: list[Row], there: Mapping[str, Set[str]]) -> _Kind:
    """Samples from the prior, from each sampler fitted after training, and reconstructions."""
    names = dict.fromkeys(
        name
        for row in rows
        for cell in row.cells
        for name in sorted(there[cell])
        if _SAMPLED.fullmatch(name)
    )
    known = {
        name: name.removeprefix("samples@").removesuffix(".png") for name in list(names)[:_SAMPLERS]
    }
    share = 0.25 / (1 + len(known))
    under = [(name, share, f"Samples under {each} of", each) for name, each in known.items()]
    text = (
        "Left, samples from the prior; right, each line of originals stands over the line of its "
        "reconstructions. The same inputs and seeds for every variant."
    )
    if known:
        text = (
            "Samples whose codes come from the prior or from what was fitted to the codes after "
            "training, and each line of originals over the line of its reconstructions. The same "
            "inputs and seeds for every variant."
        )
    return (
        "Samples and reconstructions",
        text,
        (
            ("samples.png", share, "Samples of", "prior" if known else ""),
            *under,
            (
                "reconstructions.png",
                0.25,
                "Originals over reconstructions by",
                "reconstructions" if known else "",
            ),
        ),
    )


def _first(
    run: str, row: Row, name: str, budget: int, there: Mapping[str, Set[str]]
) -> tuple[Picture | None, str]:
    for cell in row.cells:
        if name in there[cell] and (found := picture(run, cell, name, budget)):
            return found, cell
    return None, row.cells[0]


def _note(record: Record, name: str) -> str:
    """What the lines of a picture show, from the top."""
    if name == "film.png":
        epochs = record["train"].get("film")
        return "" if epochs is None else f"after epoch {', '.join(map(str, epochs[:_LINES]))}"
    words = record.get("captions", {}).get(name.removesuffix(".png"), [])
    said = "lines follow" if name == "traversals.png" else "a line each for"
    return f"{said} {', '.join(word[:_WORD] for word in words[:_LINES])}" if words else ""
