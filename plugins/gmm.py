"""A mixture of Gaussians as the posterior of each input, with unbiased gradients for all of it.

The density is always that of the whole mixture. Two estimators: *stratified* decodes a draw of
every component and weights them by their probabilities; *implicit* decodes one draw, whose
gradient is that of the mixture's conditional distribution functions held fixed. Both are unbiased.
Where components lie d standard deviations apart in every dimension, few draws fall between them and
the implicit gradient of the weights is rare and large: its variance grows like exp(d²/4).
"""

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.distributions import Categorical, Distribution, constraints
from torch.nn.functional import pad

from vaebench import Gaussian, Posterior, Variant, hookimpl, iwae

_LOG_SQRT_2PI = math.log(2 * math.pi) / 2


class _ImplicitDraw(torch.autograd.Function):
    """z = loc_c + scale_c noise, with the gradient of the marginal draw instead of that given c.

    A parameter moves the draw with a velocity v that solves d(density)/d(parameter) + div(density
    v) = 0. For loc_k and scale_k that is the component's own, times its responsibility. For the
    weights it is that of fixed conditional distribution functions F_d(z_d | z_<d) (Graves 2016,
    arXiv 1607.05690; Figurnov et al. 2018, arXiv 1805.08498), one dimension after the other.
    """

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, loc: Tensor, scale: Tensor, choice: Tensor, noise: Tensor
    ) -> Tensor:
        """Logits (..., C), loc, scale (..., C, D), choice (...), noise (..., D) to z (..., D)."""
        ctx.save_for_backward(logits, loc, scale, choice, noise)
        centre, width = _chosen(loc, choice), _chosen(scale, choice)
        return (centre + width * noise.unsqueeze(-2)).squeeze(-2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """The gradient at z (..., D) to that of logits, loc and scale."""
        logits, loc, scale, choice, noise = ctx.saved_tensors
        centre, width = _chosen(loc, choice), _chosen(scale, choice)
        t = (centre - loc + width * noise.unsqueeze(-2)) / scale
        log_n = -t.square() / 2 - scale.log() - _LOG_SQRT_2PI
        seen = log_n.cumsum(-1)
        log_pi = logits.log_softmax(-1).unsqueeze(-1)

        responsibility = (log_pi + seen[..., -1:]).softmax(-2)
        grad_loc = responsibility * grad.unsqueeze(-2)

        log_w = (log_pi + pad(seen[..., :-1], (1, 0))).log_softmax(-2)
        log_p = (log_w + log_n).logsumexp(-2, keepdim=True)
        side = torch.where(noise > 0, -1.0, 1.0).to(t.dtype).unsqueeze(-2)
        cdf = side * torch.special.ndtr(side * t)  # less 1 in the upper tail, for its digits
        along = (log_w - log_p).exp() * ((log_w.exp() * cdf).sum(-2, keepdim=True) - cdf)
        score = -t / scale
        grad_logits = torch.zeros_like(logits)
        for d in reversed(range(grad.shape[-1])):
            pull = grad[..., d] + (score[..., d] * grad_logits).sum(-1)
            grad_logits = grad_logits + along[..., d] * pull.unsqueeze(-1)
        return grad_logits, grad_loc, grad_loc * t, None, None


def _chosen(values: Tensor, choice: Tensor) -> Tensor:
    """The rows (..., 1, D) of values (..., C, D) that choice (...) names."""
    return values.gather(-2, choice[..., None, None].expand(*choice.shape, 1, values.shape[-1]))


class GaussianMixture(Distribution):
    """Σ_c softmax(logits)_c N(loc_c, diag scale_c²), reparameterised in all its parameters.

    Args:
        logits: Unnormalised log-probabilities of the components (..., C).
        loc: Means (..., C, D).
        scale: Standard deviations (..., C, D).
        validate_args: As in torch.distributions.
    """

    arg_constraints: ClassVar = {
        "logits": constraints.real_vector,
        "loc": constraints.independent(constraints.real, 2),
        "scale": constraints.independent(constraints.positive, 2),
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self, logits: Tensor, loc: Tensor, scale: Tensor, validate_args: bool | None = None
    ) -> None:
        self.logits, self.loc, self.scale = logits, loc, scale
        super().__init__(logits.shape[:-1], loc.shape[-1:], validate_args=validate_args)

    @property
    def log_weights(self) -> Tensor:
        """Log-probabilities of the components (..., C)."""
        return self.logits.log_softmax(-1)

    @property
    def mean(self) -> Tensor:
        """The mixture's mean (..., D)."""
        return (self.log_weights.exp().unsqueeze(-1) * self.loc).sum(-2)

    @property
    def variance(self) -> Tensor:
        """The mixture's variance in each dimension (..., D)."""
        square = self.scale.square() + (self.loc - self.mean.unsqueeze(-2)).square()
        return (self.log_weights.exp().unsqueeze(-1) * square).sum(-2)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density of the whole mixture at value (..., D), nats."""
        t = (value.unsqueeze(-2) - self.loc) / self.scale
        log_n = (-t.square() / 2 - self.scale.log() - _LOG_SQRT_2PI).sum(-1)
        return (self.log_weights + log_n).logsumexp(-1)

    def rsample(self, sample_shape: list[int] | tuple[int, ...] = ()) -> Tensor:
        """Independent draws with implicit gradients for weights, means and scales."""
        shape = self._extended_shape(sample_shape)
        noise = torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
        choice = Categorical(logits=self.logits, validate_args=False).sample(sample_shape)
        lead = shape[:-1]
        parameters = (
            self.logits.expand(*lead, -1),
            self.loc.expand(*lead, -1, -1),
            self.scale.expand(*lead, -1, -1),
        )
        return _ImplicitDraw.apply(*parameters, choice, noise)


class StratifiedGaussianMixture(GaussianMixture):
    """The same distribution, which a training step draws component by component."""

    def rstratified(self, samples: int) -> tuple[Tensor, Tensor]:
        """Draws (samples C, ..., D), the same number of each component, and their log-weights.

        The weights (samples C, ...) sum to one over the draws and carry the gradient to the
        mixture's weights; the draws carry that to means and scales.
        """
        loc, scale = self.loc.movedim(-2, 0), self.scale.movedim(-2, 0)
        z = loc + scale * torch.randn(samples, *loc.shape, dtype=loc.dtype, device=loc.device)
        log_weights = self.log_weights.movedim(-1, 0) - math.log(samples)
        return z.flatten(0, 1), log_weights.repeat(samples, *[1] * len(self.batch_shape))


class GaussianMixturePosterior(Posterior):
    """q(z|x) = Σ_c π_c(h) N(loc_c(h), diag scale_c(h)²), against N(0, I).

    Args:
        features: D, the number of latent dimensions.
        context: F, the number of encoder features.
        components: C, the number of Gaussians.
        estimator: `stratified` decodes a draw of every component, `implicit` one draw.

    Raises:
        ValueError: There is no such estimator, or no component.
    """

    def __init__(
        self, features: int, context: int, components: int = 4, estimator: str = "stratified"
    ) -> None:
        super().__init__(features, context)
        if components < 1:
            raise ValueError(f"A mixture has at least one component, not {components}.")
        families = {"stratified": StratifiedGaussianMixture, "implicit": GaussianMixture}
        if estimator not in families:
            raise ValueError(f"estimator is one of {', '.join(families)}, not {estimator!r}.")
        self.family = families[estimator]
        self.shape = (components, features)
        self.weights = nn.Linear(context, components)
        self.components = Gaussian(components * features, context)
        # Components that start alike would stay alike: set them about two deviations apart.
        with torch.no_grad():
            centres = self.components.head.bias[: components * features]
            centres += math.sqrt(2 / features) * torch.randn_like(centres) * (components > 1)

    def forward(self, h: Tensor) -> Distribution:
        """Features h (B, F) to the mixture."""
        q = self.components(h)
        loc, scale = q.mean.unflatten(-1, self.shape), q.stddev.unflatten(-1, self.shape)
        return self.family(self.weights(h), loc, scale, validate_args=False)


@hookimpl
def vaebench_variants() -> list[Variant]:
    """The mixture posterior, trained with the ELBO."""
    return [
        Variant(
            "gmm",
            GaussianMixturePosterior,
            reference="Graves 2016, arXiv 1607.05690; Morningstar et al. 2021, arXiv 2003.01687",
            family="posteriors",
            description="A mixture of diagonal Gaussians q(z|x) = Σ π_c(x) N(μ_c(x), σ_c(x)²) "
            "with unbiased gradients.",
        )
    ]


def stratified_mixture(features: int, context: int, components: int = 4) -> Posterior:
    """The mixture posterior whose components are all drawn."""
    return GaussianMixturePosterior(features, context, components, "stratified")


class SIWAE:
    """The plugin `siwae`: the mixture with the stratified importance-weighted bound."""

    @staticmethod
    @hookimpl
    def vaebench_variants() -> list[Variant]:
        """Two draws of each component in one bound."""
        return [
            Variant(
                "siwae",
                stratified_mixture,
                objective=iwae,
                samples=2,
                reference="Morningstar et al. 2021, arXiv 2003.01687, eq. 6",
                family="objectives",
                description="Importance-weighted bound over draws from every component of a "
                "mixture posterior.",
            )
        ]
