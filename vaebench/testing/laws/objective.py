"""Laws of objectives as functions of a table of draws."""

import math

import torch
from torch import Tensor

from vaebench.models.draw import Draw
from vaebench.models.posterior import Posterior
from vaebench.models.variant import Variant
from vaebench.testing.report import Report, check
from vaebench.testing.subjects import (
    LinearGaussian,
    build,
    features,
    held_densities,
    of_two_parts,
    one_small,
    table,
    valued,
)


def _case(variant: Variant, rows: int = 6) -> tuple[Posterior, Tensor, LinearGaussian, Draw]:
    size = one_small(variant)
    posterior, h = build(variant, size), features(rows)
    model = LinearGaussian.random(rows, size)
    return posterior, h, model, table(variant, posterior, h, model)


def _again(posterior: Posterior, h: Tensor, draw: Draw, likelihood: LinearGaussian) -> Draw:
    """The same draws for the features h (B, F), under another likelihood."""
    again = draw._replace(
        q=posterior(h),
        log_px=likelihood(draw.z),
        h=h,
        fixed=held_densities(posterior, h, likelihood),
    )
    return of_two_parts(again, posterior, h, likelihood, len(draw.z))


@check(
    "An objective maps a Draw to one finite value in nats for each input, shape (B,), whether "
    "gradients are recorded or not."
)
def objective(variant: Variant, report: Report) -> None:
    """The objective and every penalty give (B,) finite values."""
    for rows in (1, 6):
        *_, draw = _case(variant, rows)
        for name, function in {"objective": variant.objective, **variant.penalties}.items():
            try:
                value = function(draw)
            except ValueError as error:
                if rows > 1:
                    raise
                report.exact(True, f"{name}: refuses a batch of one: {error}")
                continue
            report.exact(value.shape == (rows,), f"{name}: shape {tuple(value.shape)} for B={rows}")
            report.exact(bool(value.isfinite().all()), f"{name}: {_numbers(value)}")
    _same_without_gradient(variant, report)


def _same_without_gradient(variant: Variant, report: Report) -> None:
    """Hold the value as validation computes it, no gradient being recorded, against training's."""
    size = one_small(variant)
    posterior, h, model = build(variant, size), features(6), LinearGaussian.random(6, size)
    values = []
    for recorded in (True, False):
        torch.manual_seed(1)
        with torch.set_grad_enabled(recorded):
            value = variant.objective(table(variant, posterior, h, model))
        values.append(value.detach())
    off = float((values[0] - values[1]).abs().max())
    report.exact(
        off <= 1e-9 * (1 + float(values[0].abs().max())),
        f"objective: without recording gradients it differs by {off:.3g} nats",
    )


@check(
    "Raising log p(x|z) of one draw lowers the value: a sign is turned, or weights multiply "
    "log-weights that they should not (Σ w log w is not a bound).",
)
def monotone(variant: Variant, report: Report) -> None:
    """The objective never falls when the log-weight of a draw rises."""
    posterior, h, model, draw = _case(variant)
    value = valued(variant, draw)
    worst = math.inf
    for size in (0.1, 2.0):
        for k in range(min(len(draw.z), 16)):
            for b in range(len(h)):
                bonus = torch.zeros_like(draw.log_px)
                bonus[k, b] = size
                model.bonus = bonus
                risen = valued(variant, _again(posterior, h, draw, model))
                worst = min(worst, (risen - value).min().item())
    line = f"least change when log p(x|z) of one draw rises by 0.1 or 2 nats: {worst:.3g} nats"
    report.exact(worst >= -1e-9 * (1 + value.abs().max().item()), line)


@check(
    "log p(x|z) is rescaled, as by a mean over pixels or a weight on the likelihood: nats of "
    "different variants cannot be compared then.",
    law="bound",
)
def rescaled(variant: Variant, report: Report) -> None:
    """c more nats of log p(x|z) in every draw are c more nats of objective."""
    posterior, h, model, draw = _case(variant)
    value = valued(variant, draw)
    for shift in (-7.0, 3.0):
        model.bonus = torch.full_like(draw.log_px, shift)
        change = valued(variant, _again(posterior, h, draw, model)) - value
        report.exact(
            bool((change - shift).abs().max() < 1e-7 * (1 + value.abs().max())),
            f"log p(x|z) moved by {shift:+g}, the objective by {_numbers(change)}",
        )


def rows_apart(variant: Variant, posterior: Posterior, h: Tensor, model: LinearGaussian) -> Tensor:
    """The objective (B,) for a batch, less that of the same draws in two smaller batches."""
    draw = table(variant, posterior, h, model)
    together = valued(variant, draw)
    apart = torch.empty_like(together)
    for index in torch.arange(len(h)).split([2, len(h) - 2]):
        part = draw._replace(
            z=draw.z[:, index],
            log_qz=draw.log_qz[:, index],
            log_pz=draw.log_pz[:, index],
            log_weights=None if draw.log_weights is None else draw.log_weights[:, index],
        )
        apart[index] = valued(variant, _again(posterior, h[index], part, model.rows(index)))
    return together - apart


@check(
    "An input's value depends on the others in its batch: a sum or moment over the batch inside "
    "the objective. Declare the law 'bound' if that is meant.",
    law="bound",
)
def additive(variant: Variant, report: Report) -> None:
    """An input's value does not depend on which others share its batch."""
    posterior, h, model, _ = _case(variant)
    apart = rows_apart(variant, posterior, h, model)
    report.exact(
        bool(apart.abs().max() < 1e-7),
        f"values in one batch of 6 less those in batches of 2 and 4: {_numbers(apart)} nats",
    )


@check(
    "The value depends on the batch size: a KL multiplied or divided by it, or a sum over the "
    "batch where a value for each input is asked for.",
    law="bound",
)
def batch_size(variant: Variant, report: Report) -> None:
    """An input's value stays the same when every input is there twice."""
    posterior, h, model, draw = _case(variant)
    twice = torch.arange(len(h)).repeat(2)
    double = draw._replace(
        z=draw.z[:, twice],
        log_qz=draw.log_qz[:, twice],
        log_pz=draw.log_pz[:, twice],
        log_weights=None if draw.log_weights is None else draw.log_weights[:, twice],
    )
    value = valued(variant, draw)
    change = valued(variant, _again(posterior, h[twice], double, model.rows(twice)))[: len(h)]
    change = change - value
    report.exact(
        bool(change.abs().max() < 1e-7),
        f"change when the batch is doubled: {_numbers(change)} nats",
    )


def _numbers(values: Tensor) -> str:
    return "(" + ", ".join(f"{v:.4g}" for v in values.detach().flatten().tolist()) + ")"
