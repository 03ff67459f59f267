"""Laws of gradients: what flows back through the draws is the gradient of the expectation.

By the fundamental theorem of calculus: along a path from one set of features (or parameters) to
another, the expected derivative of f(z) adds up to the change of E[f(z)]. No density is needed,
and nothing is assumed about where q is smooth.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaebench.models.posterior import Posterior
from vaebench.models.variant import Variant
from vaebench.testing.laws.objective import rows_apart
from vaebench.testing.probes import Probes, neighbour, one_heap, widening
from vaebench.testing.report import Report, check
from vaebench.testing.slopes import (
    CHUNK,
    REPLICATES,
    compare,
    derivatives,
    derivatives_along,
    expectation,
    positions,
)
from vaebench.testing.statistics import vanishing_mean
from vaebench.testing.subjects import (
    DoesNotApply,
    LinearGaussian,
    build,
    features,
    has_density,
    is_discrete,
    one_small,
    small,
    table,
)
from vaebench.testing.ways import Way, distinct, plain, stratified, ways


def _pilot(path: Callable[[float], Distribution]) -> Tensor:
    """Draws (N, D) from all along a path."""
    with torch.no_grad():
        return torch.cat([plain(path(t / 16), 60)[0][:, 0] for t in range(17)])


def _united(path: Callable[[float], Distribution]) -> bool:
    """Whether q is one heap at the start, in the middle and at the end of a path."""
    with torch.no_grad():
        qs = (path(t) for t in (0.0, 0.5, 1.0))
        return all(one_heap(q, plain(q, 300)[0][:, 0]) for q in qs)


@check(
    "The gradient through the draws is biased: a straight-through or relaxed choice, a forgotten "
    "weight or rejection step, a detached parameter, or a wrong custom backward.",
)
def gradient(variant: Variant, report: Report) -> None:
    """The derivative of E_q[f(z)] along a path of features, against its change from end to end."""
    sizes = small(variant)
    for size in sizes:
        posterior = build(variant, size)
        for scale in (1.0, 3.0):
            strata = 512 if size in sizes[:2] else 256
            widen = scale == 1 or size == sizes[0]
            _along(report, f"D={size}", posterior, features(1, scale), strata, widen)
    if not report.p_values:
        report.notes.append("no gradient through draws is tame enough to be compared")


def _along(
    report: Report, line: str, posterior: Posterior, start: Tensor, strata: int, widen: bool
) -> None:
    density = has_density(posterior)
    counts = density and is_discrete(posterior(start))
    for _ in range(6):
        towards = widening(posterior, start[0]) if widen else None
        near = neighbour(posterior, start[0], 0.2, towards) if density else None
        step = features(1) if near is None else near - start

        def path(t: float, start: Tensor = start, step: Tensor = step) -> Distribution:
            return posterior(start + t * step)

        united = counts or not density or _united(path)
        if united:
            break
        start = start / 2
    q, probes = posterior(start), Probes(_pilot(path))
    for name, way in distinct(ways(q), q).items():
        if not united and way is not stratified:
            report.lines.append(f"{line}, {name}: not compared, q has separate modes")
            continue

        def values(t: Tensor, way: Way = way, start: Tensor = start) -> Tensor:
            z, weights = way(posterior(start + t[:, None] * step), 1)
            return (weights[..., None] * probes(z)).sum(0)

        slopes = derivatives_along(values, positions(strata))
        first, last = (
            expectation(posterior(h), probes, REPLICATES, strata) for h in (start, start + step)
        )
        compare(report, f"{line}, |h| = {start.norm():.2g}, {name}", slopes, last - first)


@check(
    "A parameter moves the draws otherwise than its gradient says: it is detached, or "
    "the choice that it governs (a component, a mask) is not differentiated.",
    law="gradient",
)
def parameter_gradient(variant: Variant, report: Report) -> None:
    """The derivative of E_q[f(z)] along two paths of parameters, against its change."""
    size, h = one_small(variant), features(1)
    posterior = build(variant, size)
    # In one direction of a few numbers all that is forgotten may happen to cancel.
    for number in (1, 2):
        _along_parameters(report, f"D={size}, path {number}", posterior, build(variant, size), h)


def _along_parameters(
    report: Report, line: str, posterior: Posterior, other: Posterior, h: Tensor
) -> None:
    strata, replicates, count = 4, 16, 1024
    path = _Path(posterior, other, h)
    if has_density(posterior) and not is_discrete(path(0.0)):
        path.shorten()
    probes = Probes(_pilot(path))
    slopes = torch.zeros(replicates, strata, len(probes.centres), dtype=h.dtype)
    for r in range(replicates):
        for s in range(strata):
            z, _ = plain(path((s + torch.rand(()).item()) / strata), count)
            for j, value in enumerate(probes(z).mean((0, 1))):
                slopes[r, s, j] = path.derivative(value)
    first, last = (expectation(path(t), probes, replicates, strata * count) for t in (0.0, 1.0))
    compare(report, line, slopes.flatten(0, 1), last - first)


class _Path:
    """q at fixed features, while the parameters go straight from one module's to another's."""

    def __init__(self, posterior: Posterior, other: Posterior, h: Tensor) -> None:
        self.posterior, self.h = posterior, h
        self.parameters = [p for p in posterior.parameters() if p.requires_grad]
        if not self.parameters:
            raise DoesNotApply("the posterior has no parameters")
        self.start = [p.detach().clone() for p in self.parameters]
        pairs = zip(self.start, (p for p in other.parameters() if p.requires_grad), strict=True)
        self.step = [p.detach() - a for a, p in pairs]

    def __call__(self, t: float) -> Distribution:
        """q at position t."""
        with torch.no_grad():
            for p, a, d in zip(self.parameters, self.start, self.step, strict=True):
                p.copy_(a + t * d)
        return self.posterior(self.h)

    def shorten(self) -> None:
        """Bring the end nearer until a fifth of q at the start overlaps q at the end."""
        with torch.no_grad():
            z, _ = plain(self(0.0), 256)
            here = self(0.0).log_prob(z)
            for _ in range(20):
                odds = torch.sigmoid(self(1.0).log_prob(z) - here).nan_to_num(0.0)
                if 2 * odds.mean() >= 0.2:
                    break
                self.step = [d * 0.7 for d in self.step]

    def derivative(self, value: Tensor) -> float:
        """Of a value at the last position, with respect to the position."""
        slopes = derivatives(value, self.parameters)
        return sum((g * d).sum().item() for g, d in zip(slopes, self.step, strict=True))


@check(
    "The objective's gradient is not that of its expected value: weights or a score that should "
    "not be detached (sticking the landing inside a K-sample bound), or that should.",
)
def training_gradient(variant: Variant, report: Report) -> None:
    """The derivative of the expected objective along a path of features, against its change."""
    for size in small(variant, 3):
        posterior = build(variant, size)
        model = LinearGaussian.random(6, size)
        if rows_apart(variant, posterior, features(6), model).abs().max() > 1e-7:
            raise DoesNotApply("the objective couples the inputs of a batch")
        start, end = features(1, 3.0), features(1, 3.0)
        for kl_weight in (1.0, 0.5):

            def values(
                t: Tensor,
                q: Posterior = posterior,
                rows: LinearGaussian = model,
                weight: float = kl_weight,
            ) -> Tensor:
                same = rows.rows(torch.zeros(len(t), dtype=torch.long))
                h = start + t[:, None] * (end - start)  # noqa: B023
                draw = table(variant, q, h, same, kl_weight=weight)
                return variant.objective(draw)[:, None]

            slopes = derivatives_along(values, positions(256 if kl_weight == 1 else 128))
            with torch.no_grad():
                first, last = (
                    torch.cat(
                        [values(part) for part in torch.full((REPLICATES * 256,), at).split(CHUNK)]
                    )
                    for at in (0.0, 1.0)
                )
            change = (last - first).reshape(REPLICATES, -1, 1).mean(1)
            compare(report, f"D={size}, KL weight {kl_weight:g}, nats", slopes, change)


@check(
    "The decoder's gradient is not that of the value: log p(x|z) is detached or taken from "
    "draw.fixed, which holds the decoder, or it enters the gradient twice.",
)
def decoder_gradient(variant: Variant, report: Report) -> None:
    """The derivative of the objective by the weights of p(x|z), against its change at one noise.

    Where the two differ from draw to draw, their expectations are compared.
    """
    for kl_weight in (1.0, 0.5):
        size, rows = one_small(variant), 32
        posterior, h = build(variant, size), features(rows).requires_grad_()
        model = LinearGaussian.random(rows, size)
        (step,) = derivatives(table(variant, posterior, h, model, 8).log_px.sum(), [model.weight])
        step = step / step.norm().clamp_min(1e-12)
        found = []
        for seed in torch.randint(2**31, (16,)).tolist():
            value = partial(_shifted, variant, posterior, h, model, step, kl_weight, seed)
            (slope,) = derivatives(value(0.0), [model.weight])
            ahead, behind = (value(t * 1e-5).item() for t in (1.0, -1.0))
            found.append(((slope * step).sum().item(), (ahead - behind) / 2e-5))
        slopes, changes = torch.tensor(found, dtype=h.dtype).unbind(1)
        off = (slopes - changes) / (1 + changes.abs().mean())
        report.statistical(
            vanishing_mean(off.numpy(), 1e-5),
            f"D={size}, KL weight {kl_weight:g}: derivative {slopes.mean():+.5g} nats, "
            f"change of the value {changes.mean():+.5g}",
        )


def _shifted(
    variant: Variant,
    posterior: Posterior,
    h: Tensor,
    model: LinearGaussian,
    step: Tensor,
    kl_weight: float,
    seed: int,
    t: float,
) -> Tensor:
    """The objective of all rows under one seed, the weights of p(x|z) being moved by t steps."""
    torch.manual_seed(seed)
    before = model.weight.detach().clone()
    with torch.no_grad():
        model.weight.add_(step, alpha=t)
    value = variant.objective(table(variant, posterior, h, model, kl_weight=kl_weight)).sum()
    if t:
        with torch.no_grad():
            model.weight.copy_(before)
    return value
