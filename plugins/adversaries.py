"""Second players on codes: FactorVAE, the adversarial autoencoder, adversarial variational Bayes.

A discriminator that tells two laws of codes apart has, when it is optimal, the logarithm of the
ratio of their densities as its logit. Its mean under one of them is their KL divergence, which the
posterior then lowers without knowing either density.
"""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, constraints
from torch.nn.functional import softplus

from vaebench import Draw, Gaussian, Posterior, Rival, Variant, hookimpl


def network(inputs: int, width: int) -> nn.Module:
    """Vectors (..., inputs) to logits (...,): two hidden layers with leaky rectifiers."""
    sizes = [(inputs, width), (width, width)]
    hidden = [layer for size in sizes for layer in (nn.Linear(*size), nn.LeakyReLU(0.2))]
    return nn.Sequential(*hidden, nn.Linear(width, 1), nn.Flatten(-2))


def cross_entropy(first: Tensor, second: Tensor) -> Tensor:
    """Of telling draws of a first law from draws of a second by their logits (B,): (B,) nats."""
    return softplus(-first) + softplus(second)


def prior_draws(draw: Draw) -> Tensor:
    """As many draws (B, D) of the prior as there are inputs."""
    return draw.p.sample(draw.z.shape[1:2])


class TotalCorrelation(Rival):
    """Tells codes from codes whose dimensions are exchanged among the batch, each by itself.

    The logit estimates log q(z) - Σ_d log q(z_d). The paper exchanges the dimensions of a second
    batch, here they are those of the same one; its network has six layers of 1000 units.

    Args:
        features: D.
        weight: γ, of the total correlation beside the ELBO; both are in nats.
        width: Units of a hidden layer.

    References:
        Kim & Mnih 2018, Disentangling by Factorising, arXiv 1802.05983, eq. 2, 3, alg. 1, 2.
    """

    betas: ClassVar[tuple[float, float]] = (0.5, 0.9)

    def __init__(self, features: int, weight: float = 10.0, width: int = 256) -> None:
        super().__init__()
        self.weight = weight
        self.logit = network(features, width)

    def loss(self, draw: Draw) -> Tensor:
        """The cross-entropy (B,) between codes and codes of exchanged dimensions, in nats."""
        z = draw.one()
        if len(z) < 2:
            raise ValueError("factor-vae exchanges the codes of a batch: use two or more.")
        exchanged = z.gather(0, torch.rand_like(z).argsort(0))
        return cross_entropy(self.logit(z), self.logit(exchanged))

    def term(self, draw: Draw) -> Tensor:
        """γ times the logit (B,) nats, whose mean estimates the total correlation."""
        return draw.kl_weight * self.weight * self.logit(draw.one())


class FactorVAE:
    """The plugin `factor-vae`."""

    @staticmethod
    @hookimpl
    def vaebench_variants() -> list[Variant]:
        """γ = 10; `factor-vae[weight=0]` is `gaussian`."""
        return [
            Variant(
                "factor-vae",
                Gaussian,
                rival=TotalCorrelation,
                reference="Kim & Mnih 2018, arXiv 1802.05983",
                family="aggregate criteria",
                description="ELBO − γ KL(q(z) ‖ Π_d q(z_d)): the total correlation of the codes by "
                "a discriminator, γ being the option weight.",
            )
        ]


class Aggregate(Rival):
    """Tells draws of the prior from codes; the posterior learns to make codes that pass for such.

    Args:
        features: D.
        weight: Of the generator's loss beside the log-likelihood summed over pixels; the paper
            takes steps on the two in turn instead. With a large weight the codes flee together to
            where the discriminator looked last.
        width: Units of a hidden layer.

    References:
        Makhzani et al. 2016, Adversarial Autoencoders, arXiv 1511.05644, sec. 2; the generator's
        loss: Goodfellow et al. 2014, arXiv 1406.2661, sec. 3.
    """

    def __init__(self, features: int, weight: float = 0.3, width: int = 256) -> None:
        super().__init__()
        self.weight = weight
        self.logit = network(features, width)

    def loss(self, draw: Draw) -> Tensor:
        """The cross-entropy (B,) between draws of the prior and codes, in nats."""
        return cross_entropy(self.logit(prior_draws(draw)), self.logit(draw.one()))

    def term(self, draw: Draw) -> Tensor:
        """The weighted non-saturating loss (B,) of passing for draws of the prior, in nats."""
        return draw.kl_weight * self.weight * softplus(-self.logit(draw.one()))


def reconstruction(draw: Draw) -> Tensor:
    """E_q[log p(x|z)] (B,) nats; what holds the codes to the prior is the rival's term."""
    return draw.mean(draw.log_px)


