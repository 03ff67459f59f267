"""What posterior means know of the labels: a linear probe and nearest neighbours."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

#: Inverse strengths of the ridge that a linear probe chooses from.
STRENGTHS = (0.01, 0.1, 1.0, 10.0)
NEIGHBOURS = 5
#: Predicts labels (M,) from codes (N, D), labels (N,) and codes (M, D).
Probe = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def nearest(codes: np.ndarray, labels: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """The majority among the five nearest codes in Euclidean distance."""
    model: Any = KNeighborsClassifier(min(NEIGHBOURS, len(codes)))
    return model.fit(codes, labels).predict(queries)


def linear(codes: np.ndarray, labels: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Multinomial logistic regression with a ridge penalty.

    Its strength is the one that predicts a fifth of the codes best from the others.
    """
    held = max(1, len(codes) // 5)
    best, score = STRENGTHS[0], -1.0
    if len(np.unique(labels[held:])) < 2:
        return np.full(len(queries), labels[0])
    for strength in STRENGTHS:
        model = LogisticRegression(C=strength, max_iter=500).fit(codes[held:], labels[held:])
        right = float((model.predict(codes[:held]) == labels[:held]).mean())
        if right > score:
            best, score = strength, right
    return LogisticRegression(C=best, max_iter=500).fit(codes, labels).predict(queries)


def accuracy(
    probe: Probe,
    codes: np.ndarray,
    labels: np.ndarray,
    queries: np.ndarray,
    truth: np.ndarray,
    *,
    budget: int | None = None,
    repeats: int = 1,
) -> np.ndarray:
    """How often each query (M,) is classified rightly, over subsets of the labelled codes.

    Codes are standardised on those that the probe may see.

    Args:
        probe: `linear` or `nearest`.
        codes: Labelled codes (N, D).
        labels: Their labels (N,).
        queries: Codes (M, D) to classify.
        truth: Their labels (M,).
        budget: Labels that the probe may see, all by default.
        repeats: Number of random subsets of that size.

    Raises:
        ValueError: There are fewer labels than the budget.
    """
    budget = len(codes) if budget is None else budget
    if len(codes) < budget:
        raise ValueError(f"{len(codes)} training images are fewer than {budget}.")
    right = np.zeros(len(queries))
    for repeat in range(repeats):
        rows = np.random.default_rng(repeat).permutation(len(codes))[:budget]
        scaler = StandardScaler().fit(codes[rows])
        guesses = probe(scaler.transform(codes[rows]), labels[rows], scaler.transform(queries))
        right += (guesses == truth) / repeats
    return right
