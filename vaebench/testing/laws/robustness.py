"""Laws of numbers: every size, dtype, device, and features far from what was expected."""

import re
from collections.abc import Callable

import torch
from torch import Tensor

from vaebench.models.posterior import Posterior
from vaebench.models.variant import Variant
from vaebench.testing.report import Report, check
from vaebench.testing.subjects import (
    CONTEXT,
    SIZES,
    LinearGaussian,
    accepted,
    build,
    features,
    has_density,
    is_discrete,
    one_small,
    rounded,
    small,
    table,
    total,
    views,
)

#: Features that an untrained or diverging encoder may well give.
_LARGE = 100.0


@check(
    "q = posterior(h) needs batch shape (B,), event shape (D,) and rsample; the prior batch shape "
    "() and event shape (D,). Independent(..., 1) turns a batch dimension into an event.",
)
def shapes(variant: Variant, report: Report) -> None:
    """Shapes of q, p, their draws and densities, at every small size and for batches of 1 and 5."""
    for view in views(variant, small(variant)):
        posterior = view.posterior
        density = has_density(posterior)
        for batch in (1, 5):
            q, p = posterior(features(batch)), posterior.prior()
            where = f"{view.name}, B={batch}: "
            _shape(report, where + "batch shape of q", q.batch_shape, (batch,))
            _shape(report, where + "event shape of q", q.event_shape, (view.size,))
            _shape(report, where + "batch shape of p", p.batch_shape, ())
            _shape(report, where + "event shape of p", p.event_shape, (view.size,))
            report.exact(bool(q.has_rsample), where + f"has_rsample = {q.has_rsample}")
            for lead in ((), (4,), (2, 3)):
                z = q.rsample(torch.Size(lead))
                _shape(report, where + f"rsample({lead})", z.shape, (*lead, batch, view.size))
                if density:
                    _shape(report, where + "log q(z)", q.log_prob(z).shape, (*lead, batch))
                _shape(report, where + "log p(z)", p.log_prob(z).shape, (*lead, batch))
                z = p.sample(torch.Size(lead))
                _shape(report, where + f"prior sample({lead})", z.shape, (*lead, view.size))


def _shape(report: Report, what: str, found: tuple[int, ...], expected: tuple[int, ...]) -> None:
    line = f"{what} {tuple(found)}"
    same = tuple(found) == expected
    report.exact(same, line if same else f"{line}, expected {expected}")


@check("A posterior may refuse a size with ValueError when it is made; three sizes must remain.")
def sizes(variant: Variant, report: Report) -> None:
    """The posterior can be made at three sizes or more."""
    found = accepted(variant)
    line = f"of D = {SIZES} it takes {tuple(found)}"
    if not found:
        try:
            variant.posterior(SIZES[0], CONTEXT)
        except ValueError as error:
            line = f"it takes no D: {error}"
    report.exact(len(found) >= 3, line)


@check(
    "Work in logarithms, bound what is exponentiated, and keep scales away from 0. Features are "
    "whatever the encoder says, also ±100.",
)
def finite(variant: Variant, report: Report) -> None:
    """Value, gradient and density are finite up to D = 1024, in both precisions, for h of ±100."""
    for size in accepted(variant):
        for dtype in (torch.float32, torch.float64):
            posterior = variant.posterior(size, CONTEXT).to(dtype)
            line = f"D={size}, {dtype}"
            trouble = _trouble(variant, posterior, size, dtype, _LARGE)
            if trouble and _flat(posterior, dtype):
                report.beyond(
                    f"{line}, h of ±100: q is narrower than the spacing of floats, and therefore: "
                    f"{trouble:.200}"
                )
            else:
                report.exact(not trouble, f"{line}, h of ±100: {trouble or 'finite'}")
            if not trouble and (trouble := _trouble(variant, posterior, size, dtype, 1e4)):
                report.notes.append(f"{line}, h of ±10,000: {trouble:.200}")


def _extreme(scale: float, dtype: torch.dtype) -> Tensor:
    """Features (7, F): all 0, all positive, all negative, and of mixed signs."""
    signs = torch.randn(4, CONTEXT, dtype=dtype).sign()
    ones = torch.ones(1, CONTEXT, dtype=dtype)
    return torch.cat([0 * ones, ones, -ones, signs]) * scale


def _flat(posterior: Posterior, dtype: torch.dtype) -> bool:
    """Whether draws at large features lie flat in some direction, as far as floats can tell.

    Each coordinate by itself has to be resolved: a scale that reaches zero is a mistake.
    """
    eps = torch.finfo(dtype).eps
    with torch.no_grad():
        q = posterior(_extreme(_LARGE, dtype))
        z = torch.stack([q.rsample()[:, :64] for _ in range(192)]).double()
    if not bool(z.isfinite().all()):
        return False
    spread, place = z.std(0), z.abs().amax(0)
    if bool((spread < eps * place).any()):
        return False
    u = (z - z.mean(0)) / spread
    roundings = eps * (place / spread).amax(-1)
    least = torch.stack([torch.linalg.svdvals(row)[-1] for row in u.unbind(1)]) / len(u) ** 0.5
    return bool((least < 8 * roundings).any())


