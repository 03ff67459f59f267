"""The ways to draw that a distribution may offer beside rsample."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Distribution

#: A way to draw: q and a number of draws to z (N, B, D) and their weights (N, B).
Way = Callable[[Distribution, int], tuple[Tensor, Tensor]]


def plain(q: Distribution, count: int) -> tuple[Tensor, Tensor]:
    """Independent draws by rsample."""
    z = q.rsample(torch.Size((count,)))
    return z, torch.full(z.shape[:-1], 1 / count, dtype=z.dtype)


def together(q: Distribution, count: int) -> tuple[Tensor, Tensor]:
    """Independent draws by rsample_and_log_prob."""
    z, _ = q.rsample_and_log_prob(torch.Size((count,)))  # type: ignore[attr-defined]
    return z, torch.full(z.shape[:-1], 1 / count, dtype=z.dtype)


def stratified(q: Distribution, count: int) -> tuple[Tensor, Tensor]:
    """Draws by rstratified, with their weights."""
    z, log_weights = q.rstratified(count)  # type: ignore[attr-defined]
    return z, log_weights.exp()


WAYS: dict[str, Way] = {
    "rsample": plain,
    "rsample_and_log_prob": together,
    "rstratified": stratified,
}


def ways(q: Distribution) -> dict[str, Way]:
    """The ways to draw that q offers, by the names of their methods."""
    return {name: way for name, way in WAYS.items() if hasattr(q, name)}


def distinct(offered: dict[str, Way], q: Distribution) -> dict[str, Way]:
    """The ways less rsample_and_log_prob where it draws as rsample does."""

    def drawn(way: Way) -> Tensor:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return way(q, 2)[0]

    pair = offered.get("rsample_and_log_prob")
    if pair is not None and torch.equal(drawn(plain), drawn(pair)):
        return {name: way for name, way in offered.items() if way is not pair}
    return offered
