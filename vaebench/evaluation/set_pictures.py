"""The pictures of a cell of sets: sets that its model draws, copies, and draws given others."""

from collections.abc import Iterator

import torch
from torch import Tensor

from vaebench.compute.random import seeded
from vaebench.data.observation import grey
from vaebench.evaluation.gallery import SHOWN, samples_under
from vaebench.evaluation.grid import COLUMNS, grid
from vaebench.evaluation.metrics.subject import Subject
from vaebench.models.chain import Chain
from vaebench.models.distributions import sampled
from vaebench.models.elements import Elements


def set_pictures(subject: Subject) -> Iterator[tuple[str, bytes]]:
    """The names of the files of an evaluated cell, and their contents.

    Real numbers have no pictures.
    """
    test = subject.images.test.pixels
    if test.is_floating_point():
        yield "texts.json", b"{}"
        return
    known = "likelihood" not in subject.variant.deviations
    shown = min(_in_a_line(test.shape[1]) * SHOWN // 4, len(test))
    if known:
        yield "samples.png", grid(laid(_drawn(subject, shown)))
        for sampler, other in subject.others.items():
            yield f"{samples_under(sampler)}.png", grid(laid(_drawn(other, shown)))
    originals = laid(grey(test[:shown], subject.images.levels).to(subject.device))
    with seeded(subject.seed, "sets"), torch.no_grad():
        q = subject.model.posterior(subject.h[:shown])
        if known:
            given = subject.model.pictures(_codes_given(subject, shown))
            yield "given.png", grid(originals, laid(given))
        copies = subject.model.pictures(q.sample())
    # The last one, which says that all are there.
    yield "reconstructions.png", grid(originals, laid(copies))


def _drawn(subject: Subject, count: int) -> Tensor:
    with seeded(subject.seed, "sets"), torch.no_grad():
        return subject.model.pictures(sampled(subject.prior(subject.items[:count]), count))


def _codes_given(subject: Subject, count: int) -> Tensor:
    """Codes (count, T) of other sets: those of the sets from q, of the elements from the prior."""
    observation = subject.model.observation
    assert isinstance(observation, Elements)
    q, p = subject.model.posterior(subject.h[:count]), subject.model.prior()
    if not observation.own or not isinstance(p, Chain):
        return q.sample()
    c = observation.of_set(q).sample()
    return torch.cat([c, p.after(c).sample()], -1)


def _in_a_line(elements: int) -> int:
    """The sets of so many elements that stand in a line, a gap between two."""
    return max(1, (COLUMNS + 1) // (elements + 1))


def laid(sets: Tensor) -> Tensor:
    """Sets (S, n, C, H, W) as pictures in lines of 16, with gaps; of large sets the first 16."""
    sets = sets[:, :COLUMNS]
    gap = torch.ones_like(sets[0, :1])
    lines = []
    for some in sets.split(_in_a_line(sets.shape[1])):
        line = torch.cat([part for each in some for part in (each, gap)])[:COLUMNS]
        lines += [line, gap.expand(COLUMNS - len(line), *gap.shape[1:])]
    return torch.cat(lines)
