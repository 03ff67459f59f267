"""Laws of densities and draws: where q lives, that it integrates to one, that draws follow it."""

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from vaebench.models.distributions import inside
from vaebench.models.variant import Variant
from vaebench.testing.probes import neighbour
from vaebench.testing.quadrature import integral
from vaebench.testing.references import Reference, fitted, is_curved, space_of
from vaebench.testing.report import Report, check
from vaebench.testing.statistics import Array, labels_follow, vanishing_mean
from vaebench.testing.subjects import (
    View,
    accepted,
    build,
    features,
    graded,
    has_density,
    need_density,
    rounded,
    small,
    views,
)

#: Sizes at which what is only right in few dimensions shows itself.
LARGER = (64, 256)
REPLICATES = 64
#: A reference that overlaps q less than this says too little about it.
LEAST_OVERLAP = 0.05
#: Mass that 4,000 draws may fail to show: more than this escapes them once in 10⁸ times.
UNSEEN = 0.005
#: Nats that the last digit of a draw may be worth.
ROUNDED = 0.02


def law_of(q: Distribution, draw: Callable[[int], Tensor] | None = None) -> Reference:
    """A distribution with batch shape (1,) or () as sampler (N, D) and log-density (N,).

    Args:
        q: The distribution.
        draw: Makes a number of draws; `q.sample` if None.
    """
    lead = q.batch_shape

    def log_prob(z: Tensor) -> Tensor:
        z = z.reshape(len(z), *lead, -1)
        known = inside(q, z)
        if not known.any():
            return torch.full((len(z),), -math.inf, dtype=z.dtype)
        stand_in = z[known][0]
        value = q.log_prob(torch.where(known[..., None], z, stand_in))
        return value.masked_fill(~known, -math.inf).reshape(len(z))

    draw = draw or (lambda count: q.sample(torch.Size((count,))))
    return Reference(lambda count: draw(count).reshape(count, -1), log_prob)


def prior_law(view: View) -> Reference:
    """The prior, of batch shape (), as sampler and log-density."""
    return law_of(view.posterior.prior())


def posterior_law(view: View, h: Tensor) -> Reference:
    """q for a row of features (F,) as sampler and log-density."""
    q = view.q(h[None])
    return law_of(q, lambda count: view.sample(q, count))


def laws(report: Report, view: View, h: Tensor) -> Iterator[tuple[str, Reference]]:
    """The prior, and q for each row of features (N, F) at which floats resolve it."""
    yield f"{view.name}, p", prior_law(view)
    for row in h:
        law = posterior_law(view, row)
        name = f"{view.name}, q, {_size(row)}"
        if resolved(law, law.sample(100)):
            yield name, law
        else:
            report.beyond(f"{name}: not compared, q is narrower than the spacing of floats")


def resolved(law: Reference, z: Tensor) -> bool:
    """Whether rounding leaves the density of nearly all draws z (N, D) as it is."""
    change = law.log_prob(rounded(z)) - law.log_prob(z)
    return bool((change.abs() <= ROUNDED).double().mean() > 0.9)


def _size(h: Tensor) -> str:
    return f"|h| = {h.norm():.2g}"


@check(
    "A draw of q outside the prior's support makes KL(q || p) infinite: give p the wider support, "
    "map the draws into it, or declare the law 'support'.",
    law="support",
)
def support(variant: Variant, report: Report) -> None:
    """Draws of q lie in the prior's support, where log p(z) is finite."""
    for view in views(variant, [*small(variant), *accepted(variant, LARGER)]):
        prior = view.posterior.prior()
        with torch.no_grad():
            count = 2000 if view.size < LARGER[1] else 200
            z = view.sample(view.q(graded()), count)
            out = ~(inside(prior, z) & torch.isfinite(prior.log_prob(z)) & z.isfinite().all(-1))
        report.exact(
            not out.any(),
            f"{view.name}: {int(out.sum())} of {out.numel()} draws outside the prior's",
        )


@check(
    "Training decodes draws that q itself calls impossible, as relaxed counts are: its value is "
    "then no bound on log p(x). Declare the law 'bound', or draw from q.",
    law="bound",
)
def own_support(variant: Variant, report: Report) -> None:
    """The draws of training lie in the support that q states."""
    for size in small(variant):
        q = build(variant, size)(graded())
        with torch.no_grad():
            z = q.rsample(torch.Size((1000,)))
            out = ~inside(q, z)
        report.exact(
            not out.any(), f"D={size}: {int(out.sum())} of {out.numel()} draws outside q's"
        )


