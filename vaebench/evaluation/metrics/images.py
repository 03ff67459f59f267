"""Columns about pixels: sharpness, and how far reconstructions are from their images."""

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from vaebench.evaluation.functional.reconstruction import ROWS, mse, psnr, ssim
from vaebench.evaluation.functional.sharpness import sharpness
from vaebench.evaluation.functional.summaries import quantiles
from vaebench.evaluation.metrics.subject import Subject
from vaebench.models.metric import MODEL, Measurement, Metric, Unavailable


def _some(subject: Subject) -> Iterator[Tensor]:
    """The test images, some at a time: all of them as numbers are four times what is stored."""
    for start in range(0, len(subject.images.test), ROWS):
        yield subject.shown(slice(start, start + ROWS))


def _sharpness(images: Callable[[Subject], Iterable[Tensor]]) -> Callable[[Subject], Measurement]:
    def compute(subject: Subject) -> Measurement:
        try:
            found = torch.cat([sharpness(some) for some in images(subject)])
        except ValueError as error:
            raise Unavailable(str(error)) from error
        # The images differ between variants, so that there is nothing to pair.
        whole = Measurement.mean(found, detail=quantiles(found), range="[0, 1]")
        return Measurement(whole.value, whole.n, whole.se, whole.depends, detail=whole.detail)

    return compute


def _distance(
    measure: Callable[[Tensor, Tensor], Tensor],
) -> Callable[[Subject], Measurement]:
    def compute(subject: Subject) -> Measurement:
        try:
            parts = zip(_some(subject), subject.reconstructions.split(ROWS), strict=True)
            values = torch.cat([measure(some, found) for some, found in parts])
        except ValueError as error:
            raise Unavailable(str(error)) from error
        finite = torch.isfinite(values)
        if not finite.all():
            raise Unavailable(f"it is infinite for {int((~finite).sum())} images")
        return Measurement.mean(values, range="[0, 1]")

    return compute


METRICS = (
    Metric(
        name="sharpness",
        kind="pictures",
        group="sharpness",
        title="Sharpness of samples",
        unit="variance of Laplacian",
        description=(
            "Variance of the Laplacian of decoded prior draws; to be held against the real images'."
        ),
        needs=MODEL,
        sampled=True,
        head="sharpness",
        place=70,
        keep=5,
        reference="sharpness_real",
        compute=_sharpness(lambda subject: [subject.samples]),
    ),
    Metric(
        name="sharpness_rec",
        kind="pictures",
        group="sharpness",
        title="Sharpness of reconstructions",
        unit="variance of Laplacian",
        description="Variance of the Laplacian of reconstructions.",
        reference="sharpness_real",
        compute=_sharpness(lambda subject: [subject.reconstructions]),
    ),
    Metric(
        name="sharpness_real",
        kind="pictures",
        group="sharpness",
        title="Sharpness of real images",
        unit="variance of Laplacian",
        description="Variance of the Laplacian of the test images.",
        compute=_sharpness(_some),
    ),
    Metric(
        name="mse",
        kind="pictures",
        group="mse",
        title="Reconstruction error",
        unit="squared error/pixel",
        better="lower",
        description="Mean squared error between test images and decoder means of one draw from q.",
        head="MSE",
        place=80,
        keep=6,
        compute=_distance(mse),
    ),
    Metric(
        name="psnr",
        kind="pictures",
        group="reconstruction",
        title="PSNR of reconstructions",
        unit="dB",
        better="higher",
        description=(
            "Peak signal-to-noise ratio of reconstructions: -10 log10 of each mean squared error."
        ),
        compute=_distance(psnr),
    ),
    Metric(
        name="ssim",
        kind="pictures",
        group="reconstruction",
        title="SSIM of reconstructions",
        unit="similarity",
        better="higher",
        description=(
            "Structural similarity of reconstructions in an 11 × 11 window; says little at 8 × 8."
        ),
        compute=_distance(ssim),
    ),
)
