"""The trained cell whose decoder a run freezes: where it is found, and its copy in the run.

A run keeps it as ``decoder/cells/NAME``, so that it needs the cell's own run no more. No torch.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from vaebench.errors import UserError
from vaebench.runs import files, records

#: The folder of a run that keeps the cell, as a run of its own.
KEPT = "decoder"
#: The largest file of weights that is read, in bytes.
LARGEST = 4 * 2**30
#: What is kept of a cell beside its result.
_WEIGHTS, _BESIDE = "model.safetensors", ("vocabulary.json",)
_SPELLED = re.compile(r"(?P<path>.+?)(@(?P<digest>[0-9a-f]{16}))?")


class Asked(NamedTuple):
    """What ``--decoder-of`` names.

    Attributes:
        path: The folder of a cell, or its name.
        digest: The digest that the weights of its decoder must have, empty for any.
    """

    path: Path
    digest: str

    @property
    def run(self) -> Path:
        """The run that the folder is in."""
        return self.path.parents[1]

    @property
    def name(self) -> str:
        """The cell's name."""
        return self.path.name

    def __str__(self) -> str:
        return f"{self.path}@{self.digest}" if self.digest else str(self.path)


def asked(text: str) -> Asked:
    """The path, and the digest if any, of ``PATH`` or ``PATH@DIGEST``."""
    found = _SPELLED.fullmatch(text)
    return Asked(Path(found["path"] if found else text), (found and found["digest"]) or "")


def found(text: str, runs: Iterable[Path]) -> Asked:
    """The cell that ``--decoder-of`` names, with the absolute path of its folder.

    Args:
        text: Its folder, or ``NAME@DIGEST`` as in a run's config.yaml.
        runs: Where copies of it may be, if its folder is not there any more.

    Raises:
        UserError: There is no such cell.
    """
    wanted = asked(text)
    for path in _places(wanted, runs):
        if (path / "result.json").is_file():
            return Asked(path.resolve(), wanted.digest)
    if (wanted.path / "cells").is_dir():
        raise UserError(f"--decoder-of {text} is a run; name one of its cells, {text}/cells/….")
    raise UserError(
        f"--decoder-of {text}: there is no such cell; name the folder of a trained one, such as "
        "results/NAME/cells/CELL, or with --out the run that keeps a copy of it."
    )


def _places(wanted: Asked, runs: Iterable[Path]) -> Iterator[Path]:
    if wanted.path.absolute().parent.name == "cells":
        yield wanted.path
    for run in runs:
        yield run / KEPT / "cells" / wanted.path.name
    if wanted.digest:
        for folder in sorted(Path("results").glob("*")):
            yield folder / KEPT / "cells" / wanted.path.name
            yield folder / "cells" / wanted.path.name


def told(values: dict[str, Any], runs: Iterable[Path]) -> dict[str, Any]:
    """Settings as they are asked for, with the path of a frozen decoder's cell and its data set.

    A data set or critic that is asked for stays, to be refused where it does not fit.

    Raises:
        UserError: There is no such cell.
    """
    if not isinstance(text := values.get("decoder_of"), str):
        return values
    cell = found(text, runs)
    dataset = records.one(cell.run, cell.name)["config"].get("dataset")
    inherited = {"critic": "none"} | ({"dataset": [dataset]} if dataset else {})
    return inherited | values | {"decoder_of": str(cell)}


def keep(run: Path, cell: Asked) -> None:
    """Copy a cell's result and weights into a run that freezes its decoder, unless they are there.

    Raises:
        UserError: The cell has no weights that can be read.
    """
    target = run / KEPT / "cells" / cell.name
    if target.resolve() == cell.path.resolve() or _same(target, cell.path):
        return
    contents = {name: _read(cell, name) for name in (_WEIGHTS, *_BESIDE)}
    if contents[_WEIGHTS] is None:
        raise UserError(f"{cell.path} holds no {_WEIGHTS}; name a cell whose weights are there.")
    for name, content in contents.items():
        if content is not None:
            files.write_bytes(target / name, content)
    files.write_result(target, files.read_json(cell.path / "result.json"))  # type: ignore[arg-type]


def carried(run: Path, decoder_of: str | None) -> dict[str, bytes]:
    """The files of the kept cell by their paths in the run, for a machine that has no such run."""
    if decoder_of is None:
        return {}
    folder = run / KEPT / "cells" / asked(decoder_of).name
    return {str(p.relative_to(run)): p.read_bytes() for p in sorted(folder.glob("[!.]*"))}


def _same(one: Path, other: Path) -> bool:
    """Whether a folder holds the weights of another, and they are as they were written."""
    if files.flaw(one) is not None:
        return False
    vouched = (files.read_json(path / "result.json").get("files", {}) for path in (one, other))
    first, second = (found.get(_WEIGHTS) for found in vouched)
    return first is not None and first == second


def _read(cell: Asked, name: str) -> bytes | None:
    path = files.file(cell.run, f"cells/{cell.name}/{name}", LARGEST)
    return None if path is None else path.read_bytes()
