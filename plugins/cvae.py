"""The conditional VAE: a prior that depends on what is given."""

from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal
from torch.nn.functional import softplus

from vaebench import Gaussian, Variant, hookimpl


class Conditional(Gaussian):
    """A diagonal Gaussian q(z|x, y) against p(z|y) = N(μ(y), diag σ(y)²).

    The encoder's features hold the condition y already, and the decoder is told it beside z. Where
    a data set has no condition, or one that says nothing, the prior is N(0, I).

    Args:
        features: D, the number of latent dimensions.
        context: F, the number of encoder features.
        width: Hidden units of the prior's network.
        given: G, the numbers that the condition of an item comes to.

    Raises:
        ValueError: The network has no hidden unit.
    """

    def __init__(self, features: int, context: int, width: int = 128, *, given: int) -> None:
        super().__init__(features, context)
        if width < 1:
            raise ValueError(f"The prior's network has one hidden unit or more, not {width}.")
        self.network = nn.Sequential()
        if given:
            self.network.extend(
                [nn.Linear(given, width), nn.Tanh(), nn.Linear(width, 2 * features)]
            )

    def prior(self, given: Tensor | None = None) -> Distribution:
        """p(z|y) for conditions y (B, G), batch shape (B,); N(0, I) where nothing is given."""
        if given is None or not len(self.network):
            return super().prior()
        loc, raw = self.network(given).chunk(2, -1)
        # A scale of 1 at 0.
        scale = softplus(raw + 0.5413248546) + 1e-4
        return Independent(Normal(loc, scale, validate_args=False), 1)


@hookimpl
def vaebench_variants() -> list[Variant]:
    """The Gaussian posterior against a learned conditional prior, trained with the ELBO."""
    return [
        Variant(
            "cvae",
            Conditional,
            reference="Sohn et al. 2015, NIPS, eq. 4; Doersch 2016, arXiv 1606.05908",
            family="priors",
            description="A prior p(z|y) = N(μ(y), σ(y)²) that depends on the condition of the "
            "data set, as given=label; with `gaussian` it does not.",
        )
    ]
