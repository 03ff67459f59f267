"""How often the conformance kit catches broken variants, and how often it fails sound ones.

    PYTHONPATH=. python benchmarks/kit_power.py [--seeds 20] [--only NAME ...]
    PYTHONPATH=. python benchmarks/kit_power.py --sound --seeds 5

The first writes a Markdown table of the tests' zoo: the variant, the check meant for it, in how
many seeds that check fails. The second runs the whole kit on each sound variant of the tests and
prints every failure.
"""

import argparse
import warnings
from collections.abc import Sequence

import torch

from tests.testing.sound import SOUND
from tests.testing.zoo import ZOO, Broken
from vaebench import testing
from vaebench.testing.runner import examine
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


def alarms(seeds: int) -> None:
    """Print what the kit says against each sound variant, and how many runs that concerns."""
    false = 0
    for variant in SOUND:
        for seed in range(seeds):
            found = [r for r in examine(variant, testing.checks(), seed) if not r.ok]
            false += bool(found)
            print(variant.name, seed, *(f"\n  {r.check}: {r.message}" for r in found), flush=True)
    print(f"{false} false alarms in {len(SOUND) * seeds} runs of {len(SOUND)} sound variants")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, a row as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--only", nargs="*", default=[], help="names of broken variants")
    parser.add_argument("--sound", action="store_true", help="run sound variants instead")
    given = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    if given.sound:
        return alarms(given.seeds)
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
