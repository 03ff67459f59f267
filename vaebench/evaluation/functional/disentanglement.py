"""What codes know of the factors that images were made from, and how it is spread over dimensions.

Codes are posterior means (N, D), factors integers (N, F); each value of a factor is a class of its
own. The definitions are those of Locatello et al. 2019, arXiv 1811.12359, app. B and C, where
nothing else is said.
"""

import warnings
from typing import NamedTuple

import numpy as np
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import mutual_info_score
from sklearn.svm import LinearSVC

#: Bins of equal width that each dimension is divided into.
BINS = 20
#: Images that share a factor in a vote, and votes to learn from and to test on.
SHARING, LEARN, TEST = 64, 10_000, 5_000
#: The least standard deviation of a dimension that may be voted for.
LEAST = 0.05


class Dependence(NamedTuple):
    """How codes depend on factors, in nats.

    Attributes:
        information: Mutual information of each binned dimension with each factor (D, F).
        entropy: Entropy of each factor (F,).
        bias: What so many images make of independent dimensions and factors on average (D, F), to
            the first order (Miller 1955).
    """

    information: np.ndarray
    entropy: np.ndarray
    bias: np.ndarray

    @property
    def share(self) -> np.ndarray:
        """The part of each factor's entropy that each dimension knows (D, F)."""
        return self.information / self.entropy

    @property
    def followed(self) -> np.ndarray:
        """The part of each factor's entropy that each dimension knows beyond chance (D, F)."""
        return (self.information - self.bias).clip(0) / self.entropy


def dependence(codes: np.ndarray, factors: np.ndarray) -> Dependence:
    """Mutual informations of codes, in bins of equal width, with factors that all vary."""
    binned = [np.digitize(column, np.histogram(column, BINS)[1][1:-1]) for column in codes.T]
    free = [np.array([len(np.unique(c)) - 1 for c in columns]) for columns in (binned, factors.T)]
    return Dependence(
        np.array([[mutual_info_score(b, f) for f in factors.T] for b in binned]),
        np.array([mutual_info_score(f, f) for f in factors.T]),
        np.outer(*free) / (2 * len(codes)),
    )


def gaps(scores: np.ndarray) -> np.ndarray:
    """By how much the best dimension exceeds the second for each factor (F,), of scores (D, F)."""
    second, best = np.sort(scores, 0)[-2:]
    return best - second


