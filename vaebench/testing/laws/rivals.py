"""The law of second players: each changes its own weights alone."""

import torch
from torch import Tensor, nn

from vaebench.models.draw import held
from vaebench.models.variant import Variant
from vaebench.testing.report import Report, check
from vaebench.testing.slopes import derivatives
from vaebench.testing.subjects import (
    DoesNotApply,
    LinearGaussian,
    build,
    features,
    rival_of,
    small,
    table,
)


@check(
    "The rival's term must move the draws and not the rival; its loss the rival and nothing else: "
    "take draw.z or draw.one() and not draw.q or draw.p, and change no weight by hand.",
)
def rival(variant: Variant, report: Report) -> None:
    """The loss of a rival reaches its own weights alone; its term the features, and no weight."""
    rows, reached = 16, dict[str, bool]()
    for size in small(variant, 3):
        posterior, h = build(variant, size), features(rows).requires_grad_()
        model, player = LinearGaussian.random(rows, size), rival_of(variant, size)
        if player is None:
            raise DoesNotApply("the variant has no rival")
        others = [h, *posterior.parameters(), model.weight]
        own = dict(player.named_parameters())

        before = {name: p.detach().clone() for name, p in own.items()}
        with held([player]):
            term = player.term(table(variant, posterior, h, model))
        _values(report, f"D={size}: term", term, rows)
        moved = [name for name, p in own.items() if not torch.equal(p, before[name])]
        report.exact(not moved, f"D={size}: weights that move in term: {moved or 'none'}")
        report.exact(not _gradients(term, own), f"D={size}: gradients of term to weights: none")
        report.exact(_reach(term, [h]), f"D={size}: gradient of term to the features")

        loss = player.loss(table(variant, posterior, h, model).detached())
        _values(report, f"D={size}: loss", loss, rows)
        reached |= {name: True for name in _gradients(loss, own)}
        astray = _reach(loss, others)
        report.exact(
            not astray, f"D={size}: gradient of loss to the model: {'some' if astray else 'none'}"
        )
        first, second = player.betas
        report.exact(0 <= first < 1 and 0 <= second < 1, f"betas {player.betas}")
    for name in own:
        report.exact(reached.get(name, False), f"{name}: a gradient of loss at one size at least")


def _values(report: Report, what: str, values: Tensor, rows: int) -> None:
    shape, finite = tuple(values.shape), bool(values.isfinite().all())
    report.exact(shape == (rows,), f"{what} has shape {shape} for B={rows}")
    report.exact(finite, f"{what} is {'finite' if finite else 'not finite'}")


def _reach(value: Tensor, at: list[Tensor]) -> bool:
    return any(bool((slope != 0).any()) for slope in derivatives(value.sum(), at))


def _gradients(value: Tensor, own: dict[str, nn.Parameter]) -> list[str]:
    """The names of the weights that a value has a gradient to."""
    slopes = derivatives(value.sum(), list(own.values()))
    return [name for name, slope in zip(own, slopes, strict=True) if bool((slope != 0).any())]
