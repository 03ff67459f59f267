"""Models whose likelihoods benchmarks/ais.py estimates: linear-Gaussian, and trained decoders."""

import math
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.distributions import Independent, MultivariateNormal, Normal
from torch.nn.functional import softplus


def standard(latents: int) -> Independent:
    """N(0, I)."""
    return Independent(Normal(torch.zeros(latents), torch.ones(latents)), 1)


class Likelihood:
    """log N(x; z W, sigma²) for images x (B, X) of the model."""

    def __init__(self, w: Tensor, x: Tensor, sigma: float) -> None:
        self.w, self.x, self.sigma = w, x, sigma

    def __call__(self, z: Tensor) -> Tensor:
        """log p(x|z) (K, B)."""
        residual = (self.x - z @ self.w) / self.sigma
        constant = math.log(self.sigma * math.sqrt(2 * math.pi))
        return (-0.5 * residual.square() - constant).sum(-1)

    def subset(self, images: Tensor) -> "Likelihood":
        """The same of some images."""
        return Likelihood(self.w, self.x[images], self.sigma)


class LinearGaussian:
    """x = z W + sigma · noise with 784 pixels, and its exact log p(x) and posterior.

    Args:
        latents: Dimensions of z.
        sigma: Standard deviation of the noise.
        decay: The rows of W fall by 10^-decay.
        generator: Draws W.
    """

    def __init__(self, latents: int, sigma: float, decay: int, generator: torch.Generator) -> None:
        self.latents, self.sigma = latents, sigma
        w = torch.randn(latents, 784, generator=generator, dtype=torch.float64) / 10
        self.w = w * torch.logspace(0, -decay, latents, dtype=torch.float64)[:, None]
        self.name = f"{latents} latents, sigma {sigma}, decay 10^-{decay}"

    def images(self, z: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Images (B, 784) of latents (B, D), float64."""
        mean = z.double() @ self.w
        noise = torch.randn(mean.shape, generator=generator, dtype=torch.float64)
        return mean + self.sigma * noise

    def likelihood(self, x: Tensor) -> Likelihood:
        """The likelihood of images, in float32."""
        return Likelihood(self.w.float(), x.float(), self.sigma)

    def evidence(self, x: Tensor) -> Tensor:
        """Exact log p(x) (B,)."""
        covariance = self.w.T @ self.w + self.sigma**2 * torch.eye(784, dtype=torch.float64)
        return MultivariateNormal(torch.zeros(784, dtype=torch.float64), covariance).log_prob(x)

    def missed(self, x: Tensor) -> Independent:
        """The posterior's mean field, half a deviation off: a proposal as encoders give them."""
        precision = self.w @ self.w.T / self.sigma**2
        covariance = torch.linalg.inv(precision + torch.eye(self.latents, dtype=torch.float64))
        scale = covariance.diagonal().rsqrt().reciprocal()
        loc = x @ self.w.T @ covariance / self.sigma**2 + 0.5 * scale
        return Independent(Normal(loc.float(), scale.float()), 1)


class Bernoulli:
    """log p(x|z) of binary images under a decoder's logits."""

    def __init__(self, decoder: nn.Module, x: Tensor) -> None:
        self.decoder, self.x = decoder, x

    def __call__(self, z: Tensor) -> Tensor:
        """log p(x|z) (K, B)."""
        logits = self.decoder(z)
        return (self.x * logits - softplus(logits)).sum(-1)

    def subset(self, images: Tensor) -> "Bernoulli":
        """The same of some images."""
        return Bernoulli(self.decoder, self.x[images])


def training_data(folder: str | None) -> tuple[Tensor, Tensor, int, int]:
    """Grey images in [0, 1] to train and test on (N, X), latents and hidden units."""
    raw = Path(folder or "", "MNIST", "raw")
    if folder and raw.is_dir():
        parts = [
            torch.frombuffer(bytearray(path.read_bytes()[16:]), dtype=torch.uint8).reshape(-1, 784)
            for path in (raw / "train-images-idx3-ubyte", raw / "t10k-images-idx3-ubyte")
        ]
        return parts[0] / 255, parts[1] / 255, 50, 200
    from sklearn.datasets import load_digits

    x = torch.from_numpy(load_digits().data).float() / 16
    return x[:1500], x[1500:], 10, 64


def mlp(*sizes: int) -> nn.Sequential:
    """Linear layers with tanh between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def trained(folder: str | None, images: int) -> tuple[nn.Module, Tensor, Independent, int]:
    """A decoder, binary test images, the encoder's q(z|x) for them, and the number of latents."""
    torch.manual_seed(0)
    x, test, latents, hidden = training_data(folder)
    pixels = x.shape[1]
    encoder = mlp(pixels, hidden, hidden, 2 * latents)
    decoder = mlp(latents, hidden, hidden, pixels)
    optimiser = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], 1e-3)
    epochs = math.ceil(4000 / (len(x) / 200))
    for _ in range(epochs):
        for index in torch.randperm(len(x)).split(200):
            picture = torch.bernoulli(x[index])
            loc, log_scale = encoder(picture).chunk(2, -1)
            z = loc + log_scale.exp() * torch.randn_like(loc)
            kl = 0.5 * (loc.square() + (2 * log_scale).exp() - 1) - log_scale
            loss = (kl.sum(-1) - Bernoulli(decoder, picture)(z)).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    decoder.requires_grad_(False)
    picture = torch.bernoulli(test[:images])
    with torch.no_grad():
        loc, log_scale = encoder(picture).chunk(2, -1)
    return decoder, picture, Independent(Normal(loc, log_scale.exp()), 1), latents
