"""What `vaebench tune` tries of the options of the variants that come with vaebench.

A space holds the default. Options that change what a variant costs, such as numbers of draws, of
steps or of units, are left out, and so are those that make another variant of it.
"""

from vaebench import Choice, Range, hookimpl

_WEIGHT = {"weight": Range(1.0, 1000.0, log=True)}


@hookimpl
def vaebench_search_spaces() -> dict[str, dict[str, Range | Choice]]:
    """Weights of terms, temperatures, and numbers of components that the decoder does not meet."""
    return {
        "aae": {"weight": Range(0.03, 3.0, log=True)},
        "beta-tc": {"beta": Range(0.5, 16.0, log=True)},
        "beta-vae": {"beta": Range(0.5, 16.0, log=True)},
        "ciwae": {"beta": Range(0.0, 1.0)},
        "dip": {"off": Range(0.1, 100.0, log=True), "diagonal": Range(0.1, 100.0, log=True)},
        "epanechnikov-paper": {"length": Range(0.01, 1.0, log=True)},
        "factor-vae": {"weight": Range(0.5, 50.0, log=True)},
        "gamix": {"weight": Range(0.01, 1.0, log=True)},
        "infovae": {"alpha": Range(-1.0, 0.9), **_WEIGHT},
        "mixture-prior": {"components": Choice(8, 16, 32, 64, 128)},
        "mvtcae": {"alpha": Range(0.5, 1.0)},
        "poisson": {"temperature": Range(0.02, 0.5, log=True)},
        "rae": {"code": Range(0.1, 10.0, log=True), "weight": Range(0.001, 0.1, log=True)},
        "sequential": {"weight": Range(0.1, 10.0, log=True)},
        "vampprior": {"components": Choice(8, 16, 32, 64, 128)},
        "vq": {"commitment": Range(0.05, 1.0, log=True)},
        "wae-mmd": {**_WEIGHT},
    }
