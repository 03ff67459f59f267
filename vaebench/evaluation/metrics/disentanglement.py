"""Columns about known factors: whether dimensions of the code follow one each."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from vaebench.data.dataset import subset
from vaebench.data.images import Split
from vaebench.evaluation.functional import disentanglement as known
from vaebench.evaluation.metrics.subject import Subject
from vaebench.models.metric import Measurement, Metric, Unavailable

#: Training images whose codes are learned from, and those of them that trees learn from.
CODES, TREES = 10_000, 2_000
#: The least share of a factor's entropy that a dimension is said to follow.
FAINT = 0.02


class Side(NamedTuple):
    """Posterior means (N, D) of images, and their factors (N, F)."""

    codes: np.ndarray
    factors: np.ndarray

    def first(self, count: int) -> "Side":
        """Those of the first images."""
        return Side(self.codes[:count], self.factors[:count])


def names(subject: Subject) -> tuple[str, ...]:
    """The factors that vary in the first training images; Unavailable where none are known."""
    factors = subject.images.train.factors
    if factors is None:
        raise Unavailable("the factors that the images were made from are not known")
    varying = (factors[:TREES] != factors[0]).any(0).tolist()
    return tuple(n for n, varies in zip(subject.images.factors, varying, strict=True) if varies)


def training(subject: Subject) -> Side:
    """Of the first training images; Unavailable where nothing can be told apart."""
    split = subject.images.train
    return _side(subject, subset(split, slice(CODES)), "train")


def _test(subject: Subject) -> Side:
    return _side(subject, subject.images.test, "test")


def _side(subject: Subject, split: Split, purpose: str) -> Side:
    varying = names(subject)
    if not varying:
        raise Unavailable("no factor varies")
    assert split.factors is not None
    codes = subject.means(subject.meet(split, purpose)).numpy()
    if not np.isfinite(codes).all():
        raise Unavailable("posterior means are not finite")
    if codes.shape[1] < 2:
        raise Unavailable("a code of one dimension has none to tell apart")
    columns = [subject.images.factors.index(name) for name in varying]
    return Side(codes, split.factors[:, columns].numpy())


def dependence(subject: Subject) -> known.Dependence:
    """Of the training images' codes on their factors."""
    return known.dependence(*subject.once(training))


def followed(subject: Subject, dimensions: list[int]) -> list[str]:
    """The factor that each dimension follows most, with how much of it; none where unknown."""
    try:
        found, factors = subject.once(dependence).followed, names(subject)
    except Unavailable:
        return []
    return [
        f"{factors[row.argmax()]} {100 * row.max():.0f} %" if row.max() >= FAINT else "no factor"
        for row in found[dimensions]
    ]


def _gap(subject: Subject, scores: np.ndarray, **depends: Any) -> Measurement:
    """The mean over factors of the best dimension's lead over the second."""
    gaps = known.gaps(scores)
    detail = {
        "factors": dict(zip(names(subject), gaps.tolist(), strict=True)),
        "scores": scores.tolist(),
    }
    images = len(subject.once(training).codes)
    return Measurement(float(gaps.mean()), images, depends=depends, detail=detail)


def mig(subject: Subject) -> Measurement:
    """The mutual information gap, each factor's in units of its entropy."""
    return _gap(subject, subject.once(dependence).share, bins=known.BINS)


def sap(subject: Subject) -> Measurement:
    """The separated attribute predictability of factors as ordered numbers."""
    return _gap(subject, known.squared_correlations(*subject.once(training)))


def sap_svm(subject: Subject) -> Measurement:
    """The separated attribute predictability of factors as classes."""
    parts = (*subject.once(training), *subject.once(_test))
    return _gap(subject, known.linear_accuracies(*parts), classifier="linear SVM, C = 0.01")


def factor_vae(subject: Subject) -> Measurement:
    """The accuracy of votes by the steadiest dimension."""
    found = subject.once(training)
    chance = 1 / found.factors.shape[1]
    return Measurement(
        known.majority_votes(*found),
        len(found.codes),
        depends={"votes": known.TEST, "images_a_vote": known.SHARING},
        detail={"chance": chance},
    )


def _trees(subject: Subject) -> known.Trees:
    return known.trees(*subject.once(training).first(TREES), *subject.once(_test))


def _of_trees(value: Callable[[known.Trees], float]) -> Callable[[Subject], Measurement]:
    def compute(subject: Subject) -> Measurement:
        found = subject.once(_trees)
        return Measurement(
            value(found),
            len(subject.once(_test).codes),
            depends={"classifier": "gradient boosted trees", "training_images": TREES},
            detail={
                "importance": found.importance.tolist(),
                "accuracy": dict(zip(names(subject), found.accuracy.tolist(), strict=True)),
            },
        )

    return compute


def _metric(name: str, title: str, description: str, compute: Any, **more: Any) -> Metric:
    return Metric(
        name=name,
        group="disentanglement",
        title=title,
        unit=more.pop("unit", "share"),
        better="higher",
        description=description,
        compute=compute,
        **more,
    )


METRICS = (
    _metric(
        "mig",
        "MIG",
        "Mutual information gap: how much more the best dimension of the code knows of a factor "
        "than the second does, in units of the factor's entropy; the mean over factors.",
        mig,
    ),
    _metric(
        "sap",
        "SAP",
        "Separated attribute predictability: by how much the squared correlation of a factor with "
        "the best dimension exceeds that with the second; the mean over factors.",
        sap,
    ),
    _metric(
        "sap_svm",
        "SAP (SVM)",
        "Separated attribute predictability by the test accuracies of linear machines, which few "
        "values of a factor can reach where it has many.",
        sap_svm,
        costly=True,
    ),
    _metric(
        "factor_vae",
        "FactorVAE score",
        "Accuracy with which the dimension that varies least among images that share a factor "
        "tells which factor that is; by chance one over their number.",
        factor_vae,
        unit="accuracy",
    ),
    _metric(
        "dci_disentanglement",
        "DCI disentanglement",
        "How far each dimension serves one factor alone in gradient boosted trees.",
        _of_trees(lambda trees: trees.disentanglement),
        costly=True,
    ),
    _metric(
        "dci_completeness",
        "DCI completeness",
        "How far each factor is served by one dimension alone in gradient boosted trees.",
        _of_trees(lambda trees: trees.completeness),
        costly=True,
    ),
    _metric(
        "dci_informativeness",
        "DCI informativeness",
        "Test accuracy of gradient boosted trees, from all dimensions; the mean over factors.",
        _of_trees(lambda trees: trees.informativeness),
        unit="accuracy",
        costly=True,
    ),
)