def squared_correlations(codes: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """R² (D, F) of a line that predicts a factor from one dimension, 0 where that is constant.

    References:
        Kumar et al. 2018, arXiv 1711.00848, sec. 3: the score of factors whose values are ordered.
    """
    z, v = (_standardised(each.astype(float)) for each in (codes, factors))
    return (z.T @ v / len(z)) ** 2


def _standardised(columns: np.ndarray) -> np.ndarray:
    spread = columns.std(0)
    moved = columns - columns.mean(0)
    return np.divide(moved, spread, out=np.zeros_like(moved), where=spread > 1e-12)


def linear_accuracies(
    codes: np.ndarray, factors: np.ndarray, queries: np.ndarray, truth: np.ndarray
) -> np.ndarray:
    """Test accuracies (D, F) of linear machines that classify a factor from one dimension.

    Args:
        codes: Codes to learn from (N, D).
        factors: Their factors (N, F).
        queries: Codes to classify (M, D).
        truth: Their factors (M, F).
    """
    scores = np.zeros((codes.shape[1], factors.shape[1]))
    for d, f in np.ndindex(*scores.shape):
        if codes[:, d].std() > 1e-12:
            machine = LinearSVC(C=0.01, class_weight="balanced", random_state=0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                machine.fit(codes[:, [d]], factors[:, f])
            scores[d, f] = (machine.predict(queries[:, [d]]) == truth[:, f]).mean()
    return scores


class Trees(NamedTuple):
    """What gradient boosted trees find.

    Attributes:
        importance: The share of each dimension in the decisions about each factor (D, F).
        accuracy: Test accuracy for each factor (F,).
    """

    importance: np.ndarray
    accuracy: np.ndarray

    @property
    def disentanglement(self) -> float:
        """1 where each dimension serves one factor alone, 0 where all serve all alike."""
        whole = self.importance.sum(1)
        return float(_concentration(self.importance) @ whole / max(whole.sum(), 1e-12))

    @property
    def completeness(self) -> float:
        """1 where each factor is served by one dimension alone, 0 where by all alike."""
        whole = self.importance.sum(0)
        return float(_concentration(self.importance.T) @ whole / max(whole.sum(), 1e-12))

    @property
    def informativeness(self) -> float:
        """The mean test accuracy."""
        return float(self.accuracy.mean())


def _concentration(rows: np.ndarray) -> np.ndarray:
    """1 less the entropy of each row's shares, in units of the largest that there can be."""
    shares = rows / np.maximum(rows.sum(1, keepdims=True), 1e-12)
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    return 1 + (shares * logs).sum(1) / np.log(rows.shape[1])


def trees(codes: np.ndarray, factors: np.ndarray, queries: np.ndarray, truth: np.ndarray) -> Trees:
    """Classify each factor from all dimensions by gradient boosted trees.

    Args:
        codes: Codes to learn from (N, D).
        factors: Their factors (N, F).
        queries: Codes to classify (M, D).
        truth: Their factors (M, F).

    References:
        Eastwood & Williams 2018, A Framework for the Quantitative Evaluation of Disentangled
        Representations; with scikit-learn's default trees as in Locatello et al. 2019.
    """
    fitted = [GradientBoostingClassifier(random_state=0).fit(codes, f) for f in factors.T]
    accuracies = [(m.predict(queries) == t).mean() for m, t in zip(fitted, truth.T, strict=True)]
    return Trees(np.stack([m.feature_importances_ for m in fitted], 1), np.array(accuracies))


def majority_votes(codes: np.ndarray, factors: np.ndarray, seed: int = 0) -> float:
    """The accuracy with which the steadiest dimension of images that share a factor tells which.

    A vote draws a factor and one of its values (those of an image drawn at random), and 64 images
    that share it, with replacement; their dimension of the least variance, in units of its
    variance over all images, is held to tell the factor. Which factor that is the majority of
    10,000 votes decides for each dimension; the accuracy is that of 5,000 others. Dimensions
    whose standard deviation is below 0.05 have no vote.

    References:
        Kim & Mnih 2018, Disentangling by Factorising, arXiv 1802.05983, sec. 4.
    """
    spread = codes.std(0)
    active = codes[:, spread >= LEAST] / spread[spread >= LEAST]
    if not active.shape[1]:
        return 0.0
    random = np.random.default_rng(seed)
    chance = np.full(factors.shape[1], 1 / factors.shape[1])
    learned, tested = (
        _votes(active, factors, random.multinomial(count, chance), random)
        for count in (LEARN, TEST)
    )
    told = learned.argmax(0)
    return float(tested[told, np.arange(len(told))].sum() / TEST)


def _votes(
    codes: np.ndarray, factors: np.ndarray, counts: np.ndarray, random: np.random.Generator
) -> np.ndarray:
    """How often images that share each factor vote for each dimension (F, D)."""
    found = np.zeros((len(counts), codes.shape[1]), int)
    for f, count in enumerate(counts):
        order = np.argsort(factors[:, f], kind="stable")
        values = factors[order, f]
        shared = factors[random.integers(len(codes), size=count), f]
        first, last = (np.searchsorted(values, shared, side) for side in ("left", "right"))
        rows = random.integers(first[:, None], last[:, None], (count, SHARING))
        for some in np.array_split(order[rows], 1 + count // 256):
            steadiest = codes[some].var(1).argmin(1)
            found[f] += np.bincount(steadiest, minlength=codes.shape[1])
    return found
