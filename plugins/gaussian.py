"""The variational autoencoder of Kingma & Welling: the row every other one is compared with."""

from vaebench import Gaussian, Variant, hookimpl


@hookimpl
def vaebench_variants() -> list[Variant]:
    """The Gaussian posterior, trained with the ELBO."""
    return [
        Variant(
            "gaussian",
            Gaussian,
            reference="Kingma & Welling 2014, arXiv 1312.6114",
            family="posteriors",
            description="Diagonal Gaussian q(z|x) = N(μ(x), σ(x)²) against N(0, I), trained "
            "with the ELBO.",
        )
    ]
