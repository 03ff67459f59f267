"""Modes that no chain begins at: climbers that were left on their way tell of them."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.evaluation.models import standard
from vaebench.evaluation.annealing.coverage import searched
from vaebench.evaluation.annealing.joint import Joint
from vaebench.evaluation.annealing.latent_space import latent_space
from vaebench.evaluation.annealing.modes import Found
from vaebench.evaluation.annealing.settings import Settings
from vaebench.evaluation.annealing.signs import Signs
from vaebench.evaluation.annealing.starts import gaussian_start
from vaebench.evaluation.annealing.streams import Random

F64 = torch.float64
NEEDLE = torch.tensor([3.0, 3.0], dtype=F64)


def normal(z: Tensor, centre: Tensor | float, width: float) -> Tensor:
    """log N(z; centre, width²) over the last axis."""
    each = -0.5 * ((z - centre) / width).square() - math.log(width * math.sqrt(2 * math.pi))
    return each.sum(-1)


class Needle:
    """log p(x|z) of which p(x, z) is the mean of N(0, .3²) and of a needle of N(NEEDLE, .05²)."""

    def __init__(self, batch: int) -> None:
        self.batch = batch

    def __call__(self, z: Tensor) -> Tensor:
        both = torch.logaddexp(normal(z, 0.0, 0.3), normal(z, NEEDLE.to(z), 0.05))
        return (both - math.log(2) - normal(z, 0.0, 1.0)).expand(-1, self.batch)

    def subset(self, images: Tensor) -> "Needle":
        return Needle(len(images))


@pytest.mark.parametrize(("place", "strange"), [(2.8, True), (0.3, False)])
def test_a_climber_that_was_left_on_its_way_finds_its_mode(place: float, strange: bool) -> None:
    """Chains from the prior do not hit a needle; one climber of twenty was on its way to it."""
    batch = 3
    joint = Joint(Needle(batch), latent_space(standard(2), batch), batch, None)
    start = gaussian_start(
        joint.space,
        torch.zeros(batch, 2, dtype=F64),
        0.3 * torch.eye(2).double().repeat(batch, 1, 1),
    )
    places = 0.1 * torch.randn(20, batch, 2, dtype=F64, generator=torch.Generator().manual_seed(0))
    places[7] = place
    heights = joint(places)[0] + joint.space.height(places)[0]
    found = Found(start, torch.ones(batch).long(), torch.ones(batch), places, heights)
    signs = replace(Signs.none(heights[0]), evidence=torch.full((batch,), math.log(0.5)).double())
    random, before = Random(range(batch), heights.device), joint.evaluations.clone()
    signs = searched(joint, start, signs, found, random, Settings().moves, 36)
    assert signs.strange.tolist() == [strange] * batch
    assert (joint.evaluations - before).max() < (560 if strange else 320)
