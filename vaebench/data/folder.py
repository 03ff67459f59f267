"""Anyone's pictures in a folder, as a data set."""

import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vaebench.data import mapped
from vaebench.data.dataset import order, permuted
from vaebench.data.images import Images, Request, Split, stratified
from vaebench.data.pictures import Picture, coloured, decoder, read, stack, suffixes
from vaebench.errors import UserError

LEAST = 20
#: So many files are decoded once, into a cache that is mapped.
WORTH = 1000
#: Seconds within which a file may change twice and look as if it had not.
_SETTLED = 0.1
#: The names of folders that hold a split, in lower case.
SPLITS = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
#: Folders that archives, network drives and desktops add, as hidden as those with a dot.
_HIDDEN = ("__MACOSX", "@eaDir", "$RECYCLE.BIN")


@dataclass
class Listing:
    """The pictures of each split, and how many files and folders were passed over, by reason."""

    parts: dict[str, list[Path]]
    homes: dict[str, Path]
    passed: Counter[str] = field(default_factory=Counter)

    @property
    def classes(self) -> list[str]:
        """The folders that the pictures of every split are in; empty where some are in none."""
        names = {_class(path, self.homes[part]) for part in self.parts for path in self.parts[part]}
        return sorted(names) if len(names) > 1 and "" not in names else []

    def labels(self, part: str) -> list[int] | None:
        """The number of each picture's class, None without classes."""
        number = {name: i for i, name in enumerate(self.classes)}
        home = self.homes[part]
        return [number[_class(path, home)] for path in self.parts[part]] if number else None

    def divide(self, part: str, other: str, least: int) -> None:
        """Move a tenth of each class of `part`, in all at least `least` pictures, to `other`."""
        paths = self.parts[part]
        labels = self.labels(part) or [0] * len(paths)
        held = stratified(labels, max(least, len(paths) // 10))
        self.parts[part] = [path for path, out in zip(paths, held, strict=True) if not out]
        self.parts[other] = [path for path, out in zip(paths, held, strict=True) if out]
        self.homes[other] = self.homes[part]


def read_folder(request: Request) -> Images:
    """Anyone's pictures in random order, grey if all are, labelled by the folders they are in.

    The splits are the folders `train`, `valid` or `val`, and `test`, where `train` and another one
    exist; else a tenth of each class is for testing, and a tenth of the rest for validation.

    Raises:
        UserError: There is no such folder, it holds too few pictures, or one cannot be read.
    """
    root, side = request.root, request.size
    if side is None:
        raise UserError("A folder of images needs --image-size, the side length in pixels.")
    if not root.is_dir():
        raise UserError(
            f"{root} is not a folder; write --dataset folder:PATH with one of images, a comma in "
            "PATH as \\,."
        )
    why = ""
    known = mapped.state(root)
    if known.files >= WORTH and time.time() - known.latest > _SETTLED:
        try:
            return _kept(f"{known.digest} {side} {decoder()}", root, side)
        except OSError as error:
            why = f"decoded into memory, since their cache cannot be written ({error.strerror})"
    return _decoded(root, side, why)


def _decoded(root: Path, side: int, why: str) -> Images:
    """The pictures in memory, with a reason for that if there is one to give."""
    found = divided(root)
    changes: Counter[str] = Counter()
    size = side, side

    def split(part: str) -> Split:
        paths, labels = found.parts[part], found.labels(part)
        pictures = _counted((read(path, size) for path in paths), changes)
        pixels = stack(pictures, len(paths), size)
        return permuted(Split(pixels, None if labels is None else torch.tensor(labels)))

    splits = {part: split(part) for part in SPLITS}
    if any(each.pixels.shape[1] > 1 for each in splits.values()):
        splits = {part: Split(coloured(s.pixels), s.labels) for part, s in splits.items()}
    else:
        del changes["grey made colour"]
    train, validation, test = (splits[part] for part in SPLITS)
    notes = [*_notes(found, changes), *([f"The pictures are {why}."] if why else [])]
    return Images(train, validation, test, notes=tuple(notes))


def _kept(identity: str, root: Path, side: int) -> Images:
    """The pictures from the cache, decoded into it where they are not there."""
    known = mapped.kept(f"folder {identity}", lambda part: _written(root, side, part))
    train, validation, test = (
        Split(known.pixels[part], None if known.labels is None else known.labels[part])
        for part in SPLITS
    )
    return Images(train, validation, test, notes=known.notes)


def _written(root: Path, side: int, home: Path) -> dict[str, Any]:
    """Decode the pictures into a folder of the cache, see `mapped.kept`."""
    found = divided(root)
    orders = {part: order(len(found.parts[part])) for part in SPLITS}
    changes: Counter[str] = Counter()
    if not _put(found, orders, side, 1, home / mapped.PIXELS, changes):
        changes.clear()
        _put(found, orders, side, 3, home / mapped.PIXELS, changes)
    else:
        del changes["grey made colour"]
    if found.classes:
        labels = [np.array(found.labels(part))[orders[part]] for part in SPLITS]
        np.save(home / mapped.LABELS, np.concatenate(labels))
    counts = {part: len(found.parts[part]) for part in SPLITS}
    return {"counts": counts, "notes": list(_notes(found, changes))}


def _put(
    found: Listing,
    orders: Mapping[str, np.ndarray],
    side: int,
    channels: int,
    path: Path,
    changes: Counter[str],
) -> bool:
    """Write all pictures in their order; False where one is in colour and there is one channel."""
    total = sum(map(len, orders.values()))
    with mapped.Writer(path, (total, channels, side, side)) as writer:
        start = 0
        for part, of in orders.items():
            places = start + np.argsort(of)
            pictures = _counted((read(each, (side, side)) for each in found.parts[part]), changes)
            for place, picture in zip(places.tolist(), pictures, strict=True):
                if len(picture.pixels) > channels:
                    return False
                writer.put(place, picture.pixels.expand(channels, -1, -1))
            start += len(of)
    return True


def divided(root: Path) -> Listing:
    """The pictures under a folder, in three splits.

    Raises:
        UserError: There are too few of them.
    """
    found = listing(root)
    count = sum(map(len, found.parts.values()))
    if count < LEAST:
        raise UserError(
            f"{root} holds {count} images; at least {LEAST} are needed{_but(found.passed)}."
        )
    for part, least in (("test", 2), ("validation", 1)):
        if part not in found.parts:
            found.divide("train", part, least)
    return found


def listing(root: Path) -> Listing:
    """The pictures under a folder, in the splits that it has itself."""
    passed: Counter[str] = Counter()
    homes = _homes(root)
    parts = {part: pictures(home, passed) for part, home in homes.items()}
    parts = {part: paths for part, paths in parts.items() if paths}
    if "train" not in parts or len(parts) < 2:
        passed.clear()
        return Listing({"train": pictures(root, passed)}, {"train": root}, passed)
    names = " and ".join(f"{home.name}/" for home in homes.values())
    if outside := len(pictures(root, passed, set(homes.values()))):
        passed[f"pictures outside of {names}"] += outside
    return Listing(parts, {part: homes[part] for part in parts}, passed)


def pictures(
    folder: Path, passed: Counter[str], without: Collection[Path] = frozenset()
) -> list[Path]:
    """The files in and below a folder that are named as pictures, sorted; links are followed.

    Args:
        folder: Where to look; each folder is read once, however many links lead to it.
        passed: Counts what is passed over, by reason.
        without: Folders that are not looked into.
    """
    ends = suffixes()
    seen: set[tuple[int, int]] = set()
    todo, found = [folder], []
    while todo:
        here = todo.pop()
        try:
            status = here.stat()
            if (key := (status.st_dev, status.st_ino)) in seen:
                passed["a folder that another link leads to"] += 1
                continue
            seen.add(key)
            # Folders themselves before links to them.
            entries = sorted(here.iterdir(), key=lambda path: (path.is_symlink(), path))
        except OSError:
            passed["cannot be opened"] += 1
            continue
        inside = []
        for path in entries:
            kind = _kind(path, ends)
            if kind == "folder":
                inside += [path] if path not in without else []
            elif kind == "picture":
                found.append(path)
            else:
                passed[kind] += 1
        todo += reversed(inside)
    return sorted(found)


def _kind(path: Path, ends: Collection[str]) -> str:
    """``folder``, ``picture``, or why it is passed over."""
    if path.name.startswith(".") or path.name in _HIDDEN:
        return "hidden"
    try:
        if path.is_dir():
            return "folder"
        if not path.is_file():
            return "not a regular file" if path.exists() else "a link that leads nowhere"
    except OSError:
        return "cannot be opened"
    end = path.suffix.lower()
    return "picture" if end in ends else f"not an image format ({end[:9] or 'no ending'})"


def _homes(root: Path) -> dict[str, Path]:
    """The folders that are named as splits; UserError where two are named as the same one."""
    homes: dict[str, Path] = {}
    part_of = {name: part for part, names in SPLITS.items() for name in names}
    for path in sorted(root.iterdir()):
        part = part_of.get(path.name.lower())
        if part and path.is_dir():
            if part in homes:
                raise UserError(f"{homes[part]} and {path} both name a split; rename one of them.")
            homes[part] = path
    return homes


def _class(path: Path, home: Path) -> str:
    """The folder right below `home` that a picture is in, empty where it is in none."""
    parts = path.relative_to(home).parts
    return parts[0] if len(parts) > 1 else ""


def _counted(pictures: Iterable[Picture], changes: Counter[str]) -> Iterator[Picture]:
    for picture in pictures:
        changes.update(picture.changes)
        if len(picture.pixels) == 1:
            changes["grey made colour"] += 1
        yield picture


def _notes(found: Listing, changes: Counter[str]) -> Iterator[str]:
    counts = {part: len(found.parts[part]) for part in SPLITS}
    own = [part for part in SPLITS if found.homes[part] != found.homes["train"]]
    text = ", ".join(
        f"{counts[part]} {part}" + (f" ({found.homes[part].name}/)" if part in own else "")
        for part in SPLITS
    )
    if classes := found.classes:
        text += f"; {len(classes)} classes, named by folders"
    yield f"{sum(counts.values())} pictures read ({text}){_but(found.passed)}."
    if changes:
        yield f"Converted: {_list(changes)}."


def _but(passed: Counter[str]) -> str:
    return f"; {passed.total()} passed over: {_list(passed)}" if passed else ""


def _list(counts: Counter[str], most: int = 8) -> str:
    shown = [f"{count} × {what}" for what, count in counts.most_common(most)]
    rest = counts.total() - sum(count for _, count in counts.most_common(most))
    return ", ".join([*shown, f"{rest} × something else"] if rest else shown)