class AAE:
    """The plugin `aae`."""

    @staticmethod
    @hookimpl
    def vaebench_variants() -> list[Variant]:
        """The adversarial autoencoder on the Gaussian posterior that all others have too."""
        return [
            Variant(
                "aae",
                Gaussian,
                objective=reconstruction,
                rival=Aggregate,
                deviations={"bound": "the KL of each posterior is left out"},
                reference="Makhzani et al. 2016, arXiv 1511.05644",
                family="aggregate criteria",
                description="E log p(x|z), and a discriminator of codes and draws of the prior "
                "that holds the aggregate posterior q(z) to the prior.",
            )
        ]


class Pushed(Distribution):
    """z = μ + σ (ε + g(h, ε)), ε ~ N(0, I): it can be drawn from and its density is not known.

    Args:
        loc: μ (B, D).
        scale: σ (B, D).
        h: Features (B, F).
        bend: g, a network of (..., F + D) to (..., D).
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, loc: Tensor, scale: Tensor, h: Tensor, bend: nn.Module) -> None:
        self.loc, self.scale, self.h, self.bend = loc, scale, h, bend
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=False)

    def rsample(self, sample_shape: list[int] | tuple[int, ...] = ()) -> Tensor:
        """Draws (..., B, D)."""
        shape = self._extended_shape(sample_shape)
        noise = torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
        h = self.h.expand(*shape[:-1], -1)
        return self.loc + self.scale * (noise + self.bend(torch.cat([h, noise], -1)))

    def log_prob(self, value: Tensor) -> Tensor:
        """Raise NotImplementedError."""
        raise NotImplementedError("The density of noise through a network is not known.")


class Implicit(Posterior):
    """Noise through a network that sees the features too; with g = 0 it is the Gaussian.

    Args:
        features: D, also the number of dimensions of the noise.
        context: F.
        hidden: Units of the hidden layer of g.
    """

    def __init__(self, features: int, context: int, hidden: int = 128) -> None:
        super().__init__(features, context)
        self.gaussian = Gaussian(features, context)
        self.bend = nn.Sequential(
            nn.Linear(context + features, hidden), nn.Tanh(), nn.Linear(hidden, features)
        )

    def forward(self, h: Tensor) -> Distribution:
        """Features h (B, F) to the implicit distribution."""
        q = self.gaussian(h)
        return Pushed(q.mean, q.stddev, h, self.bend)


class Contrast(Rival):
    """T(x, z), which tells codes of an image from draws of the prior beside the same image.

    At its optimum it is log q(z|x) - log p(z), whose mean is the KL. q sees the image through the
    encoder's features alone, and so does T: they are given to it without a gradient, since the
    expected gradient of the optimal T itself is zero (proposition 2).

    Args:
        features: D.
        width: Units of a hidden layer.
        context: F, the number of the encoder's features.

    References:
        Mescheder et al. 2017, Adversarial Variational Bayes, arXiv 1701.04722, sec. 3.
    """

    def __init__(self, features: int, width: int = 256, *, context: int) -> None:
        super().__init__()
        self.logit = network(context + features, width)

    def contrast(self, draw: Draw, z: Tensor) -> Tensor:
        """T (B,) in nats at codes (B, D)."""
        if draw.h is None:
            raise ValueError("avb needs the encoder's features (Draw.h).")
        return self.logit(torch.cat([draw.h.detach(), z], -1))

    def loss(self, draw: Draw) -> Tensor:
        """The cross-entropy (B,) between codes and draws of the prior, in nats."""
        mine, others = self.contrast(draw, draw.one()), self.contrast(draw, prior_draws(draw))
        return cross_entropy(mine, others)

    def term(self, draw: Draw) -> Tensor:
        """T (B,) at a code of each image: its mean estimates the KL, in nats."""
        return draw.kl_weight * self.contrast(draw, draw.one())


class AVB:
    """The plugin `avb`."""

    @staticmethod
    @hookimpl
    def vaebench_variants() -> list[Variant]:
        """An implicit posterior, its KL by a discriminator, without adaptive contrast."""
        return [
            Variant(
                "avb",
                Implicit,
                objective=reconstruction,
                rival=Contrast,
                deviations={
                    "bound": "the KL is left to the rival's estimate, which need not be optimal",
                    "density": "q is noise through a network",
                },
                reference="Mescheder et al. 2017, arXiv 1701.04722",
                family="implicit posteriors",
                description="E log p(x|z) − E T(x, z), z = f(x, ε): a discriminator T estimates "
                "log q(z|x) − log p(z) for a posterior without a density.",
            )
        ]
