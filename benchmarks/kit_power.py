"""How often the conformance kit catches each broken variant of the tests' zoo, over 20 seeds.

    PYTHONPATH=. python benchmarks/kit_power.py [--seeds 20] [--only NAME ...]

Writes a Markdown table: the variant, the check meant for it, in how many seeds that check fails.
"""

import argparse
import warnings
from collections.abc import Sequence

import torch

from tests.testing.zoo import ZOO, Broken
from vaebench import testing
from vaebench.testing.subjects import DoesNotApply

CHECKS = {check.name: check for check in testing.checks()}


def caught(broken: Broken, seeds: int) -> int:
    """In how many of the seeds the check meant for a broken variant fails."""
    check = CHECKS[broken.check]
    count = 0
    for seed in range(seeds):
        try:
            count += bool(check.report(broken.variant, seed).verdict())
        except DoesNotApply:
            pass
    return count


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, a row as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--only", nargs="*", default=[], help="names of broken variants")
    given = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    print(f"| broken variant | check | caught in {given.seeds} seeds |\n|---|---|---:|")
    for broken in sorted(ZOO, key=lambda entry: (entry.check, entry.variant.name)):
        if given.only and broken.variant.name not in given.only:
            continue
        print(
            f"| {broken.variant.name} | {broken.check} | {caught(broken, given.seeds)} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
