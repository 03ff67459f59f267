"""The pictures of a cell of sets: sets that its model draws, copies, and draws given others."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import pad

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
        yield "samples.png", lines(_drawn(subject, shown))
        for sampler, other in subject.others.items():
            yield f"{samples_under(sampler)}.png", lines(_drawn(other, shown))
    originals = grey(test[:shown], subject.images.levels).to(subject.device)
    with seeded(subject.seed, "sets"), torch.no_grad():
        q = subject.model.posterior(subject.h[:shown])
        if known:
            given = subject.model.pictures(_codes_given(subject, shown))
            yield "given.png", lines(originals, given)
        copies = subject.model.pictures(q.sample())
    # The last one, which says that all are there.
    yield "reconstructions.png", lines(originals, copies)


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


def lines(*stacks: Tensor) -> bytes:
    """Stacks of sets (S, n, C, H, W) as one PNG, line by line; of large sets the first 16."""
    elements = min(stacks[0].shape[1], COLUMNS)
    columns = _in_a_line(elements) * (elements + 1) - 1
    return grid(*(laid(stack[:, :elements], columns) for stack in stacks), columns=columns)


def laid(sets: Tensor, columns: int) -> Tensor:
    """Sets (S, n, C, H, W) as pictures in lines of so many, a white one between two sets."""
    apart = pad(sets, (0, 0) * 3 + (0, 1), value=1.0)
    some = apart.split((columns + 1) // apart.shape[1])
    full = [pad(line.flatten(0, 1), (0, 0) * 3 + (0, columns + 1), value=1.0) for line in some]
    return torch.cat([line[:columns] for line in full])
