"""Columns about what is new: overfitting, copies, missed classes, foreign images."""

import math
from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from vaebench.data.dataset import subset
from vaebench.evaluation.functional import novelty
from vaebench.evaluation.functional.summaries import quantiles
from vaebench.evaluation.metrics.features import MOST_DIMENSIONS
from vaebench.evaluation.metrics.subject import MOST_IMAGES, Subject
from vaebench.models.items import Items
from vaebench.models.metric import ELBO, MODEL, Measurement, Metric, Unavailable

#: Images that a search for neighbours, or a set of foreign images, takes at most.
MOST_QUERIES = 1000
#: Draws from q for each image to be told apart: both sides need the same.
DRAWS = 8
#: Pairs of a sample and its nearest training image that are kept for the page.
PAIRS = 16


def generalisation_gap(subject: Subject) -> Measurement:
    """How much higher the ELBO is on training images."""
    count = min(len(subject.x), len(subject.images.train))
    seen = subject.meet(subset(subject.images.train, slice(count)), "train")
    known = subject.terms_of(seen, "training draws").elbo
    new = subject.terms.elbo
    se = math.sqrt((known.double().var() / count + new.double().var() / len(new)).item())
    return Measurement(
        (known.double().mean() - new.double().mean()).item(),
        count,
        se,
        subject.depends(draws=subject.terms.draws),
        detail={"train": known.double().mean().item(), "test": new.double().mean().item()},
    )


class Closest(NamedTuple):
    """Distances (M,) of samples and of test images to their nearest of N training images.

    `rows` (M,) says which training image is nearest to each sample.
    """

    samples: Tensor
    rows: Tensor
    real: Tensor
    training: int

    def pairs(self) -> list[tuple[int, int, float]]:
        """Sample, training image and distance of the closest pairs, the closest first."""
        order = self.samples.argsort()[:PAIRS].tolist()
        return [(i, int(self.rows[i]), self.samples[i].item()) for i in order]


def closest(subject: Subject) -> Closest:
    """Look among all training images, or the first ten thousand where features are large."""
    total = len(subject.images.train)
    small = subject.real.features.shape[1] <= MOST_DIMENSIONS
    points = subject.training_features(total if small else min(total, MOST_IMAGES)).features
    samples, rows = novelty.nearest(subject.sample_features[:MOST_QUERIES], points)
    real, _ = novelty.nearest(subject.real.features[:MOST_QUERIES], points)
    return Closest(samples, rows, real, len(points))


def copies(subject: Subject) -> Measurement:
    """How often a sample is nearer to a training image than a test image is."""
    found = subject.once(closest)
    return Measurement(
        novelty.auroc(found.real, found.samples),
        len(found.samples),
        novelty.auroc_error(found.real, found.samples),
        {"features": subject.extractor.identity, "training": f"{found.training} images"},
        detail={
            "median_ratio": (found.samples.median() / found.real.median()).item(),
            "samples": quantiles(found.samples),
            "real": quantiles(found.real),
            "pairs": [list(pair) for pair in found.pairs()],
        },
    )


def missed_classes(subject: Subject) -> Measurement:
    """How many classes samples have less than a tenth as often as test images."""
    extractor = subject.extractor
    samples = novelty.shares(extractor.logits(subject.sample_features))
    real = novelty.shares(extractor.logits(subject.real.features))
    return Measurement(
        novelty.missed(samples, real),
        len(subject.sample_features),
        None,
        {"features": extractor.identity},
        detail={
            "samples": samples.tolist(),
            "real": real.tolist(),
            "total_variation": (samples - real).abs().sum().item() / 2,
        },
    )


def _held_out(subject: Subject, count: int) -> Tensor:
    """What is stored of the class that no split holds."""
    if subject.images.outside is None:
        raise Unavailable("no class is held out: ask for one with --dataset digits[without=9]")
    outside: Tensor = subject.images.outside.stored[:count]
    return outside


def _detection(foreign: Callable[[Subject, int], Tensor]) -> Callable[[Subject], Measurement]:
    def compute(subject: Subject) -> Measurement:
        count = min(len(subject.x), MOST_QUERIES)
        x = subject.observe(type(subject.images.test)(foreign(subject, count)), "foreign")
        known = subject.items[:count]
        # Under the conditions of test images, since they have none of their own.
        strange = Items(x, known[: len(x)].seen)
        outside, inside = (
            subject.terms_of(some, "foreign draws", DRAWS).elbo for some in (strange, known)
        )
        return Measurement(
            novelty.auroc(inside, outside),
            len(inside),
            novelty.auroc_error(inside, outside),
            subject.depends(foreign=f"{len(x)} images", draws=DRAWS),
            detail={"elbo_inside": quantiles(inside), "elbo_outside": quantiles(outside)},
        )

    return compute


METRICS = (
    Metric(
        name="generalisation_gap",
        group="overfitting",
        title="Generalisation gap",
        unit="nats/image",
        better="lower",
        description="ELBO of training images minus that of test images: what is learnt by heart.",
        needs=ELBO,
        compute=generalisation_gap,
        costly=True,
    ),
    Metric(
        name="copies_{extractor}",
        kind="pictures",
        group="overfitting",
        title="Nearness to training images",
        unit="probability",
        description=(
            "Probability that a sample is nearer to its nearest training image, in features, than "
            "a test image is to its own: 1/2 where samples are as new as test images, 1 for "
            "copies."
        ),
        needs=MODEL,
        compute=copies,
        costly=True,
    ),
    Metric(
        name="missed_classes_{extractor}",
        kind="pictures",
        group="modes",
        title="Missed classes",
        unit="classes",
        better="lower",
        description=(
            "Classes that the extractor's classifier sees in samples less than a tenth as often as"
            " in test images."
        ),
        needs=MODEL,
        compute=missed_classes,
    ),
    Metric(
        name="ood_photographs",
        kind="pictures",
        group="ood",
        title="Photographs told apart",
        unit="AUROC",
        better="higher",
        description=(
            "Probability that the ELBO of a test image exceeds that of a patch of a photograph."
        ),
        needs=ELBO,
        compute=_detection(
            lambda subject, count: novelty.photographs(
                count, subject.pictured.shape, subject.images.levels
            )
        ),
        costly=True,
    ),
    Metric(
        name="ood_shuffled",
        kind="pictures",
        group="ood",
        title="Shuffled images told apart",
        unit="AUROC",
        better="higher",
        description=(
            "Probability that the ELBO of a test image exceeds that of one with its pixels "
            "shuffled."
        ),
        needs=ELBO,
        compute=_detection(
            lambda subject, count: novelty.shuffled(subject.pictured.test.pixels[:count])
        ),
        costly=True,
    ),
    Metric(
        name="ood_class",
        group="ood",
        title="Held-out class told apart",
        unit="AUROC",
        better="higher",
        description=(
            "Probability that the ELBO of a test image exceeds that of an image of the class that "
            "training never saw, as with --dataset digits[without=9]."
        ),
        needs=ELBO,
        compute=_detection(_held_out),
        costly=True,
    ),
)