def _trouble(
    variant: Variant, posterior: Posterior, size: int, dtype: torch.dtype, scale: float
) -> str:
    """What is not finite for features of this scale, or an empty string."""
    h = torch.cat([_extreme(scale, dtype), features(1, dtype=dtype)]).requires_grad_()
    posterior.zero_grad()
    draw = table(variant, posterior, h, LinearGaussian.random(len(h), size, dtype))
    value = total(variant, draw)
    if value.requires_grad:
        value.sum().backward()
    wrong = [] if bool(value.isfinite().all()) else [f"value {value.tolist()}"]
    # Far beyond, a draw at the edge of a compact support may be rounded out of it.
    known = scale <= _LARGE and has_density(posterior, dtype)
    if known and not bool(draw.log_qz.isfinite().all()):
        wrong.append(f"log q(z|x) of draws {draw.log_qz.flatten().tolist()}")
    gradients: dict[str, Tensor | None] = {"h": h.grad}
    gradients |= {name: p.grad for name, p in posterior.named_parameters()}
    wrong += [
        f"gradient of {name}"
        for name, g in gradients.items()
        if g is not None and not bool(g.isfinite().all())
    ]
    return ", ".join(wrong)


@check(
    "Make tensors with the dtype of the features (new_zeros, torch.zeros(..., dtype=h.dtype)), and "
    "constants as buffers.",
)
def dtypes(variant: Variant, report: Report) -> None:
    """float32 in, float32 out; float64 in, float64 out, with the digits of a float64."""
    for dtype in (torch.float32, torch.float64):
        for size in (one_small(variant), *accepted(variant, (64,))):
            posterior = build(variant, size, dtype)
            q, p = posterior(features(64, dtype=dtype)), posterior.prior()
            z = q.rsample()
            found: dict[str, Tensor] = {"rsample": z, "prior sample": p.sample()}
            found["log p(z)"] = p.log_prob(z)
            if has_density(posterior, dtype):
                found["log q(z)"] = q.log_prob(z)
            model = LinearGaussian.random(64, size, dtype)
            draw = table(variant, posterior, features(64, dtype=dtype), model)
            found["objective"] = variant.objective(draw)
            for name, value in found.items():
                report.exact(value.dtype == dtype, f"D={size}, {dtype}: {name} is {value.dtype}")
            if dtype == torch.float64 and not is_discrete(q):
                rounded = (z.float().double() == z).double().mean()
                line = f"D={size}: {float(rounded):.0%} of float64 draws have float32 digits only"
                report.exact(bool(rounded < 0.5), line)


@check(
    "float32 loses the density: sums of large terms that cancel, or a function that underflows "
    "(Bessel functions, products of many densities). Compute it in logarithms or in float64.",
)
def precision(variant: Variant, report: Report) -> None:
    """log q and log p in float32 agree with those in float64 at the same draws."""
    for view in views(variant, [*small(variant), *accepted(variant, (128,))], torch.float32):
        posterior = view.posterior
        if not has_density(posterior, torch.float32):
            continue
        size = view.size
        with torch.no_grad():
            h = features(32, dtype=torch.float32)
            z = view.sample(posterior(h), 1)[0]
            low = posterior(h).log_prob(z).double(), posterior.prior().log_prob(z).double()
            posterior.double()
            high = [law(z.double()) for law in _densities(posterior, h)]
            moved = [law(rounded(z).double()) for law in _densities(posterior, h)]
            posterior.float()
        for name, a, b, c in zip(("q", "p"), low, high, moved, strict=True):
            off, change = (torch.where(x == b, 0.0, x - b).abs() / (size + b.abs()) for x in (a, c))
            told = ~(change > 1e-5)
            line = f"{view.name}: log {name} in float32"
            if not bool(told.any()):
                report.beyond(f"{line}: not compared, narrower than the spacing of floats")
                continue
            worst = off[told].nan_to_num(torch.inf).max()
            report.exact(bool(worst < 1e-3), f"{line} is off by {float(worst):.1g} relative")


def _densities(posterior: Posterior, h: Tensor) -> list[Callable[[Tensor], Tensor]]:
    """log q(z|h) and log p(z) in float64."""
    return [posterior(h.double()).log_prob, posterior.prior().log_prob]


@check(
    "A tensor is made on the CPU wherever the features are: pass device=h.device, or register it "
    "as a buffer.",
)
def devices(variant: Variant, report: Report) -> None:
    """Draws and densities stay on the device of the features."""
    names = ["meta", *(["cuda"] if torch.cuda.is_available() else [])]
    for name in names:
        size = one_small(variant)
        posterior = build(variant, size, torch.float32).to(name)
        h = torch.zeros(4, CONTEXT, device=name)
        found: dict[str, Tensor] = {}
        try:
            q, p = posterior(h), posterior.prior()
            found["rsample"] = q.rsample(torch.Size((2,)))
            found["prior sample"] = p.sample(torch.Size((2,)))
            found["log p(z)"] = p.log_prob(found["rsample"])
            found["log q(z)"] = q.log_prob(found["rsample"])
        except Exception as error:
            mixed = re.search(r"same device|expected device|device type", str(error))
            if mixed or name != "meta":
                raise
            report.lines.append(f"{name}: stops at {type(error).__name__}, which says nothing")
        for what, value in found.items():
            report.exact(value.device.type == name, f"{name}: {what} is on {value.device}")
