"""Columns about pixels: sharpness, and how far reconstructions are from their images."""

from collections.abc import Callable

import torch
from torch import Tensor

from vaebench.evaluation.functional.reconstruction import mse, psnr, ssim
from vaebench.evaluation.functional.sharpness import sharpness
from vaebench.evaluation.metrics.estimate import Estimate, Unavailable, mean, quantiles
from vaebench.evaluation.metrics.metric import ANY, NO_MODEL, Metric
from vaebench.evaluation.metrics.subject import Subject


def _sharpness(images: Callable[[Subject], Tensor]) -> Callable[[Subject], Estimate]:
    def compute(subject: Subject) -> Estimate:
        try:
            found = sharpness(images(subject))
        except ValueError as error:
            raise Unavailable(str(error)) from error
        # The images differ between variants, so that there is nothing to pair.
        whole = mean(found, detail=quantiles(found), range="[0, 1]")
        return Estimate(whole.value, whole.n, whole.se, whole.depends, detail=whole.detail)

    return compute


def _distance(
    measure: Callable[[Tensor, Tensor], Tensor],
) -> Callable[[Subject], Estimate]:
    def compute(subject: Subject) -> Estimate:
        try:
            values = measure(subject.pictures, subject.reconstructions)
        except ValueError as error:
            raise Unavailable(str(error)) from error
        finite = torch.isfinite(values)
        if not finite.all():
            raise Unavailable(f"it is infinite for {int((~finite).sum())} images")
        return mean(values, range="[0, 1]")

    return compute


METRICS = (
    Metric(
        "sharpness",
        "sharpness",
        "Sharpness of samples",
        "variance of Laplacian",
        None,
        "Variance of the Laplacian of decoded prior draws; to be held against the real images'.",
        NO_MODEL,
        _sharpness(lambda subject: subject.samples),
    ),
    Metric(
        "sharpness_rec",
        "sharpness",
        "Sharpness of reconstructions",
        "variance of Laplacian",
        None,
        "Variance of the Laplacian of reconstructions.",
        ANY,
        _sharpness(lambda subject: subject.reconstructions),
    ),
    Metric(
        "sharpness_real",
        "sharpness",
        "Sharpness of real images",
        "variance of Laplacian",
        None,
        "Variance of the Laplacian of the test images.",
        ANY,
        _sharpness(lambda subject: subject.pictures),
    ),
    Metric(
        "mse",
        "mse",
        "Reconstruction error",
        "squared error/pixel",
        "lower",
        "Mean squared error between test images and decoder means of one draw from q.",
        ANY,
        _distance(mse),
    ),
    Metric(
        "psnr",
        "reconstruction",
        "PSNR of reconstructions",
        "dB",
        "higher",
        "Peak signal-to-noise ratio of reconstructions: -10 log10 of each mean squared error.",
        ANY,
        _distance(psnr),
    ),
    Metric(
        "ssim",
        "reconstruction",
        "SSIM of reconstructions",
        "similarity",
        "higher",
        "Structural similarity of reconstructions in an 11 × 11 window; says little at 8 × 8.",
        ANY,
        _distance(ssim),
    ),
)
