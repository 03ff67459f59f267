import numpy
import pytest
import torch
from scipy.ndimage import gaussian_filter, laplace
from sklearn.datasets import load_digits

from vaebench.evaluation.functional.sharpness import sharpness


def digits(count=40):
    small = torch.tensor(load_digits().images[:count, None] / 16, dtype=torch.float32)
    return torch.nn.functional.interpolate(small, size=28, mode="bilinear")


def test_a_dot_by_hand():
    # Responses of a 5 × 5 image with a dot of one half: four of 1/2, one of -2, four of 0.
    image = torch.zeros(1, 1, 5, 5)
    image[0, 0, 2, 2] = 0.5
    expected = (4 * 0.25 + 4) / 9  # of mean zero
    assert sharpness(image).tolist() == pytest.approx([expected])


def test_each_image_has_the_variance_of_scipys_laplacian():
    images = digits(5)
    expected = [laplace(x[0].numpy().astype(float))[1:-1, 1:-1].var() for x in images]
    numpy.testing.assert_allclose(sharpness(images), expected, rtol=1e-4)


def test_blur_lowers_it_and_noise_adds_twenty_variances():
    images = digits()
    values = [sharpness(images).mean().item()]
    for sigma in (0.5, 1.0, 2.0):
        soft = gaussian_filter(images.numpy(), (0, 0, sigma, sigma))
        values.append(sharpness(torch.tensor(soft)).mean().item())
    assert values == sorted(values, reverse=True) and values[-1] < 0.2 * values[0]

    noise = 0.05 * torch.randn(500, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    assert sharpness(0.5 + noise).mean().item() == pytest.approx(20 * 0.05**2, rel=0.02)


def test_a_black_border_and_a_constant_image_have_none():
    assert sharpness(torch.full((2, 3, 8, 8), 0.7)).tolist() == pytest.approx([0, 0], abs=1e-10)


def test_colour_is_seen_in_grey():
    image = digits(1).squeeze()
    colour = torch.zeros(1, 3, 28, 28)
    for channel, weight in enumerate((0.2989, 0.587, 0.114)):
        colour.zero_()[0, channel] = image
        expected = weight**2 * sharpness(image[None, None])
        torch.testing.assert_close(sharpness(colour), expected)


def test_values_outside_the_range_are_clamped():
    images = 3 * digits() - 1
    torch.testing.assert_close(sharpness(images), sharpness(images.clamp(0, 1)))


@pytest.mark.parametrize("shape", [(4, 1, 2, 8), (4, 2, 8, 8), (1, 8, 8)])
def test_what_is_no_image_is_refused(shape):
    with pytest.raises(ValueError, match="Sharpness is defined for"):
        sharpness(torch.zeros(shape))
