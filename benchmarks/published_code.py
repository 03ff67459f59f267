"""What published code gets wrong, in numbers: python benchmarks/published_code.py. No GPU.

The S-VAE's sampler takes Wood's proposal with b = (m - 1) / (4 κ) above κ = 10, and the gradient of
the accepted proposal alone. GAMIX's KL of a batch's moments is above zero even for codes that come
from the prior.
"""

import numpy as np
from scipy import special

DRAWS = 400_000


def mean_cosine(m, kappa):
    """A_m(κ) of a von Mises-Fisher distribution in m coordinates."""
    return special.ive(m / 2, kappa) / special.ive(m / 2 - 1, kappa)


def exact_b(m, kappa):
    return (m - 1) / (2 * kappa + np.sqrt(4 * kappa**2 + (m - 1) ** 2))


def draw(m, kappa, b, rng):
    """Accepted proposals of Wood's sampler as the published code has it, and their cosines."""
    a = (m - 1 + 2 * kappa + np.sqrt(4 * kappa**2 + (m - 1) ** 2)) / 4
    d = 4 * a * b / (1 + b) - (m - 1) * np.log(m - 1)
    e = rng.beta((m - 1) / 2, (m - 1) / 2, DRAWS)
    t = 2 * a * b / (1 - (1 - b) * e)
    e = e[(m - 1) * np.log(t) - t + d >= np.log(rng.random(DRAWS))]
    return e, (1 - (1 + b) * e) / (1 - (1 - b) * e)


def slope(m, kappa, rng):
    """The accepted proposals' mean d cosine / dκ over dA/dκ."""
    e, _ = draw(m, kappa, exact_b(m, kappa), rng)
    step = 1e-5 * kappa
    moved = [exact_b(m, kappa + sign * step) for sign in (1, -1)]
    up, down = ((1 - (1 + b) * e) / (1 - (1 - b) * e) for b in moved)
    a = mean_cosine(m, kappa)
    return ((up - down) / (2 * step)).mean() / (1 - a**2 - (m - 1) / kappa * a)


def floor(batch, rng):
    """The KL in one dimension of the moments of a batch of codes from N(0, 1), nats."""
    codes = rng.standard_normal((DRAWS // batch * 10, batch))
    variance = codes.var(1)
    return ((variance + codes.mean(1) ** 2 - 1 - np.log(variance)) / 2).mean()


def main():
    rng = np.random.default_rng(0)
    print("| m, κ | exact mean cosine | published sampler's | its gradient / exact |")
    print("|---|---|---|---|")
    trained = [(3, 661.0), (6, 473.0), (11, 385.0), (21, 208.0), (41, 113.0)]
    for m, kappa in [(2, 1.0), (5, 2.0), (11, 5.0), (41, 20.0), (41, 100.0), (128, 20.0), *trained]:
        b = (m - 1) / (4 * kappa) if kappa > 10 else exact_b(m, kappa)
        cosine = draw(m, kappa, b, rng)[1].mean()
        ratio = slope(m, kappa, rng)
        print(f"| {m}, {kappa:g} | {mean_cosine(m, kappa):.4f} | {cosine:.4f} | {ratio:.3f} |")
    print("\nGAMIX's batch KL of codes from the prior, nats a dimension:")
    for batch in (10, 64, 256):
        print(f"batches of {batch}: {floor(batch, rng):.4f}")


if __name__ == "__main__":
    main()
