"""Stored pixels as they are observed: reproducible, and on average the picture."""

import math

import pytest
import torch

from vaebench.compute.random import generator
from vaebench.data.observation import grey, observe
from vaebench.models.likelihoods import TAKES


@pytest.mark.parametrize("takes", [takes for takes in TAKES if takes != "tokens"])
def test_observations_are_reproducible_and_average_to_the_picture(takes):
    pixels = torch.randint(0, 17, (6, 1, 4, 4), generator=generator(0, "pixels")).byte()
    again = [observe(takes, pixels, 17, generator(1, "x")) for _ in range(2)]
    assert torch.equal(*again)
    many = torch.stack([observe(takes, pixels, 17, generator(s, "x")) for s in range(400)]).mean(0)
    expected = (pixels.float() + 0.5) / 17 if takes == "real" else grey(pixels, 17)
    assert (many - expected).abs().max() < 5 * 0.5 / math.sqrt(400)


def test_a_binary_pixel_is_a_bernoulli_draw():
    pixels = torch.arange(256, dtype=torch.uint8).repeat(4, 1, 64, 1)
    seeded = [torch.Generator().manual_seed(3) for _ in range(2)]
    expected = torch.bernoulli(grey(pixels, 256), generator=seeded[0])
    found = observe("binary", pixels, 256, seeded[1])
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


def test_levels_are_observed_as_they_are_and_real_numbers_stay_in_their_bin():
    pixels = torch.arange(17, dtype=torch.uint8)[None, None, :, None]
    assert torch.equal(observe("levels", pixels, 17, generator(0, "x")), grey(pixels, 17))
    for seed in range(20):
        x = observe("real", pixels, 17, generator(seed, "x"))
        assert torch.equal((x * 17).floor().byte(), pixels)
