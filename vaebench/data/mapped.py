"""Pictures that were decoded once, kept on disk and mapped into every process that reads them.

A folder of the cache holds the pixels of all splits as one array, their labels, and a record with
checksums of both. It is named by the digest of what it was made of, is written beside its place and
renamed, and is made again where it is damaged in any way.
"""

import errno
import mmap
import os
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4
from weakref import WeakKeyDictionary, finalize

import numpy as np
import torch
from torch import Tensor

from vaebench.config.resources import cache_folder
from vaebench.errors import UserError
from vaebench.runs import files
from vaebench.runs.lock import alone

#: Part of every name: raise it when the way that pictures are decoded or kept changes.
VERSION = 1
#: Bytes that all data sets may take, the one that was used last aside.
ROOM = 2**34
#: Bytes of a mapped array that are looked at before they are given back.
_PIECE = 2**25
#: Files of a data set.
PIXELS, LABELS = "pixels.npy", "labels.npy"
_ABOUT = "about.json"


class _File(NamedTuple):
    """What a map is of: an open file, and the bytes of memory that it lies at."""

    number: int
    memory: range


_maps: WeakKeyDictionary[mmap.mmap, _File] = WeakKeyDictionary()


class Kept(NamedTuple):
    """Pixels and labels of each split, in their order, and what is said of them."""

    pixels: dict[str, Tensor]
    labels: dict[str, Tensor] | None
    notes: tuple[str, ...]


class State(NamedTuple):
    """A digest of all below a folder, the time of its latest change, and the number of files."""

    digest: str
    latest: float
    files: int


class Writer:
    """An array of pictures on disk that is written in any order, and closed as a context.

    Args:
        path: The file, in NumPy's format.
        shape: N, channels, height and width.

    Raises:
        OSError: The file cannot be written, or the disk has no room for all of it.
    """

    def __init__(self, path: Path, shape: tuple[int, int, int, int]) -> None:
        self.size = int(np.prod(shape[1:]))
        with path.open("wb") as file:
            described = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, described)
            self.start = file.tell()
        self.file = os.open(path, os.O_RDWR)
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(self.file, 0, self.start + shape[0] * self.size)
        except OSError:
            os.close(self.file)
            raise

    def put(self, row: int, pixels: Tensor) -> None:
        """Write the picture (C, H, W) of a row."""
        content = pixels.contiguous().numpy().data.cast("B")
        os.pwrite(self.file, content, self.start + row * self.size)

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.file)


def kept(identity: str, make: Callable[[Path], Mapping[str, Any]]) -> Kept:
    """The pictures that an identity stands for, made by one process while others wait.

    Args:
        identity: What they depend on, all of it.
        make: Writes pixels and, if any, labels into a folder, and returns the numbers of pictures
            of each split as ``counts`` and the sentences on them as ``notes``.

    Raises:
        OSError: The cache cannot be written.
        UserError: From `make`.
    """
    whole = f"{VERSION} {identity}"
    home = cache_folder() / "pictures"
    folder = home / sha256(whole.encode()).hexdigest()
    found = _read(folder, whole)
    if found is not None:
        return found
    home.mkdir(parents=True, exist_ok=True)
    with alone(folder.with_suffix(".lock")):
        found = _read(folder, whole)
        if found is None:
            _write(folder, whole, make)
            found = _read(folder, whole)
            prune(home)
    if found is None:
        raise OSError(errno.EIO, "what was written cannot be read back", str(folder))
    return found


def _write(folder: Path, identity: str, make: Callable[[Path], Mapping[str, Any]]) -> None:
    for left in folder.parent.glob(f".{folder.name}.*.part"):
        shutil.rmtree(left, ignore_errors=True)
    part = folder.with_name(f".{folder.name}.{uuid4().hex}.part")
    part.mkdir()
    try:
        about = {**make(part), "identity": identity}
        for name in (PIXELS, LABELS):
            if (part / name).exists():
                about[name] = _digest(part / name)
        files.write_json(part / _ABOUT, about)
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _read(folder: Path, identity: str) -> Kept | None:
    """What a folder of the cache holds; None where it holds nothing, or anything else."""
    try:
        about = files.read_json(folder / _ABOUT)
        counts, notes = about["counts"], tuple(map(str, about["notes"]))
        if about["identity"] != identity:
            return None
        for name in (PIXELS, LABELS):
            if name in about and _digest(folder / name) != about[name]:
                return None
        pixels = np.load(folder / PIXELS, mmap_mode="r", allow_pickle=False)
        labels = np.load(folder / LABELS, allow_pickle=False) if LABELS in about else None
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or len(pixels) != sum(counts.values()):
            return None
        if labels is not None and labels.shape != (len(pixels),):
            return None
        os.utime(folder)
    except (UserError, OSError, KeyError, TypeError, ValueError, AttributeError):
        return None
    _remember(pixels, folder / PIXELS)
    with warnings.catch_warnings():
        # Nobody writes to what is read from a data set.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        whole = torch.from_numpy(pixels)
    sizes = list(counts.values())
    each = dict(zip(counts, whole.split(sizes), strict=True))
    if labels is None:
        return Kept(each, None, notes)
    of = torch.from_numpy(labels.astype(np.int64)).split(sizes)
    return Kept(each, dict(zip(counts, of, strict=True)), notes)


