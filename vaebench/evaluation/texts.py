"""The texts of a cell: what its model draws, copies, and makes of ways through its codes."""

import torch
from torch import Tensor

from vaebench.compute.random import seeded
from vaebench.data.text import Text
from vaebench.evaluation.functional.posteriors import posterior_means
from vaebench.evaluation.gallery import samples_under, sphere, way
from vaebench.evaluation.metrics.subject import Subject
from vaebench.models.distributions import sampled
from vaebench.models.tokens import Tokens

#: Samples and copies, and ways between two codes with so many stops.
SHOWN, _WAYS, _STOPS = 32, 4, 6
#: Letters of a text that are kept.
_LONGEST = 400
Lines = list[list[str]]


def texts(subject: Subject) -> dict[str, Lines]:
    """Samples, test sequences beside their copies, and ways between two codes, as lines of texts.

    Copies and the stops of a way are the most probable continuations, token by token.
    """
    observation, text = subject.model.observation, subject.images
    assert isinstance(observation, Tokens) and isinstance(text, Text)
    found: dict[str, Lines] = {}
    if "likelihood" not in subject.variant.deviations:
        found["samples"] = [[line] for line in _drawn(subject)]
        for sampler, other in subject.others.items():
            found[samples_under(sampler)] = [[line] for line in _drawn(other)]
    items = subject.items[:SHOWN]
    with seeded(subject.seed, "texts"), torch.no_grad():
        codes = posterior_means(subject.model.posterior(subject.h[:SHOWN]))[0]
        copies = _words(text, observation.likely(subject.model.told(codes, items)))
        pairs = zip(_words(text, items.x), copies, strict=True)
        found["reconstructions"] = [list(pair) for pair in pairs]
        ends = codes[: 2 * _WAYS]
        stops = way(ends[::2], ends[1::2], _STOPS, sphere(subject.p))
        under = items[torch.arange(len(ends) // 2).repeat_interleave(_STOPS) * 2]
        lines = _words(text, observation.likely(subject.model.told(stops, under)))
    found["interpolations"] = [lines[i : i + _STOPS] for i in range(0, len(lines), _STOPS)]
    return found


def _drawn(subject: Subject) -> list[str]:
    observation, text = subject.model.observation, subject.images
    assert isinstance(text, Text)
    items = subject.items[:SHOWN]
    with seeded(subject.seed, "texts"), torch.no_grad():
        z = sampled(subject.prior(items), len(items))
        return _words(text, observation.sample(subject.model.told(z, items)))


def _words(text: Text, tokens: Tensor) -> list[str]:
    return [line[:_LONGEST] for line in text.words(tokens.cpu())]
