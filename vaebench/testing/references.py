"""Known distributions fitted to draws of q: what its density is measured against."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Beta, Chi2, Distribution

from vaebench.models.variant import Variant
from vaebench.testing.slopes import derivatives
from vaebench.testing.subjects import build, features, one_small


@dataclass(frozen=True)
class Reference:
    """A distribution that needs no trust: its sampler and its log-density (N, D) -> (N,)."""

    sample: Callable[[int], Tensor]
    log_prob: Callable[[Tensor], Tensor]


def space_of(prior: Distribution, curved: bool = False) -> str:
    """Where densities live: "sphere" (per unit of its area), "space" (all D dimensions), or "".

    On anything else, such as counts or a product of circles, a density is per unit of a measure
    that is not known here: there q is held against the prior and against its neighbours alone.

    Args:
        prior: Batch shape (), event shape (D,).
        curved: What `is_curved` says of the variant.
    """
    size = prior.event_shape[0]
    z = prior.sample(torch.Size((64 + 4 * size,))).double()
    if size > 1 and bool(((z.norm(dim=-1) - 1).abs() < 1e-5).all()):
        return "sphere"
    if bool((z == z.round()).all()):
        return ""
    u = (z - z.mean(0)) / z.std(0)
    least = torch.linalg.eigvalsh(u.T @ u / len(u))[0]
    return "space" if bool(least > 1e-9) and not curved else ""


@torch.enable_grad()
def is_curved(variant: Variant) -> bool:
    """Whether features and parameters move a draw in fewer directions than it has coordinates."""
    posterior, h = build(variant, one_small(variant)), features(1).requires_grad_()
    at = [h, *(p for p in posterior.parameters() if p.requires_grad)]
    z = posterior(h).rsample()[0]
    rows = [torch.cat([g.flatten() for g in derivatives(value, at)]) for value in z]
    moved = torch.stack([row / row.norm() for row in rows if bool(row.norm() > 0)] or [h[0]])
    spectrum = torch.linalg.svdvals(moved)
    return bool(spectrum[-1] < 1e-9 * spectrum[0])


def fitted(space: str, pilot: Tensor) -> Reference | None:
    """A reference near the draws `pilot` (N, D), on the space of the prior; None on others."""
    fits = {"sphere": axial, "space": student}
    return fits[space](pilot) if space else None


def student(pilot: Tensor) -> Reference:
    """Multivariate t with the mean and covariance of the pilot draws."""
    centre, spread = pilot.mean(0), pilot.std(0)
    size = pilot.shape[-1]
    freedom = max(5.0, size)
    u = (pilot - centre) / spread
    covariance = u.T @ u / len(u) + 1e-9 * torch.eye(size, dtype=u.dtype)
    root = torch.linalg.cholesky(covariance * (freedom - 2) / freedom)
    constant = (
        math.lgamma((freedom + size) / 2)
        - math.lgamma(freedom / 2)
        - size / 2 * math.log(freedom * math.pi)
        - float(root.diagonal().log().sum())
        - float(spread.log().sum())
    )

    def sample(count: int) -> Tensor:
        noise = torch.randn(count, size, dtype=u.dtype)
        chi2 = Chi2(torch.tensor(freedom, dtype=u.dtype)).sample(torch.Size((count, 1)))
        return centre + spread * ((noise / (chi2 / freedom).sqrt()) @ root.T)

    def log_prob(z: Tensor) -> Tensor:
        t = torch.linalg.solve_triangular(root, ((z - centre) / spread).T, upper=False)
        return constant - (freedom + size) / 2 * torch.log1p(t.square().sum(0) / freedom)

    return Reference(sample, log_prob)


def axial(pilot: Tensor) -> Reference:
    """Symmetric about the mean of the pilot draws, the cosine w to it as (1 + w) / 2 ~ Beta.

    Its moments are those of the pilot's cosines, with a somewhat larger variance.
    """
    size = pilot.shape[-1]
    axis = pilot.mean(0) / pilot.mean(0).norm()
    half = (1 + pilot @ axis) / 2
    mean = half.mean()
    total = (mean * (1 - mean) / half.var() - 1) / 1.3
    cosine = Beta(mean * total, (1 - mean) * total)
    rim = math.log(2) + (size - 1) / 2 * math.log(math.pi) - math.lgamma((size - 1) / 2)

    def sample(count: int) -> Tensor:
        w = 2 * cosine.sample(torch.Size((count, 1))) - 1
        across = torch.randn(count, size, dtype=pilot.dtype)
        across = across - (across @ axis)[:, None] * axis
        across = across / across.norm(dim=-1, keepdim=True)
        return w * axis + (1 - w.square()).sqrt() * across

    def log_prob(z: Tensor) -> Tensor:
        up = ((1 + z @ axis) / 2).clamp(1e-15, 1 - 1e-15)
        sine = (4 * up * (1 - up)).log() / 2
        return cosine.log_prob(up) - math.log(2) - (size - 3) * sine - rim

    return Reference(sample, log_prob)
