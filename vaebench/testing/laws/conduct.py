"""Laws of conduct: copies, checkpoints, seeds, reached parameters, torch left as it was."""

import copy
import re

import torch
from safetensors.torch import load
from torch import Tensor

from vaebench.compute.shared_state import kept
from vaebench.models import weights
from vaebench.models.posterior import Posterior
from vaebench.models.variant import Variant
from vaebench.testing import torch_state
from vaebench.testing.probes import Probes
from vaebench.testing.report import Report, check
from vaebench.testing.statistics import vanishing_mean
from vaebench.testing.subjects import (
    SCALES,
    DoesNotApply,
    LinearGaussian,
    build,
    features,
    has_density,
    one_small,
    portrait,
    sample,
    small,
    table,
    total,
    views,
)
from vaebench.testing.ways import ways

#: What a name may hold, options in brackets aside: it becomes a folder and a table cell.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}(\[[^\[\]]*\])?")


@check("A name is made of letters, digits, dots, dashes and underscores; samples is 1 or more.")
def name(variant: Variant, report: Report) -> None:
    """The name can be typed on a command line, and K is a number of draws."""
    report.exact(bool(NAME.fullmatch(variant.name)), f"name {variant.name!r}")
    report.exact(variant.samples >= 1, f"samples = {variant.samples}")


def _total(variant: Variant, posterior: Posterior, h: Tensor, model: LinearGaussian) -> Tensor:
    return total(variant, table(variant, posterior, h, model)).sum()


@check(
    "A parameter is made but not used, used in the prior or density alone that the objective does "
    "not ask for, or detached on its way.",
)
def parameters(variant: Variant, report: Report) -> None:
    """Every parameter, and the features, receive a gradient at one small size at least."""
    seen: dict[str, bool] = {}
    for size in small(variant):
        posterior = build(variant, size)
        h = features(16).requires_grad_()
        value = _total(variant, posterior, h, LinearGaussian.random(16, size))
        if value.requires_grad:
            value.backward()
        gradients = {"h": h.grad}
        gradients |= {n: p.grad for n, p in posterior.named_parameters() if p.requires_grad}
        for what, gradient in gradients.items():
            reached = gradient is not None and bool((gradient != 0).any())
            seen[what] = seen.get(what, False) or reached
    for what, reached in seen.items():
        report.exact(reached, f"{what}: {'a' if reached else 'no'} gradient")


def _same(posterior: Posterior, other: Posterior, h: Tensor) -> dict[str, float]:
    """The largest differences of draws, densities and moments under one seed, in both modes."""
    found: dict[str, float] = {}
    before = posterior.training
    for mode in (True, False):
        one, two = (portrait(each.train(mode), h, 3) for each in (posterior, other))
        for what in one:
            name = what if mode else f"{what} in evaluation"
            off = torch.where(one[what] == two[what], 0.0, one[what] - two[what]).abs()
            found[name] = float(off.nan_to_num(0.0).max())
    posterior.train(before)
    return found


@check(
    "The module holds something that cannot be copied (a non-leaf tensor kept from forward, a "
    "generator, a lambda with state) or that its copy shares.",
)
def copies(variant: Variant, report: Report) -> None:
    """A deep copy, taken after a training step, behaves as the original and shares nothing."""
    size = one_small(variant)
    posterior, h = build(variant, size), features(4)
    if not posterior.state_dict():
        raise DoesNotApply("the posterior has nothing to save")
    value = _total(variant, posterior, h, LinearGaussian.random(4, size))
    if value.requires_grad:
        value.backward()
    other = copy.deepcopy(posterior)
    for what, difference in _same(posterior, other, h).items():
        report.exact(difference == 0, f"{what} of the copy differs by {difference:.3g}")
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1.0)
    moved = any(
        (p == o).any() for p, o in zip(posterior.parameters(), other.parameters(), strict=True)
    )
    report.exact(
        not moved, "parameters of the copy are its own" if not moved else "parameters are shared"
    )


@check(
    "state_dict does not hold all that q and p depend on, or what a run cannot save: make dense "
    "tensors parameters or buffers, and keep nothing else.",
)
def checkpoints(variant: Variant, report: Report) -> None:
    """State saved and loaded as a run does it makes another instance behave the same."""
    size = one_small(variant)
    posterior, h = build(variant, size), features(4)
    if not posterior.state_dict():
        raise DoesNotApply("the posterior has nothing to save")
    value = _total(variant, posterior, h, LinearGaussian.random(4, size))
    if value.requires_grad:
        value.backward()
    other = build(variant, size)
    state = weights.complete(other, load(weights.pack(posterior, {})))
    report.exact(state is not None, "names, shapes and dtypes after a training step are as before")
    if state is None:
        return
    other.load_state_dict(state)
    for what, difference in _same(posterior, other, h).items():
        report.exact(difference == 0, f"{what} differs by {difference:.3g} after loading")


