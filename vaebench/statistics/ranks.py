"""Mean ranks over data sets and the difference from which two of them differ."""

import math

import numpy as np
from scipy import stats

#: Below so many data sets the test can tell nothing.
LEAST = 6


def critical_difference(variants: int, datasets: int, level: float = 0.05) -> float:
    """The difference of mean ranks from which two of them differ significantly.

    Demšar 2006 (JMLR 7), section 3.2.2: q √(k (k + 1) / 6N), with q the quantile of the
    studentised range for k variants and infinitely many degrees of freedom, over √2.
    """
    quantile = stats.studentized_range.ppf(1 - level, variants, np.inf) / math.sqrt(2)
    return float(quantile * math.sqrt(variants * (variants + 1) / (6 * datasets)))


def mean_ranks(values: np.ndarray, better: str) -> np.ndarray:
    """Mean ranks (V,) of variants over data sets, values (N, V); 1 is best, ties share."""
    return stats.rankdata(-values if better == "higher" else values, axis=1).mean(0)
