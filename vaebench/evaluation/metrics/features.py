"""Columns in feature space: Fréchet and kernel distance, precision, recall, density, coverage.

Each is taken of samples, of reconstructions (`rec_` in front) and of training images (`_real`
behind), the last being what a perfect model would score.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from torch import Tensor

from vaebench.evaluation.functional.frechet import (
    Moments,
    bootstrap,
    extrapolate,
    floor,
    frechet_distance,
    moments,
)
from vaebench.evaluation.functional.kernel_distance import kernel_distance
from vaebench.evaluation.functional.neighbours import Neighbours, neighbours
from vaebench.evaluation.metrics.parts import of_each
from vaebench.evaluation.metrics.subject import Subject
from vaebench.models.metric import MODEL, NOTHING, Measurement, Metric, Unavailable

#: Feature dimensions up to which a Fréchet distance is given a bootstrap error; it costs 200 more.
MOST_DIMENSIONS = 256
#: The most images on either side of what compares all pairs.
MOST_PAIRED = 5000
NEIGHBOURS = 5


class Side(NamedTuple):
    """What is held against the test images."""

    before: str
    after: str
    words: str
    needs: frozenset[str]
    features: Callable[[Subject], Tensor]


SAMPLES = Side("", "", "samples", MODEL, lambda subject: subject.sample_features)
SIDES = (
    SAMPLES,
    Side("rec_", "", "reconstructions", NOTHING, lambda subject: subject.reconstruction_features),
    Side("", "_real", "training images", NOTHING, lambda subject: subject.training.features),
)
#: How the Fréchet distances stand in the main table.
_SHOWN: dict[str, dict[str, Any]] = {
    "samples": {"head": "FID", "place": 50, "keep": 7, "error": True, "role": "samples"},
    "reconstructions": {"head": "rec. FID", "place": 60, "keep": 4, "error": True},
}


def _distance(found: Moments, real: Moments) -> float:
    try:
        return frechet_distance(found, real)
    except ValueError as error:
        raise Unavailable(str(error)) from error


def _depends(subject: Subject, real: int) -> dict[str, object]:
    return {
        "features": subject.extractor.identity,
        "dimensions": subject.real.features.shape[1],
        "real": f"{real} test images",
    }


def fid(subject: Subject, features: Tensor) -> Measurement:
    """Fréchet distance of features (N, F) from the test images', with a bootstrap error."""
    real = subject.real.moments
    found = moments(features)
    value = _distance(found, real)
    warning = se = None
    detail: dict[str, object] = {"floor": floor(real, found.n, real.n)}
    if found.deficient or real.deficient:
        warning = f"fewer images than the {len(real.mean)} feature dimensions: mostly bias"
    if len(real.mean) <= MOST_DIMENSIONS:
        low, high = bootstrap(features, real)
        se, detail["interval"] = (high - low) / (2 * 1.96), [low, high]
    depends = _depends(subject, real.n) | {"images": found.n}
    return Measurement(value, found.n, se, depends, warning=warning, detail=detail)


def fid_noise(subject: Subject) -> Measurement:
    """Fréchet distance of noise from the test images."""
    real, noise = subject.real.moments, subject.noise.moments
    return Measurement(_distance(noise, real), noise.n, None, _depends(subject, real.n))


def fid_infinity(subject: Subject) -> Measurement:
    """Fréchet distance for infinitely many samples."""
    features, real = subject.sample_features, subject.real.moments
    if len(real.mean) > MOST_DIMENSIONS:
        raise Unavailable(f"it takes 32 distances, and {len(real.mean)} dimensions make one slow")
    try:
        value = extrapolate(features, real)
    except ValueError as error:
        raise Unavailable(str(error)) from error
    return Measurement(value, len(features), None, _depends(subject, real.n))


def kid(subject: Subject, features: Tensor) -> Measurement:
    """Kernel distance of features (N, F) from the test images'."""
    a, b = features[:MOST_PAIRED], subject.real.features[:MOST_PAIRED]
    value, se = kernel_distance(a, b)
    return Measurement(value, len(a), se, _depends(subject, len(b)))


