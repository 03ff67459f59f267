"""Known distributions fitted to draws of q: what its density is measured against."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Chi2, Distribution


@dataclass(frozen=True)
class Reference:
    """A distribution that needs no trust: its sampler and its log-density (N, D) -> (N,)."""

    sample: Callable[[int], Tensor]
    log_prob: Callable[[Tensor], Tensor]


def space_of(prior: Distribution) -> str:
    """Where densities live: "sphere" (per unit of its area), "space" (all D dimensions), or ""."""
    size = prior.event_shape[0]
    z = prior.sample(torch.Size((64 + 4 * size,))).double()
    if size > 1 and bool(((z.norm(dim=-1) - 1).abs() < 1e-5).all()):
        return "sphere"
    if bool((z == z.round()).all()):
        return ""
    u = (z - z.mean(0)) / z.std(0)
    least = torch.linalg.eigvalsh(u.T @ u / len(u))[0]
    return "space" if bool(least > 1e-9) else ""


def fitted(space: str, pilot: Tensor) -> Reference | None:
    """A reference near the draws `pilot` (N, D), on the space of the prior; None on others."""
    fits = {"sphere": angular, "space": student}
    return fits[space](pilot) if space else None


def student(pilot: Tensor, freedom: float = 5.0) -> Reference:
    """Multivariate t with the mean and covariance of the pilot draws."""
    centre, spread = pilot.mean(0), pilot.std(0)
    size = pilot.shape[-1]
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


def angular(pilot: Tensor) -> Reference:
    """Angular central Gaussian (Tyler 1987) with the second moments of the pilot draws.

    Where the draws lie to one side, both halves of the law are folded onto that side.
    """
    size = pilot.shape[-1]
    centre = pilot.mean(0)
    folded = bool((pilot @ centre > 0).all())
    moments = pilot.T @ pilot / len(pilot)
    root = torch.linalg.cholesky(moments + 1e-12 * torch.eye(size, dtype=pilot.dtype))
    area = math.log(2) + size / 2 * math.log(math.pi) - math.lgamma(size / 2)
    constant = -float(root.diagonal().log().sum()) - area + folded * math.log(2)

    def sample(count: int) -> Tensor:
        z = torch.randn(count, size, dtype=pilot.dtype) @ root.T
        z = z / z.norm(dim=-1, keepdim=True)
        return torch.where((z @ centre < 0)[:, None], -z, z) if folded else z

    def log_prob(z: Tensor) -> Tensor:
        t = torch.linalg.solve_triangular(root, z.T, upper=False)
        density = constant - size / 2 * t.square().sum(0).log()
        return density.masked_fill(z @ centre < 0, -math.inf) if folded else density

    return Reference(sample, log_prob)
