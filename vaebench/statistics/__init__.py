"""Numbers about numbers: intervals, differences, ranks, means over seeds.

Public are `Score`, `interval`, `difference` and `verdict`.
"""

from vaebench.statistics.comparisons import verdict
from vaebench.statistics.intervals import Score, difference, interval

__all__ = ["Score", "difference", "interval", "verdict"]
