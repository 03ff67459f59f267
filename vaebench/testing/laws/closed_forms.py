"""Laws of closed forms: a stated KL, mean, variance or entropy is that of the draws."""

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaebench.models.distributions import closed_kl
from vaebench.models.variant import Variant
from vaebench.testing.report import Report, check
from vaebench.testing.statistics import vanishing_mean
from vaebench.testing.subjects import (
    SCALES,
    DoesNotApply,
    accepted,
    features,
    graded,
    need_density,
    small,
    views,
)

REPLICATES = 64


@check(
    "The registered KL is not that of the two densities: look for a factor 1/2, σ in place of σ², "
    "a missing sum over dimensions, or the arguments in the wrong order.",
)
def kl(variant: Variant, report: Report) -> None:
    """A registered KL(q || p) is the mean of log q - log p, and is nowhere negative."""
    for view in views(variant, [*small(variant), *accepted(variant, (32, 256))]):
        need_density(view.posterior)
        count = 512 if view.size < 256 else 64
        with torch.no_grad():
            p = view.posterior.prior()
            for scale, h in zip(SCALES, graded(), strict=True):
                q = view.q(h[None])
                value = _registered(q, p)
                z = view.sample(q, REPLICATES * count)
                ratio = (q.log_prob(z) - p.log_prob(z)).reshape(REPLICATES, -1).mean(1)
                unit = 1 + value.abs()
                report.statistical(
                    vanishing_mean(((ratio - value) / unit).numpy()),
                    f"{view.name}, h of scale {scale:g}: KL {float(value):.4f} nats registered, "
                    f"{float(ratio.mean()):.4f} from draws",
                )
            q = view.q(features(512) * torch.rand(512, 1, dtype=torch.float64))
            least, unit = _registered(q, p).min(), _registered(q, p).abs().mean()
            report.exact(
                bool(least >= -1e-9 * (1 + unit)),
                f"{view.name}: the least KL of 512 is {least:.3g}",
            )


def _registered(q: Distribution, p: Distribution) -> Tensor:
    found = closed_kl(q, p)
    if found is None:
        raise DoesNotApply("no KL is registered for its posterior and prior")
    return found


@check(
    "mean, variance or entropy of the distribution are not those of its draws; raise "
    "NotImplementedError where there is no formula. (A mean direction is not a mean.)",
)
def moments(variant: Variant, report: Report) -> None:
    """The stated mean, variance and entropy of q are those of its draws."""
    for view in views(variant, small(variant)):
        with torch.no_grad():
            q = view.q(features(1))
            found = _deviations(q, view.sample(q, REPLICATES * 256)[:, 0])
        if found:
            replicates = torch.cat(list(found.values()), 1).reshape(REPLICATES, 256, -1).mean(1)
            p_value = vanishing_mean(replicates.numpy())
            report.statistical(p_value, f"{view.name}: {', '.join(found)}")


def _deviations(q: Distribution, z: Tensor) -> dict[str, Tensor]:
    """What should have mean zero (N, ...), in units of its own spread."""
    centre = z.mean(0)
    spread = torch.maximum(z.std(0), 1e-9 * (1 + centre.abs()))
    u = (z - centre) / spread
    found = {}
    if (mean := _stated(q, "mean")) is not None:
        found["mean"] = u - (mean - centre) / spread
        heavy = u.pow(4).mean(0).max() > 8
        if (variance := _stated(q, "variance")) is not None and not heavy:
            found["variance"] = found["mean"].square() - variance / spread.square()
    try:
        found["entropy"] = -q.log_prob(z[:, None]) - q.entropy()
    except NotImplementedError:
        pass
    return found


def _stated(q: Distribution, what: str) -> Tensor | None:
    try:
        value = getattr(q, what)
    except NotImplementedError:
        return None
    return value[0] if bool(value.isfinite().all()) else None
