"""What is shown of items of several parts: drawn ones, copies, and parts given another one."""

import json
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor
from torch.nn.functional import pad

from vaebench.compute.random import seeded
from vaebench.data.dataset import subset
from vaebench.data.modalities import Modalities
from vaebench.data.observation import grey
from vaebench.evaluation.gallery import SHOWN, samples_under
from vaebench.evaluation.grid import COLUMNS, grid
from vaebench.evaluation.metrics.parts import codes_given, generated
from vaebench.evaluation.metrics.subject import Subject
from vaebench.evaluation.set_pictures import lines
from vaebench.models.distributions import sampled
from vaebench.models.metric import Unavailable

#: With words: test items, drawn ones, and parts that others are generated from.
_TEST, _DRAWN, _FROM = 8, 12, 8
#: Items by part: pictures (N, C, H, W) in [0, 1] or tokens (N, T).
Parts = Mapping[str, Tensor]


def part_pictures(subject: Subject) -> Iterator[tuple[str, bytes, list[str]]]:
    """The files of an evaluated cell of items with several parts.

    Parts that are pictures stand side by side. Where some are text, the lines of ``texts.json`` are
    items, and ``items-KIND.png`` has a line of pictures for each.

    Yields:
        The name of a file, its content, and what its lines show, where words say it.
    """
    images = subject.images
    assert isinstance(images, Modalities)
    if images.has_text:
        yield from _worded(subject, images)
    elif not pictured(images):
        yield "texts.json", b"{}", []
    else:
        yield from _pictured(subject, images)


def pictured(images: Modalities) -> list[str]:
    """The parts that can be pictured."""
    return [n for n, part in images.like.items() if part.kind == "pictures" and not part.real]


def _pictured(subject: Subject, images: Modalities) -> Iterator[tuple[str, bytes, list[str]]]:
    names = pictured(images)
    a_line = max(1, (COLUMNS + 1) // (len(names) + 1))
    shown, drawn = (min(a_line * most, len(images.test)) for most in (SHOWN // 8, SHOWN // 4))
    for name, other in _laws(subject):
        yield f"{name}.png", lines(beside(_drawn(other, drawn), names)), []
    originals = beside(_test(images, shown), names)
    if given := _given(subject, min(2 * a_line, shown)):
        some = [originals[: 2 * a_line], *(beside(parts, names) for parts in given.values())]
        yield "generated.png", lines(*some), ["test items", *(f"given {name}" for name in given)]
    # The last one, which says that all are there.
    yield "reconstructions.png", lines(originals, beside(_copies(subject, shown), names)), []


def _worded(subject: Subject, images: Modalities) -> Iterator[tuple[str, bytes, list[str]]]:
    count, names = min(_TEST, len(images.test)), pictured(images)
    said: dict[str, list[list[str]]] = {}
    for name, other in _laws(subject):
        parts = _drawn(other, _DRAWN)
        said[name.replace("samples", "drawn", 1)] = [[line] for line in _words(images, parts)]
        if names:
            yield f"items-{name.replace('samples', 'drawn', 1)}.png", _strip(parts, names), []
    kinds = {"": _test(images, count), "whole item": _copies(subject, count)}
    given = list(_given(subject, count).items())[:_FROM]
    kinds |= {f"given {name}": parts for name, parts in given}
    written = [
        [f"{kind}: {line}" if kind else line for line in _words(images, parts)]
        for kind, parts in kinds.items()
    ]
    said["items"] = [list(each) for each in zip(*written, strict=True)]
    if names:
        every = {
            name: torch.stack([parts[name].cpu() for parts in kinds.values()], 1).flatten(0, 1)
            for name in names
        }
        yield "items-items.png", _strip(every, names), []
    # The last one, which says that all are there.
    yield "texts.json", json.dumps(said, ensure_ascii=False).encode(), []


def _laws(subject: Subject) -> Iterator[tuple[str, Subject]]:
    """What items are drawn from: the prior, unless it means nothing, and the fitted samplers."""
    if "likelihood" not in subject.variant.deviations:
        yield "samples", subject
    for sampler, other in subject.others.items():
        yield samples_under(sampler), other


def _drawn(subject: Subject, count: int) -> Parts:
    with seeded(subject.seed, "items"), torch.no_grad():
        items = subject.items[torch.arange(count, device=subject.device) % len(subject.x)]
        return generated(subject, sampled(subject.prior(items), count))


def _copies(subject: Subject, count: int) -> Parts:
    with seeded(subject.seed, "items"), torch.no_grad():
        return generated(subject, subject.model.posterior(subject.h[:count]).sample())


def _given(subject: Subject, count: int) -> dict[str, Parts]:
    """All parts by the one that alone is known; none where whole items have to be."""
    assert isinstance(subject.images, Modalities)
    names = subject.images.layout.names
    if len(names) < 2:
        return {}
    try:
        codes = [codes_given(subject, number, count) for number in range(len(names))]
    except Unavailable:
        return {}
    return {name: generated(subject, z) for name, z in zip(names, codes, strict=True)}


def _test(images: Modalities, count: int) -> Parts:
    found = {}
    for name, part in images.parts.items():
        stored = subset(part.test, slice(count)).stored
        found[name] = stored if part.kind == "tokens" or part.real else grey(stored, part.levels)
    return found


def _words(images: Modalities, parts: Parts) -> list[str]:
    """What the texts among the parts say, of each item in a line."""
    texts = [part.words(parts[name].cpu()) for name, part in images.parts.items() if part.has_text]
    return [" · ".join(each) for each in zip(*texts, strict=True)]


def beside(parts: Parts, names: list[str]) -> Tensor:
    """Pictures of items (N, M, C, H, W), of the size of the largest, in colour if one is."""
    found = [parts[name].float().cpu() for name in names]
    channels, height, width = (max(x.shape[axis] for x in found) for axis in (1, 2, 3))
    alike = []
    for x in found:
        room = (0, width - x.shape[3], 0, height - x.shape[2])
        alike.append(pad(x.expand(-1, channels, -1, -1), room, value=1.0))
    return torch.stack(alike, 1)


def _strip(parts: Parts, names: list[str]) -> bytes:
    """A line of pictures for each item, one below the other."""
    return grid(beside(parts, names).flatten(0, 1), columns=len(names))
