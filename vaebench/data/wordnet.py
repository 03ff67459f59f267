"""The definitions of WordNet 3.0, labelled by the lexicographer file that each stands in.

References:
    Fellbaum 1998; Princeton University 2006, whose licence permits any use.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from vaebench.data.images import Request
from vaebench.data.synthetic import within
from vaebench.data.text import Text
from vaebench.data.vocabulary import check, kept, text
from vaebench.errors import UserError

#: The definitions in each file.
COUNTS = {"noun": 82_115, "verb": 13_767, "adj": 18_156, "adv": 3_621}
#: Where Debian's package wordnet-base has them.
DEBIAN = Path("/usr/share/wordnet")
#: Different definitions for validation, and as many for testing.
HELD_OUT = 5_000
_EXAMPLES = re.compile(r';\s*"')
_WORD = re.compile(r"\w+(?:['.]\w+)*|[^\w\s]")


def read(request: Request, *, vocabulary: int = 10_000, length: int = 20, items: int = 0) -> Text:
    """Definitions without their examples in lower case, as words and punctuation.

    What is defined twice in the same words is in one split. Labels are numbers of files, 0 to 44.

    Args:
        request: Its folder holds `wordnet`, with `data.noun` and the others.
        vocabulary: The number of words that are kept.
        length: The tokens at which a definition is cut, its end counted.
        items: How many are for training, 0 for all; the others are the same for every number.

    Raises:
        UserError: The files are missing or damaged, or of another version.
    """
    check("wordnet", vocabulary, length)
    within("wordnet[items]", items, 0, sum(COUNTS.values()))
    folder = _folder(request.root / "wordnet")
    found = [each for part in COUNTS for each in _definitions(folder, part)]
    place: dict[str, int] = {}
    rows: tuple[list[int], ...] = ([], [], [])
    for row in np.random.default_rng(0).permutation(len(found)).tolist():
        nth = place.setdefault(found[row][1], len(place))
        rows[(nth < 2 * HELD_OUT) + (nth < HELD_OUT)].append(row)
    rows[0][items or len(rows[0]) :] = []
    words = [kept(_WORD.findall(definition), length) for _, definition in found]
    labels = torch.tensor([label for label, _ in found])
    again = len(found) - len(place)
    return text(
        [[words[row] for row in part] for part in rows],
        vocabulary,
        length,
        labels=[labels[part] for part in rows],
        notes=(
            f"Of {len(found)} definitions, {again} repeat another one; these are in its split.",
        ),
    )


def _folder(own: Path) -> Path:
    for folder in (own, DEBIAN):
        if all((folder / f"data.{part}").is_file() for part in COUNTS):
            return folder
    raise UserError(
        f"data.noun, data.verb, data.adj and data.adv of WordNet are neither in {own.absolute()} "
        f"nor in {DEBIAN}; install Debian's package wordnet-base, or name the folder that holds "
        "wordnet/ with --data-dir or $VAEBENCH_DATA."
    )


def _definitions(folder: Path, part: str) -> Iterator[tuple[int, str]]:
    """Labels and definitions of a file; lines that begin with a space are the licence."""
    path = folder / f"data.{part}"
    count = 0
    try:
        with path.open(encoding="utf-8") as file:
            for line in file:
                if line.startswith(" "):
                    continue
                data, _, gloss = line.partition(" | ")
                definition = _EXAMPLES.split(gloss, 1)[0].strip().lower()
                label = int(data.split()[1])
                if not definition or not 0 <= label < 45:
                    raise ValueError(line)
                count += 1
                yield label, definition
    except (OSError, ValueError, IndexError):
        count = 0
    if count != COUNTS[part]:
        raise UserError(
            f"{path} is damaged, or not of WordNet 3.0, which has {COUNTS[part]} definitions in "
            "it; install Debian's package wordnet-base, or copy its files there."
        )
