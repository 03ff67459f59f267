import math
import sys

import numpy
import pytest
import torch
from scipy.ndimage import gaussian_filter

from vaebench.errors import UserError
from vaebench.evaluation.functional.reconstruction import mse, psnr, ssim


def pair(count=7, channels=1, size=16):
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(count, channels, size, size, generator=generator)
    other = torch.rand(count, channels, size, size, generator=generator)
    return images, 0.8 * images + 0.2 * other


def test_mse_and_psnr_by_hand_for_each_image():
    images = torch.zeros(2, 3, 4, 4)
    other = torch.stack([torch.full((3, 4, 4), 0.1), torch.full((3, 4, 4), 0.01)])
    assert mse(images, other).tolist() == pytest.approx([1e-2, 1e-4])
    assert psnr(images, other).tolist() == pytest.approx([20, 40], rel=1e-6)
    assert psnr(images, images).tolist() == [math.inf, math.inf]


def slow_ssim(a, b):
    def blur(x):
        return gaussian_filter(x, 1.5, mode="mirror", truncate=3.5)

    mean_a, mean_b = blur(a), blur(b)
    var_a, var_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    cov = blur(a * b) - mean_a * mean_b
    upper = (2 * mean_a * mean_b + 0.01**2) * (2 * cov + 0.03**2)
    return (upper / ((mean_a**2 + mean_b**2 + 0.01**2) * (var_a + var_b + 0.03**2))).mean()


@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 16), (1, 8)])
def test_ssim_is_wangs_formula_and_ignores_the_batch(channels, size):
    images, other = pair(7, channels, size)
    expected = [
        numpy.mean([slow_ssim(p, q) for p, q in zip(a, b, strict=True)])
        for a, b in zip(images.double().numpy(), other.double().numpy(), strict=True)
    ]
    numpy.testing.assert_allclose(ssim(images, other, chunk=3), expected, atol=1e-4)
    numpy.testing.assert_allclose(ssim(images[:1], other[:1]), expected[:1], atol=1e-4)
    assert ssim(images, images).tolist() == pytest.approx([1] * 7)


def test_what_does_not_fit_is_refused():
    images, other = pair()
    with pytest.raises(ValueError, match="of one shape"):
        mse(images, other[:3])
    with pytest.raises(ValueError, match="at least 6 × 6"):
        ssim(images[..., :5], other[..., :5])


def test_a_broken_torchmetrics_is_explained(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchmetrics.functional.image", None)
    with pytest.raises(UserError, match="torchmetrics does not import"):
        ssim(*pair())
