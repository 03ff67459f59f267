"""Column about training: how much of the encoder's gradient is signal."""

import math

import torch
from torch import Tensor

from vaebench.compute.random import seeded
from vaebench.evaluation.metrics.subject import Subject
from vaebench.models.items import Items
from vaebench.models.metric import Measurement, Metric, Unavailable

_IMAGES, _BLOCKS, _DRAWS = 64, 10, 20


def encoder_snr(subject: Subject) -> Measurement:
    """Length of the mean gradient over the root of its total variance, on one batch of images.

    The gradient is that of the variant's own objective with its own number of draws, with respect
    to encoder and posterior. The squared length is freed of what noise adds to it; the error is a
    jackknife over blocks of gradients.
    """
    model, variant = subject.model, subject.variant
    x = subject.items[:_IMAGES]
    wanted: list[Tensor] = [*model.encoder.parameters(), *model.posterior.parameters()]
    count = _BLOCKS * _DRAWS
    sums = torch.zeros(_BLOCKS, sum(p.numel() for p in wanted), dtype=torch.float64)
    squares = [0.0] * _BLOCKS
    for parameter in wanted:
        parameter.requires_grad_(True)
    try:
        with seeded(subject.seed, "gradients"):
            for each in range(count):
                gradient = _gradient(subject, x, wanted)
                sums[each // _DRAWS] += gradient
                squares[each // _DRAWS] += gradient.square().sum().item()
    finally:
        for parameter in wanted:
            parameter.requires_grad_(False)
    whole = sums.sum(0)
    value = signal_to_noise(whole, sum(squares), count)
    if value is None:
        raise Unavailable("its gradient is the same whatever the noise")
    rest = count - _DRAWS
    left = [
        signal_to_noise(whole - s, sum(squares) - q, rest)
        for s, q in zip(sums, squares, strict=True)
    ]
    spread = torch.tensor([each or 0.0 for each in left], dtype=torch.float64)
    se = math.sqrt((_BLOCKS - 1) * spread.var(correction=0).item())
    depends = {"K": variant.samples, "gradients": count, "batch": len(x)}
    return Measurement(value, len(x), se, subject.depends(**depends))


def _gradient(subject: Subject, x: Items, wanted: list[Tensor]) -> Tensor:
    """The gradient (P,) of the training objective's mean over x, in float64."""
    draw = subject.model.draw(x, subject.variant.samples)
    value = subject.variant.objective(draw).mean()
    for penalty in subject.variant.penalties.values():
        value = value - penalty(draw).mean()
    found = torch.autograd.grad(value, wanted, allow_unused=True)
    pairs = zip(found, wanted, strict=True)
    parts = [torch.zeros_like(p) if g is None else g for g, p in pairs]
    return torch.cat([part.flatten() for part in parts]).double().cpu()


def signal_to_noise(total: Tensor, square: float, count: int) -> float | None:
    """|E g| / sqrt(E |g - E g|²) from the sum of gradients and of their squared lengths."""
    length = (total / count).square().sum().item()
    variance = (square / count - length) * count / (count - 1)
    if variance <= 1e-12 * length:
        return None
    return math.sqrt(max(0.0, length - variance / count) / variance)


METRICS = (
    Metric(
        name="encoder_snr",
        group="gradient",
        title="Encoder's signal-to-noise",
        unit="ratio",
        better="higher",
        description=(
            "Length of the mean gradient of encoder and posterior over its standard deviation, as "
            "K and objective leave it."
        ),
        compute=encoder_snr,
        costly=True,
    ),
)
