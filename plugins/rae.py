"""Regularised autoencoder: a code for each input, kept small, and a decoder kept smooth."""

import torch
from torch import Tensor

from vaebench import Draw, Posterior, Shared, Variant, hookimpl


def point(features: int, context: int) -> Posterior:
    """A single code z = f(h) for each input, against N(0, I)."""
    from vaebench_plugins.autoencoder import Point

    return Point(features, context)


def regularised(draw: Draw, code: float = 1.0) -> Tensor:
    """log p(x|z) - code ½|z|² (B,) nats at the code z: log p(x, z) + D/2 log 2π for code = 1.

    References:
        Ghosh et al. 2020, From Variational to Deterministic Autoencoders, arXiv 1903.12436, eq. 8,
        whose weights are of a squared error and not of nats.
    """
    return draw.mean(draw.log_px - draw.kl_weight * code * draw.z.square().sum(-1) / 2)


def decoder_penalty(
    draw: Draw, smooth: str = "gradient", weight: float = 0.01, *, decoder: Shared
) -> Tensor:
    """What keeps the decoder from undoing small codes by large weights, (B,) nats.

    Args:
        draw: Of a point mass.
        smooth: `gradient` penalises the squared norm of the Jacobian of the decoder's outputs at
            the code, estimated without bias from one product with random signs; `decay` the
            squares of its weights; `none` nothing.
        weight: Of the penalty.
        decoder: The shared decoder.

    Raises:
        ValueError: A word for `smooth` that there is not.

    References:
        Ghosh et al. 2020, arXiv 1903.12436, eqs. 9 and 11; Hutchinson 1990,
        doi 10.1080/03610919008812866.
    """
    if smooth not in PENALTIES:
        raise ValueError(f"smooth is one of {', '.join(PENALTIES)}, not {smooth!r}.")
    return weight * PENALTIES[smooth](draw, decoder)


def _jacobian(draw: Draw, decoder: Shared) -> Tensor:
    recorded = torch.is_grad_enabled()
    with torch.enable_grad():
        z = draw.z[0] if draw.z.requires_grad else draw.z[0].detach().requires_grad_()
        outputs = decoder(z)
        signs = torch.where(torch.rand_like(outputs) < 0.5, -1.0, 1.0)
        (slope,) = torch.autograd.grad((signs * outputs).sum(), z, create_graph=recorded)
    return slope.square().sum(-1)


def _decay(draw: Draw, decoder: Shared) -> Tensor:
    parts = [p.square().sum() for p in decoder.parameters()]
    return torch.stack(parts).sum().expand(draw.z.shape[1])


def _nothing(draw: Draw, decoder: Shared) -> Tensor:
    return draw.z.new_zeros(draw.z.shape[1])


PENALTIES = {"gradient": _jacobian, "decay": _decay, "none": _nothing}


@hookimpl
def vaebench_variants() -> list[Variant]:
    """The autoencoder with small codes and a decoder of small gradient."""
    return [
        Variant(
            "rae",
            point,
            objective=regularised,
            penalties={"decoder": decoder_penalty},
            deviations={
                "bound": "the value is log p(x, z) at one code, not an expectation",
                "density": "the code is a point, without a density",
            },
            reference="Ghosh et al. 2020, arXiv 1903.12436",
            family="autoencoders",
            description="A code for each input with log p(x|z) − ½|z|² and a penalty on the "
            "decoder's gradient |∂D/∂z|² in place of noise.",
        )
    ]
