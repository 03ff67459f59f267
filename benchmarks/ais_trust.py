"""How many wrong log-likelihoods of hard posteriors AIS trusts, and how many right ones it flags.

    PYTHONPATH=. python benchmarks/ais_trust.py [--images 8] [--only WORD ...]

Posteriors of many modes, rings, shells, funnels and bananas whose log p(x) quadrature knows. An
estimate is wrong if it is off by more than half a nat. Prints a Markdown table, a row as soon as it
is known.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from tests.evaluation.test_ais_hard import Case, banana, factorised, funnel, shell

FUNCTIONS: dict[str, tuple[Callable[[Tensor], Tensor], tuple[tuple[int, float], ...]]] = {
    "z²": (torch.square, ((2, 0.3), (4, 0.05), (8, 0.3), (8, 0.05), (16, 0.05))),
    "abs(z)^1.5": (lambda z: z.abs() ** 1.5, ((6, 0.1),)),
    "cos 2z": (lambda z: (2 * z).cos(), ((4, 0.2), (10, 0.2))),
    "z³ - 2z": (lambda z: z**3 - 2 * z, ((2, 0.1), (6, 0.1), (12, 0.3))),
    "z + sin 4z": (lambda z: z + (4 * z).sin(), ((5, 0.2),)),
    "tanh 3z": (lambda z: (3 * z).tanh(), ((10, 0.1),)),
    "relu": (torch.relu, ((8, 0.05), (64, 0.05))),
    "sign": (torch.sign, ((8, 0.3), (64, 0.3))),
}
EASY: dict[str, tuple[Callable[[Tensor], Tensor], int, float]] = {
    "leaky relu": (lambda z: torch.maximum(z, 0.3 * z), 10, 0.05),
    "tanh": (torch.tanh, 20, 0.3),
    "z + .1 z³": (lambda z: z + 0.1 * z**3, 20, 0.2),
    "softplus": (torch.nn.functional.softplus, 20, 0.2),
    "exp z/2": (lambda z: (z / 2).exp(), 10, 0.3),
}


def cases(images: int) -> Iterator[tuple[str, Callable[[], Case]]]:
    """Names of the families and what makes their images."""
    for name, (function, sizes) in FUNCTIONS.items():
        for latents, sigma in sizes:
            yield (
                f"{name}, {latents} latents, sigma {sigma}",
                lambda f=function, d=latents, s=sigma: factorised(f, d, s, 21, images),
            )
    for latents, sigma, linear in ((2, 0.01, 0), (5, 0.01, 0), (8, 0.001, 0), (2, 0.05, 18)):
        yield (
            f"shell, {latents} + {linear} latents, sigma {sigma}",
            lambda d=latents, s=sigma, n=linear: shell(d, s, n, images),
        )
    for latents, depth in ((3, 2.0), (4, 1.0), (6, 2.0)):
        yield f"funnel, {latents} latents", lambda d=latents, e=depth: funnel(d, e, images)
    for latents in (2, 8, 20):
        yield f"banana, {latents} latents", lambda d=latents: banana(d, images)
    for name, (function, latents, sigma) in EASY.items():
        yield (
            f"easy: {name}, {latents} latents, sigma {sigma}",
            lambda f=function, d=latents, s=sigma: factorised(f, d, s, 21, images),
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table and the sums."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--only", nargs="*", default=[], help="words that a family's name has")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    print("| posterior | wrong | of these trusted | right | of these flagged | gradients | s |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    total = torch.zeros(4, dtype=torch.long)
    for name, make in cases(given.images):
        if given.only and not any(word in name for word in given.only):
            continue
        clock = time.monotonic()
        off, found = make()._replace(proposal=None).errors()
        wrong, trusted = off.abs() > 0.5, found.trusted
        counts = torch.stack([wrong, wrong & trusted, ~wrong, ~wrong & ~trusted]).sum(1)
        total += counts
        cells = " | ".join(map(str, counts.tolist()))
        gradients = found.evaluations.double().mean()
        print(
            f"| {name} | {cells} | {gradients:.0f} | {time.monotonic() - clock:.0f} |", flush=True
        )
    print(f"| all | {' | '.join(map(str, total.tolist()))} | | |")


if __name__ == "__main__":
    main()
