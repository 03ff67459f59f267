"""Which objectives can leave a part of their KL free."""

from functools import partial

import torch
from torch import Tensor

from vaebench.compute.random import seeded
from vaebench.errors import UserError
from vaebench.models.draw import draw, fixed, halved
from vaebench.models.items import Seen
from vaebench.models.networks import tried
from vaebench.models.posterior import knows_parts
from vaebench.models.variant import Variant

#: Inputs, and features of each, that an objective is tried with.
_ROWS, _CONTEXT = 8, 8
#: Nats a dimension that no KL at initial weights reaches.
_MUCH = 1e4


def separates_kl(variant: Variant, latent: int) -> bool:
    """Whether free bits change what a variant is trained for, as they do where it uses `Draw.kl`.

    Objectives of weights p(x, z) / q(z|x) have no KL apart from these; others have none, or write
    it out. The variant is tried with a flat likelihood, and `latent` dimensions.
    """

    def flat(z: Tensor) -> Tensor:
        return 0.0 * z.sum(-1)

    variant = tried(variant, _CONTEXT)
    with seeded(0, "free bits"):
        posterior, h = variant.posterior(latent, _CONTEXT), torch.randn(_ROWS, _CONTEXT)
        held = fixed(posterior, h, [], flat)
        table = draw(posterior(h), posterior.prior(), flat, variant.samples, fixed=held)
        table = table._replace(h=h, seen=Seen())
        if knows_parts(posterior):
            table = halved(table, partial(posterior.of_parts, h), flat, variant.samples)
    losses: list[Tensor] = []
    for free in (0.0, _MUCH):
        freed = table._replace(free_bits=free)
        try:
            with seeded(0, "objective"):
                value = variant.objective(freed).mean()
                penalties = [penalty(freed).mean() for penalty in variant.penalties.values()]
        except UserError:
            return False
        losses.append(sum(penalties, -value))
    return bool((losses[1] - losses[0]).abs() > 0)