def _remember(pixels: np.ndarray, path: Path) -> None:
    """Note what an array is mapped from, for as long as it is."""
    if isinstance(pixels, np.memmap) and isinstance(pixels.base, mmap.mmap):
        first = pixels.ctypes.data - pixels.offset
        number = os.open(path, os.O_RDONLY)
        finalize(pixels.base, os.close, number)
        _maps[pixels.base] = _File(number, range(first, first + len(pixels.base)))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def rows(stored: Tensor, chosen: Tensor) -> Tensor:
    """The rows `chosen` (B,) of a tensor; those of a mapped one are read from its file.

    Looking at a row of a map would bring up to two megabytes around it into this process's memory.

    Raises:
        OSError: The file cannot be read.
    """
    file = next((one for one in _maps.values() if stored.data_ptr() in one.memory), None)
    if file is None or not stored.is_contiguous():
        return stored.index_select(0, chosen)
    found = torch.empty((len(chosen), *stored.shape[1:]), dtype=stored.dtype)
    content = found.flatten(1).numpy()
    start = stored.data_ptr() - file.memory.start
    for row, place in zip(content, chosen.tolist(), strict=True):
        if os.preadv(file.number, [row], start + place * row.nbytes) != row.nbytes:
            raise OSError(errno.EIO, "the pictures in the cache end too soon")
    return found


def pieces(stored: Tensor) -> Iterator[Tensor]:
    """Rows of a tensor, some at a time; mapped ones leave memory when they have been looked at."""
    rows = max(1, _PIECE // max(1, stored[:1].numel() * stored.element_size()))
    for some in stored.split(rows):
        yield some
        release()


def release() -> None:
    """Give back the pages of mapped arrays, which come again from the disk when they are needed."""
    for each in list(_maps) if hasattr(mmap, "MADV_DONTNEED") else ():
        with suppress(OSError, ValueError):
            each.madvise(mmap.MADV_DONTNEED)


def prune(home: Path, room: int = ROOM) -> None:
    """Remove the data sets that were used longest ago until the others fit into `room` bytes."""
    found = []
    for folder in home.iterdir():
        with suppress(OSError):
            if folder.is_dir():
                size = sum(path.stat().st_size for path in folder.iterdir())
                found.append((folder.stat().st_mtime, size, folder))
    taken = 0
    for number, (_, size, folder) in enumerate(sorted(found, reverse=True)):
        taken += size
        if number and taken > room:
            shutil.rmtree(folder, ignore_errors=True)


def state(root: Path) -> State:
    """What all below a folder looks like from outside: names, sizes and times; links are followed.

    A file that is written anew has another time of change, which no program sets.
    """
    digest, latest, count = sha256(), 0.0, 0
    todo, seen = [os.fspath(root)], set()
    while todo:
        here = todo.pop()
        try:
            about = os.stat(here)
            if (key := (about.st_dev, about.st_ino)) in seen:
                continue
            seen.add(key)
            with os.scandir(here) as entries:
                inside = sorted(entries, key=lambda each: each.name)
        except OSError:
            inside = []
        digest.update(f"{os.path.relpath(here, root)!r}\n".encode("utf-8", "replace"))
        for entry in inside:
            line, time, folder = _line(entry)
            digest.update(line.encode("utf-8", "replace"))
            latest, count = max(latest, time), count + (not folder)
            todo += [entry.path] if folder else []
    return State(digest.hexdigest(), latest, count)


def _line(entry: "os.DirEntry[str]") -> tuple[str, float, bool]:
    """An entry of a folder in a line, when it was changed, and whether it is a folder itself."""
    try:
        about, folder = entry.stat(), entry.is_dir()
    except OSError:
        return f"{entry.name!r} ?\n", 0.0, False
    size = 0 if folder else about.st_size
    line = f"{entry.name!r} {folder} {size} {about.st_mtime_ns} {about.st_ctime_ns}\n"
    return line, about.st_ctime, folder
