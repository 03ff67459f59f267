"""Anyone's sentences, one a line, as a data set."""

import stat
from collections import Counter
from collections.abc import Iterator
from itertools import compress, count
from pathlib import Path

from vaebench.data.folder import LEAST, SPLITS
from vaebench.data.images import Request, stratified
from vaebench.data.text import Text
from vaebench.data.vocabulary import Words, check, kept, most_sentences, text
from vaebench.errors import UserError, printable

#: The most bytes of a file, and of a line of it.
BYTES, LINE = 100_000_000, 65_536


def read(
    request: Request, *, vocabulary: int = 10_000, length: int = 50, characters: bool = False
) -> Text:
    """The sentences of a file, a line each, or of `train.txt`, `valid.txt` and `test.txt`.

    Words are what stands between spaces. A tenth of the sentences is for testing and a tenth of the
    rest for validation where there are no files for these.

    Args:
        request: Its folder is the file, or the folder that holds them.
        vocabulary: The number of words, or of characters, that are kept.
        length: The tokens at which a sentence is cut, its end counted.
        characters: Whether tokens are characters.

    Raises:
        UserError: There is no such file, it is too large, no text, or has too few sentences.
    """
    check("text", vocabulary, length)
    passed: Counter[str] = Counter()
    parts = {
        part: _sentences(path, length, characters, passed)
        for part, path in _files(request.root).items()
    }
    number = sum(map(len, parts.values()))
    if number < LEAST:
        raise UserError(f"{request.root} holds {number} sentences; at least {LEAST} are needed.")
    for part, least in (("test", 2), ("validation", 1)):
        if part not in parts:
            learned = parts["train"]
            held = stratified([0] * len(learned), max(least, len(learned) // 10))
            parts["train"] = list(compress(learned, ~held))
            parts[part] = list(compress(learned, held))
    for part, found in parts.items():
        if not found:
            raise UserError(f"{request.root} has no sentence for its {part} split; add some.")
    return text(
        [parts[part] for part in SPLITS],
        vocabulary,
        length,
        separator="" if characters else " ",
        noun="characters" if characters else "words",
        notes=tuple(f"{number} × {what}." for what, number in passed.items() if number),
    )


def _files(root: Path) -> dict[str, Path]:
    """The files of each split; where there is one file alone, of training."""
    if not root.is_dir():
        return {"train": root}
    found: dict[str, Path] = {}
    part_of = {f"{name}.txt": part for part, names in SPLITS.items() for name in names}
    for path in sorted(root.iterdir()):
        if part := part_of.get(path.name.lower()):
            if part in found:
                raise UserError(f"{found[part]} and {path} both name a split; rename one of them.")
            found[part] = path
    if "train" not in found:
        raise UserError(
            f"{root} is a folder without train.txt; write --dataset text:FILE with a file of "
            "sentences, one a line, or put train.txt, valid.txt and test.txt there."
        )
    return found


def _sentences(path: Path, length: int, characters: bool, passed: Counter[str]) -> list[Words]:
    found: list[Words] = []
    for line in lines(path):
        shown = printable(line, LINE).strip()
        if not shown:
            passed["blank lines, passed over"] += 1
            continue
        passed["lines with control characters, replaced by \ufffd"] += shown != line.strip()
        found.append(kept(shown if characters else shown.split(), length))
        if len(found) > most_sentences(length):
            raise UserError(
                f"{path} has more than {most_sentences(length)} sentences, which is too many of "
                f"{length} tokens; take fewer, or a smaller text[length]."
            )
    return found


def lines(path: Path) -> Iterator[str]:
    """The lines of a file in UTF-8; UserError where one of them or all together are too long."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UserError(f"{path} is not a regular file; name one with a sentence a line.")
        with path.open("rb") as file:
            size = 0
            for number in count(1):
                raw = file.readline(LINE + 1)
                size += len(raw)
                if not raw:
                    return
                if len(raw) > LINE:
                    raise UserError(
                        f"{path} has a line {number} of more than {LINE} bytes; write a sentence a "
                        "line."
                    )
                if size > BYTES:
                    raise UserError(f"{path} has more than {BYTES} bytes; take a part of it.")
                yield raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise UserError(
            f"{path} is not UTF-8: line {number} has the byte 0x{byte:02x}; convert it, for "
            "example with iconv -f LATIN1 -t UTF-8."
        ) from error
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror or error}); name a file of sentences, one a "
            "line; in --dataset text:FILE write a comma in FILE as \\,."
        ) from error
