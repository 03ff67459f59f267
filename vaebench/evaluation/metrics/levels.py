"""Columns about levels: what the first blocks of a chain of conditionals say of an image."""

from typing import NamedTuple

import torch
from torch import Tensor

from vaebench.compute.random import seeded
from vaebench.evaluation.metrics.subject import Subject
from vaebench.models.chain import Chain
from vaebench.models.draw import draw
from vaebench.models.metric import ELBO, Measurement, Metric, Unavailable

#: Most draws from q for each image, and decoder passes for each level above which they get fewer.
DRAWS, PASSES = 8, 4000


class Levels(NamedTuple):
    """What is lost of N images with the first 0, 1, …, T blocks from q and the rest from p.

    Attributes:
        blocks: Their names.
        rates: KL (T, N) of each block given those before it, nats.
        distortions: -E[log p(x|z)] (T + 1, N), nats.
        draws: Draws for each image.
    """

    blocks: list[str]
    rates: Tensor
    distortions: Tensor
    draws: int


def levels(subject: Subject) -> Levels:
    """The curve of all test images; Unavailable where z is not made of several blocks."""
    q, p = subject.q, subject.p
    if not (isinstance(q, Chain) and isinstance(p, Chain)) or len(q.sizes) < 2:
        raise Unavailable("z is not made of several levels")
    if list(q.sizes.items()) != list(p.sizes.items()):
        raise Unavailable("q(z|x) and p(z) draw their levels in different orders")
    draws = max(2, min(DRAWS, PASSES // len(subject.x)))
    parts = []
    with seeded(subject.seed, "levels"), torch.no_grad():
        for some in subject.items.split(max(1, subject.rows // draws)):
            of_some = subject.prior(some)
            assert isinstance(of_some, Chain)
            made = draw(subject.model.encode(some), of_some, _nothing, draws, stratified=False)
            known = [of_some.completed(made.z, count) for count in range(len(q.sizes))]
            lost = [-subject.model.log_likelihood(z, some).mean(0) for z in (*known, made.z)]
            rates = torch.stack([rate.mean(0) for rate in made.rates.values()])
            parts.append((rates.double(), torch.stack(lost).double()))
    rates, lost_of = (torch.cat(each, 1) for each in zip(*parts, strict=True))
    return Levels(list(q.sizes), rates, lost_of, draws)


def _nothing(z: Tensor) -> Tensor:
    return z.new_zeros(z.shape[:-1])


def first_level(subject: Subject) -> Measurement:
    """The distortion where the first block alone comes from q, with the curve over all levels."""
    found = subject.once(levels)
    rate = torch.cat([found.rates.new_zeros(1), found.rates.mean(1).cumsum(0)])
    curve = {
        "blocks": found.blocks,
        "rate": rate.tolist(),
        "distortion": found.distortions.mean(1).tolist(),
    }
    depends = subject.depends(draws=found.draws)
    return Measurement.mean(found.distortions[1], detail={"levels": curve}, **depends)


METRICS = (
    Metric(
        name="distortion_first_level",
        group="levels",
        title="Distortion of the first level",
        unit="nats/image",
        better="lower",
        description=(
            "-E[log p(x|z)] with the first level of z from q(z|x) and those after it from the "
            "prior given it; with the curve over all levels."
        ),
        needs=ELBO,
        compute=first_level,
    ),
)
