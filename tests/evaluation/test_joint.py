"""How many latents one call of the decoder takes."""

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, Normal

from vaebench.evaluation.annealing import joint
from vaebench.evaluation.annealing.joint import Joint
from vaebench.evaluation.annealing.latent_space import latent_space

#: Numbers that a z keeps for its gradient, and bytes of them.
WIDE = 2**16
KEPT = 4 * WIDE


class Wide:
    """-Σ sin(z + j), which keeps all of its terms for the gradient."""

    def __init__(self) -> None:
        self.places = torch.arange(WIDE, dtype=torch.float32)
        self.calls: list[int] = []

    def __call__(self, z: Tensor) -> Tensor:
        self.calls.append(z.shape[:-1].numel())
        return -(z + self.places).sin().sum(-1)


def evaluated(draws: int) -> tuple[list[int], Tensor, Tensor]:
    prior = Independent(Normal(torch.zeros(1), torch.ones(1)), 1)
    likelihood = Wide()
    whole = Joint(likelihood, latent_space(prior, 2), 2, None)
    u = torch.linspace(-1, 1, 2 * draws).reshape(draws, 2, 1)
    with torch.no_grad():
        value, gradient = whole.evaluate(u)
    # The first call finds out how much a z keeps.
    return likelihood.calls[1:], value, gradient


def test_a_call_keeps_no_more_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, value, gradient = evaluated(40)
    assert calls == [80]
    monkeypatch.setattr(joint, "_CACHE", KEPT)
    monkeypatch.setattr(joint, "_MOST", 20.0 * KEPT)
    fewer, same, slope = evaluated(40)
    assert fewer == [20] * 4
    assert same.equal(value) and slope.equal(gradient)


def test_small_networks_are_not_called_more_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joint, "_CACHE", KEPT)
    assert evaluated(40)[0] == [80]