def _neighbours(subject: Subject, side: Side) -> Neighbours:
    features, real = side.features(subject), subject.real.features
    count = min(len(features), len(real), MOST_PAIRED)
    try:
        return neighbours(real[:count], features[:count], NEIGHBOURS)
    except ValueError as error:
        raise Unavailable(str(error)) from error


def _near(side: Side) -> Callable[[Subject], Neighbours]:
    def compute(subject: Subject) -> Neighbours:
        return _neighbours(subject, side)

    return compute


_ALL = {side: _near(side) for side in SIDES}


def _share(side: Side, name: str) -> Callable[[Subject], Measurement]:
    def compute(subject: Subject) -> Measurement:
        value = getattr(subject.once(_ALL[side]), name)
        count = min(len(side.features(subject)), len(subject.real.features), MOST_PAIRED)
        return Measurement(value, count, None, _depends(subject, count) | {"k": NEIGHBOURS})

    return compute


_SENTENCES = {
    "precision": "Share of {0} nearer to a test image than its 5th nearest test image",
    "recall": "Share of test images nearer to one of the {0} than its 5th nearest of these",
    "density": "Mean number, divided by 5 (may exceed 1), of test images that one of the {0} is "
    "nearer to than their 5th nearest test image",
    "coverage": "Share of test images with one of the {0} nearer than their 5th nearest test image",
}


def _of(side: Side) -> Iterator[Metric]:
    end = ": what a perfect model would score." if side.after else "."

    def name(kind: str) -> str:
        return f"{side.before}{kind}_{{extractor}}{side.after}"

    def real(kind: str) -> str:
        return "" if side.after else f"{kind}_{{extractor}}_real"

    whole = Metric(
        name=name("fid"),
        kind="pictures",
        group="fid",
        title=f"FID of {side.words}",
        unit="squared feature distance",
        better="lower",
        description=f"Fréchet distance between features of {side.words} and of test images{end}",
        needs=side.needs,
        sampled=side is SAMPLES,
        reference=real("fid"),
        **_SHOWN.get(side.words, {}),
        compute=lambda subject: fid(subject, side.features(subject)),
    )
    yield of_each(whole)
    yield Metric(
        name=name("kid"),
        kind="pictures",
        group="kid",
        title=f"KID of {side.words}",
        unit="squared kernel distance",
        better="lower",
        description=(
            f"Unbiased kernel distance between features of {side.words} and of test images{end}"
        ),
        needs=side.needs,
        sampled=side is SAMPLES,
        reference=real("kid"),
        compute=lambda subject: kid(subject, side.features(subject)),
    )
    for kind, sentence in _SENTENCES.items():
        yield Metric(
            name=name(kind),
            kind="pictures",
            group="neighbours",
            title=f"{kind.capitalize()} of {side.words}",
            unit="ratio" if kind == "density" else "share",
            better="higher",
            description=sentence.format(side.words) + end,
            needs=side.needs,
            sampled=side is SAMPLES,
            reference=real(kind),
            compute=_share(side, kind),
        )


METRICS = (
    *(metric for side in SIDES for metric in _of(side)),
    Metric(
        name="fid_{extractor}_noise",
        kind="pictures",
        group="fid",
        title="FID of noise",
        unit="squared feature distance",
        description=(
            "Fréchet distance between features of uniform noise and of test images: a value to "
            "compare with, and no ceiling."
        ),
        compute=fid_noise,
    ),
    Metric(
        name="fid_{extractor}_infinity",
        kind="pictures",
        group="fid",
        title="FID∞ of samples",
        symbol=r"\mathrm{FID}_\infty",
        unit="squared feature distance",
        better="lower",
        description="Fréchet distance of samples extrapolated to infinitely many of them.",
        needs=MODEL,
        sampled=True,
        compute=fid_infinity,
    ),
)