@check(
    "Look for a constant, a Jacobian (tanh, softplus, scale) or a sum over dimensions that "
    "log_prob leaves out; at D = 1 and 2 the integral uses log_prob alone, above also the draws.",
    law="density",
)
def normalised(variant: Variant, report: Report) -> None:
    """q and p integrate to one: by quadrature at D = 1 and 2, else by bounded weights."""
    for view in views(variant, small(variant)):
        if not has_density(view.posterior):
            report.exact(False, "log_prob raises NotImplementedError: q has no density")
            return
        with torch.no_grad():
            prior = prior_law(view)
            space = space_of(view.posterior.prior(), is_curved(variant))
            for name, law in laws(report, view, graded()):
                pilot = law.sample(4000)
                found = integral(law, space, pilot)
                if found is None:
                    _by_weights(report, name, law, fitted(space, pilot) or prior)
                else:
                    value, error = found
                    report.exact(
                        abs(value - 1) <= UNSEEN + error,
                        f"{name}: integral {value:.6f} ± {error:.1g}",
                    )


def _by_weights(report: Report, name: str, law: Reference, reference: Reference) -> None:
    """The mean of q/m is 1 under m = (q + r)/2, and q/m is at most 2."""
    count = REPLICATES * 128
    means = []
    for source in (law, reference):
        z = source.sample(count)
        weight = 2 * torch.sigmoid(law.log_prob(z) - reference.log_prob(z))
        means.append(weight.reshape(REPLICATES, -1).mean(1))
    total = (means[0] + means[1]) / 2
    if means[1].mean() < LEAST_OVERLAP and abs(total.mean() - 1) < 0.1:
        return
    report.statistical(
        vanishing_mean((total - 1).numpy()), f"{name}: integral {total.mean():.4f} by weights"
    )


@check(
    "rsample and log_prob are not of the same distribution: compare their parameters, the branches "
    "taken at high concentration, and approximations used in either.",
    law="density",
)
def sampler(variant: Variant, report: Report) -> None:
    """Draws follow the density everywhere: told from draws of a reference, at the stated odds."""
    rng = np.random.default_rng(report.seed)
    for size in [*small(variant), *accepted(variant, LARGER)]:
        h, pilot, count = _effort(size)
        for view in views(variant, [size]):
            need_density(view.posterior)
            with torch.no_grad():
                space = space_of(view.posterior.prior(), is_curved(variant))
                for name, law in laws(report, view, h):
                    reference = fitted(space, law.sample(pilot)) if space else None
                    if reference is not None:
                        told_apart(report, rng, f"{name}, against a fit", law, reference, count)
                if not space:
                    wide, prior = posterior_law(view, features(1)[0]), prior_law(view)
                    told_apart(report, rng, f"{view.name}, q against p", wide, prior, count)
                for row in h[1:3] if size < LARGER[0] or not space else ():
                    near = neighbour(view.posterior, row)
                    law = posterior_law(view, row)
                    if near is not None and resolved(law, law.sample(100)):
                        name = f"{view.name}, q, {_size(row)}, against a neighbour"
                        told_apart(report, rng, name, law, posterior_law(view, near), count)


def _effort(size: int) -> tuple[Tensor, int, int]:
    """The features (N, F) to look at, and how many draws to fit and to tell apart."""
    if size < LARGER[0]:
        return graded(), 2000, 8192
    return (_swept(), 2000, 2048) if size == LARGER[0] else (graded()[:1], 16000, 8192)


def _swept() -> Tensor:
    """Features (12, F) along two lines through 0: to one side of each q grows concentrated."""
    scales = torch.tensor([8.0, 32.0, 128.0, -8.0, -32.0, -128.0], dtype=torch.float64)
    return (scales[:, None] * features(2)[:, None]).flatten(0, 1)


def told_apart(
    report: Report,
    rng: np.random.Generator,
    name: str,
    law: Reference,
    reference: Reference,
    count: int,
) -> None:
    """Note whether draws of a law are told from those of a reference at the stated odds.

    Args:
        report: Takes the comparison.
        rng: Hides which draw is whose.
        name: What is compared.
        law: As sampler and density.
        reference: A law that needs no trust.
        count: How many draws in all.
    """
    labels = (rng.random(count) < 0.5).astype(float)
    mine = int(labels.sum())
    z = torch.cat([law.sample(mine), reference.sample(count - mine)])
    order = torch.randperm(count)
    z, labels = z[order], np.repeat([1.0, 0.0], [mine, count - mine])[order.numpy()]
    log_q, log_r = law.log_prob(z), reference.log_prob(z)
    direction = torch.randn(z.shape[-1], dtype=z.dtype)
    projection = (z / z.std(0).clamp_min(1e-300)) @ direction
    odds = torch.sigmoid(log_q - log_r)
    outlying = ((z - z.mean(0)) / z.std(0).clamp_min(1e-300)).abs().max(-1).values
    scores = torch.stack([log_q - log_r, projection, outlying, -log_q], 1)
    p_value = labels_follow(labels, _array(odds), _array(scores), rng)
    if p_value == 1:
        report.lines.append(f"{name}: no overlap, nothing to compare")
        return
    held = f"{float(odds.sum()) / count:.4f} expected, {mine / count:.4f} found"
    report.statistical(p_value, f"{name}: share of q {held}")


def _array(x: Tensor) -> Array:
    return x.double().numpy()
