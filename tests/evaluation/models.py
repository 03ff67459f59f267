"""Small models whose evidence is known exactly or by quadrature."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal


def standard(features: int, dtype: torch.dtype = torch.float64) -> Independent:
    zeros = torch.zeros(features, dtype=dtype)
    return Independent(Normal(zeros, torch.ones_like(zeros)), 1)


class LogLikelihood:
    """log p(x|z) (K, B) of images x (B, X) under `density(x, z)`, which can be taken apart."""

    def __init__(self, x: Tensor, density: Callable[[Tensor, Tensor], Tensor]) -> None:
        self.x = x
        self.density = density

    def __call__(self, z: Tensor) -> Tensor:
        return self.density(self.x, z)

    def subset(self, images: Tensor) -> "LogLikelihood":
        return LogLikelihood(self.x[images], self.density)


class LinearGaussian:
    """x = z W + noise with z ~ N(0, I): log p(x) in closed form (probabilistic PCA)."""

    def __init__(self, latents: int, pixels: int, sigma: float, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.w = torch.randn(latents, pixels, generator=generator, dtype=torch.float64)
        self.w *= torch.logspace(0, -1, latents, dtype=torch.float64)[:, None]
        self.sigma = sigma
        self.generator = generator

    def images(self, batch: int) -> Tensor:
        latents, pixels = self.w.shape
        z = torch.randn(batch, latents, generator=self.generator, dtype=torch.float64)
        noise = torch.randn(batch, pixels, generator=self.generator, dtype=torch.float64)
        return z @ self.w + self.sigma * noise

    def log_evidence(self, x: Tensor) -> Tensor:
        eye = torch.eye(x.shape[1], dtype=torch.float64)
        covariance = self.w.T @ self.w + self.sigma**2 * eye
        return MultivariateNormal(torch.zeros_like(x[0]), covariance).log_prob(x)

    def posterior(self, x: Tensor) -> MultivariateNormal:
        eye = torch.eye(len(self.w), dtype=torch.float64)
        precision = self.w @ self.w.T / self.sigma**2 + eye
        mean = x @ self.w.T @ torch.linalg.inv(precision) / self.sigma**2
        return MultivariateNormal(mean, precision_matrix=precision)

    def log_likelihood(self, x: Tensor, dtype: torch.dtype = torch.float64) -> LogLikelihood:
        w = self.w.to(dtype)

        def density(x: Tensor, z: Tensor) -> Tensor:
            return normal_log_density(x - z @ w, self.sigma)

        return LogLikelihood(x.to(dtype), density)


def normal_log_density(residual: Tensor, sigma: float) -> Tensor:
    """log N(residual; 0, sigma²) summed over the last axis."""
    constant = math.log(sigma * math.sqrt(2 * math.pi))
    return (-0.5 * (residual / sigma).square() - constant).sum(-1)


def evidence_on_grid(
    log_likelihood: Callable[[Tensor], Tensor], prior: Distribution, batch: int, reach: float = 9.0
) -> Tensor:
    """log p(x) (B,) of models with one or two latents by the trapezoid rule on a square."""
    (features,) = prior.event_shape
    axis = torch.linspace(-reach, reach, 20001 if features == 1 else 401, dtype=torch.float64)
    z = torch.cartesian_prod(*[axis] * features).reshape(-1, 1, features)
    log_cell = features * math.log(float(axis[1] - axis[0]))
    values = [
        (log_likelihood(part.expand(-1, batch, -1)) + prior.log_prob(part)).logsumexp(0)
        for part in z.split(100_000)
    ]
    return torch.stack(values).logsumexp(0) + log_cell
