"""The β-VAE: the ELBO with another price of its KL, and so another rate."""

from torch import Tensor

from vaebench import Draw, Gaussian, Variant, elbo, hookimpl


def weighted(draw: Draw, beta: float = 4.0) -> Tensor:
    """E_q[log p(x|z)] - β KL(q(z|x) || p(z)), (B,) nats: a lower bound on log p(x) for β >= 1.

    Args:
        draw: Draws.
        beta: β; 1 gives the ELBO.

    Raises:
        ValueError: β is negative.

    References:
        Higgins et al. 2017, beta-VAE, ICLR, eq. 4.
    """
    if beta < 0:
        raise ValueError(f"beta is not negative, as {beta} is.")
    return elbo(draw._replace(kl_weight=beta * draw.kl_weight))


@hookimpl
def vaebench_variants() -> list[Variant]:
    """β = 4; `beta-vae[beta=0.5]` and its like give Gaussian controls at any rate."""
    reference = "Higgins et al. 2017, openreview Sy2fzU9gl"
    return [
        Variant(
            "beta-vae",
            Gaussian,
            objective=weighted,
            reference=reference,
            family="objectives",
            description="Weighs the KL term: E log p(x|z) − β KL(q(z|x) ‖ p(z)).",
        )
    ]
