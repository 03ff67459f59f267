"""Second players that change more than themselves, or nothing."""

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from tests.testing.zoo.base import caught_by
from vaebench import Draw, Gaussian, Rival, Variant


class Sound(Rival):
    def __init__(self, features: int) -> None:
        super().__init__()
        self.logit = nn.Sequential(nn.Linear(features, 8), nn.Tanh(), nn.Linear(8, 1))

    def told(self, z: Tensor) -> Tensor:
        return self.logit(z)[:, 0]

    def loss(self, draw: Draw) -> Tensor:
        prior = draw.p.sample(draw.z.shape[1:2])
        return softplus(-self.told(draw.one())) + softplus(self.told(prior))

    def term(self, draw: Draw) -> Tensor:
        return self.told(draw.one())


@caught_by("rival")
def rival_that_teaches_the_posterior() -> Variant:
    class Taught(Sound):
        def loss(self, draw: Draw) -> Tensor:
            return softplus(-self.told(draw.q.rsample())) + super().loss(draw)

    return Variant("rival-that-teaches-the-posterior", Gaussian, rival=Taught)


@caught_by("rival")
def rival_that_steps_in_its_term() -> Variant:
    class Stepping(Sound):
        def term(self, draw: Draw) -> Tensor:
            value = super().term(draw)
            with torch.no_grad():
                for parameter in self.parameters():
                    parameter.mul_(0.99)
            return value

    return Variant("rival-that-steps-in-its-term", Gaussian, rival=Stepping)


@caught_by("rival")
def rival_that_nobody_hears() -> Variant:
    class Silent(Sound):
        def term(self, draw: Draw) -> Tensor:
            return super().term(draw.detached())

    return Variant("rival-that-nobody-hears", Gaussian, rival=Silent)


@caught_by("rival")
def rival_with_a_weight_that_never_learns() -> Variant:
    class Spare(Sound):
        def __init__(self, features: int) -> None:
            super().__init__(features)
            self.spare = nn.Linear(features, 1)

    return Variant("rival-with-a-weight-that-never-learns", Gaussian, rival=Spare)


@caught_by("rival")
def rival_whose_loss_is_a_mean() -> Variant:
    class Mean(Sound):
        def loss(self, draw: Draw) -> Tensor:
            return super().loss(draw).mean()

    return Variant("rival-whose-loss-is-a-mean", Gaussian, rival=Mean)
