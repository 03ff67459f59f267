"""The words of a cell's tokens, which stay in its folder: its model is of use without its data."""

from pathlib import Path
from typing import Any

import torch

from vaebench.data.text import Sentences, Text
from vaebench.errors import UserError, printable
from vaebench.runs import files
from vaebench.runs.described import Described

_NAME = "vocabulary.json"


def keep(folder: Path, text: Text) -> None:
    """Write the vocabulary of a text into a cell's folder."""
    files.write_json(folder / _NAME, {"words": text.vocabulary, "separator": text.separator})


def kept(run: Path | str, name: str, known: Described) -> Text:
    """A text of the length and vocabulary of a cell's; UserError where these are not kept."""
    length, symbols = known.shape
    path = files.file(run, f"cells/{name}/{_NAME}")
    if path is None:
        raise UserError(
            f"{name} holds no {_NAME}, which older versions did not write; delete its folder "
            "and run the same command again."
        )
    found = files.read_json(path)
    words: Any = found.get("words")
    separator: Any = found.get("separator")
    good = isinstance(words, list) and len(words) == symbols and separator in ("", " ")
    if not good or any(type(word) is not str or printable(word) != word for word in words):
        raise UserError(
            f"{path} is damaged; delete the cell's folder and run the same command again."
        )
    some = Sentences(torch.zeros(1, length, dtype=torch.int32))
    return Text(some, some, some, vocabulary=tuple(words), separator=separator)