@check(
    "Draws come from another source than torch's random state (numpy, a generator of one's own), "
    "or that state is seeded on the way.",
)
def seeds(variant: Variant, report: Report) -> None:
    """One seed gives the same draws and values twice; another seed, and the next draw, others."""
    size = one_small(variant)
    posterior, h, model = build(variant, size), features(4), LinearGaussian.random(4, size)

    def run(seed: int) -> list[Tensor]:
        torch.manual_seed(seed)
        with torch.no_grad():
            first, second = (sample(posterior(h), 2) for _ in range(2))
            prior = posterior.prior().sample(torch.Size((2,)))
            value = variant.objective(table(variant, posterior, h, model))
        return [first, second, prior, value, torch.rand(3)]

    one, again, other = run(5), run(5), run(6)
    names = ("draws", "next draws", "prior draws", "objective", "random state afterwards")
    for what, a, b in zip(names, one, again, strict=True):
        report.exact(torch.equal(a, b), f"{what} under one seed: {_equal(a, b)}")
    random = bool(one[0].std(0).max() > 0)
    for what, a, b in zip(names, one, other, strict=True):
        if random or what in ("prior draws", "random state afterwards"):
            report.exact(not torch.equal(a, b), f"{what} under two seeds: {_equal(a, b)}")
    if random:
        report.exact(not torch.equal(one[0], one[1]), f"two draws: {_equal(one[0], one[1])}")


def _equal(a: Tensor, b: Tensor) -> str:
    return "equal" if torch.equal(a, b) else "different"


#: What a variant may change: it draws, and Python imports what it needs.
_ITS_OWN = {"torch's random state", "loaded modules"}


@check(
    "Settings of torch and of the process belong to the user: pass dtype, device and validate_args "
    "each time instead, and leave the environment, warnings, signals and functions of others alone."
)
def torch_globals(variant: Variant, report: Report) -> None:
    """Making and using the variant changes nothing that the whole process shares."""
    before = torch_state.snapshot()
    # What torch and others import late, and change by that, is imported the first time.
    for _ in range(2):
        with kept() as changed:
            size = one_small(variant)
            posterior, h = build(variant, size), features(4)
            trained = _total(variant, posterior, h, LinearGaussian.random(4, size))
            if trained.requires_grad:
                trained.backward()
            after = torch_state.snapshot()
    for what, value in after.items():
        report.exact(value == before[what], f"{what}: {before[what]} before, {value} after")
    others = [what for what in changed if what not in _ITS_OWN]
    report.exact(not others, f"changed for the whole process: {', '.join(others) or 'nothing'}")


@check(
    "rsample_and_log_prob and rstratified are faster or better ways to draw from the same q: the "
    "log-density must be that of log_prob, the weights must sum to one and stand for q.",
)
def ways_to_draw(variant: Variant, report: Report) -> None:
    """What the optional ways to draw return agrees with rsample and log_prob."""
    for view in views(variant, small(variant)):
        posterior = view.posterior
        offered = ways(posterior(features(1)))
        if len(offered) == 1:
            raise DoesNotApply("q offers rsample alone")
        for scale in SCALES[:2]:
            h = features(1, scale)
            line = f"{view.name}, h of scale {scale:g}"
            if "rsample_and_log_prob" in offered and has_density(posterior):
                _agrees(report, line, posterior, h)
            if "rstratified" in offered:
                _stands_for_q(report, line, posterior, h)


def _agrees(report: Report, line: str, posterior: Posterior, h: Tensor) -> None:
    h = h.expand(16, -1).clone().requires_grad_()
    q = posterior(h)
    z, log_q = q.rsample_and_log_prob(torch.Size((8,)))
    again = q.log_prob(z)
    wrong = ((log_q - again).abs() / (1 + again.abs())).max().detach()
    report.exact(bool(wrong < 1e-6), f"{line}: log q is off by {float(wrong):.2g} relative")
    one, two = (torch.autograd.grad(v.sum(), h, retain_graph=True)[0] for v in (log_q, again))
    wrong = (one - two).abs().max() / (1 + two.abs().max())
    report.exact(bool(wrong < 1e-5), f"{line}: its gradient is off by {float(wrong):.2g} relative")


def _stands_for_q(report: Report, line: str, posterior: Posterior, h: Tensor) -> None:
    with torch.no_grad():
        q = posterior(h.expand(64 * 256, -1))
        z, log_weights = q.rstratified(1)
        total = log_weights.logsumexp(0).abs().max()
        report.exact(bool(total < 1e-6), f"{line}: log of the sum of weights {float(total):.2g}")
        plain, probes = q.rsample(), Probes(q.rsample()[:500])
        difference = (log_weights.exp()[..., None] * probes(z)).sum(0) - probes(plain)
        difference = difference.reshape(64, 256, -1).mean(1)
    means = ", ".join(f"{float(v):+.4f}" for v in difference.mean(0))
    report.statistical(
        vanishing_mean(difference.numpy()), f"{line}: stratified less plain means ({means})"
    )
