"""Laws of what is known besides x: conditions, labels that training sees, and codes of others."""

import inspect
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaebench.models.items import NOTHING, Seen
from vaebench.models.posterior import Posterior, classifies, pairs, prior_of
from vaebench.models.shared import stand_ins
from vaebench.models.variant import Variant
from vaebench.testing.report import Report, check
from vaebench.testing.subjects import (
    CONTEXT,
    DoesNotApply,
    build,
    exact,
    features,
    need_density,
    one_small,
    sample,
)

#: G, the numbers that a condition comes to; they are the last of the features.
GIVEN = 3
#: A log-density below which a draw is impossible.
_IMPOSSIBLE = -1e3
_ROWS = 6


def _asks(variant: Variant, fact: str) -> bool:
    """Whether the variant's posterior is told this of `FACTS`."""
    return fact in inspect.signature(variant.posterior).parameters


def _told(variant: Variant) -> dict[str, int]:
    """G for a posterior that is told it."""
    return {"given": GIVEN} if _asks(variant, "given") else {}


def _at(law: Distribution, z: Tensor) -> Tensor:
    with torch.no_grad():
        return law.log_prob(z).expand(z.shape[:-1])


def _alike(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=1e-9, atol=1e-9, equal_nan=True)


@check(
    "prior(given) must use what it is given of each item and nothing else: no features, nor what "
    "forward has kept of them. Evaluation would measure against a prior that knows x.",
)
def given(variant: Variant, report: Report) -> None:
    """The prior of an item is a function of its condition alone, and q moves with it too."""
    size, told = one_small(variant), _told(variant)
    posterior, h = build(variant, size, facts=told), features(_ROWS)
    need_density(posterior)
    y = h[:, -GIVEN:]
    for mode in (True, False):
        posterior.train(mode and posterior.training)
        z = exact(posterior, h).sample()
        before = _at(prior_of(posterior, y), z)
        for scale in (1.0, 100.0):
            posterior(features(_ROWS, scale))
            same = _alike(_at(prior_of(posterior, y), z), before)
            report.exact(same, f"the prior {'stays' if same else 'moves'} after q of other items")
    if not told or "given" not in inspect.signature(posterior.prior).parameters:
        return
    p, moved = prior_of(posterior, y), y.clone()
    moved[0] += 1
    report.exact(tuple(p.batch_shape) == (_ROWS,), f"prior(given) has batch {tuple(p.batch_shape)}")
    change = (_at(prior_of(posterior, moved), z) - before).abs()
    report.exact(change[0].item() > 0, f"p of an item moves by {change[0]:.2g} with its condition")
    others = change[1:].max().item()
    report.exact(others < 1e-9, f"p of other items moves by {others:.2g} nats")
    told_h = torch.cat([h[:, :-GIVEN], moved], -1)
    gap = (_at(exact(posterior, told_h), z) - _at(exact(posterior, h), z)).abs()[0].item()
    report.exact(gap > 0, f"q of an item moves by {gap:.2g} nats with its condition")


@check(
    "pair(h, seen) must read the labels, places and conditions of an item in the item's own row.",
)
def together(variant: Variant, report: Report) -> None:
    """Items that change places with all that is known of them change nothing but their places."""
    size, told = one_small(variant), _told(variant)
    posterior, h = build(variant, size, facts=told).eval(), features(_ROWS)
    need_density(posterior)
    if not (told or pairs(posterior)):
        raise DoesNotApply("the variant uses nothing but x")
    places = torch.tensor([2, 0, 5, 1, 4, 3])
    seen = Seen(h[:, -GIVEN:], _labels(variant), torch.arange(_ROWS))
    with torch.no_grad():
        laws, again = ([*_pair(posterior, h, seen, seed)] for seed in (0, 1))
        turned = [*_pair(posterior, h[places], seen.map(lambda x: x[places]), 0)]
        z = laws[0].sample()
    for name, one, other, law in zip(("q", "p"), laws, again, turned, strict=True):
        if not _alike(_at(one, z), _at(other, z)):
            report.lines.append(f"{name} of pair is another each time")
            continue
        same = _alike(_at(law, z[places]), _at(one, z)[places])
        report.exact(same, f"{name} of pair {'follows' if same else 'leaves'} its items")


def _pair(
    posterior: Posterior, h: Tensor, seen: Seen, seed: int = 0
) -> tuple[Distribution, Distribution]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if pairs(posterior):
            return posterior.pair(h, seen)
        return posterior(h), prior_of(posterior, seen.given)


def _labels(variant: Variant) -> Tensor:
    """Labels (_ROWS,), every second one hidden."""
    classes = stand_ins(CONTEXT)["classes"]
    return torch.where(torch.arange(_ROWS) % 2 > 0, -1, torch.arange(_ROWS) // 2 % classes)


@check(
    "The weights of rstratified are q(y|x) for hidden labels; for a known one the weight of every "
    "other class is 0. They sum to one for each item: take log_softmax, and pair's labels.",
)
def strata(variant: Variant, report: Report) -> None:
    """Strata of classes weigh what the classifier says, and a known label is one-hot."""
    posterior, h = build(variant, one_small(variant)), features(_ROWS)
    if not classifies(posterior):
        raise DoesNotApply("the posterior infers no class")
    labels = _labels(variant)
    with torch.no_grad():
        log_q = posterior.classify(h)
        total = (log_q.exp().sum(-1) - 1).abs().max().item()
        report.exact(total < 1e-9, f"q(y|x) sums to 1 up to {total:.2g}")
        q, _ = posterior.pair(h, Seen(labels=labels))
        z, log_weights = q.rstratified(2)  # type: ignore[attr-defined]
        share = log_weights.exp()
        off = (share.sum(0) - 1).abs().max().item()
        report.exact(off < 1e-9, f"weights of strata sum to 1 up to {off:.2g}")
        for label in range(log_q.shape[-1]):
            known, _ = posterior.pair(h, Seen(labels=torch.full((_ROWS,), label)))
            weight = (share * (_at(known, z) > _IMPOSSIBLE)).sum(0)
            expected = torch.where(labels < 0, log_q[:, label].exp(), (labels == label).double())
            off = (weight - expected).abs().max().item()
            report.exact(
                off < 1e-9, f"class {label}: weights of draws that have it are off by {off:.2g}"
            )


@check(
    "What pair keeps of other items belongs into buffers, so that checkpoints have it. Take only "
    "items of the training split (index >= 0) in training mode, and never an item as its own "
    "neighbour: its prior would be its own posterior.",
)
def memory(variant: Variant, report: Report) -> None:
    """What is remembered of items is in the checkpoint, is of training, and of others."""
    size = one_small(variant)
    # Others than the features that building it has shown it.
    posterior, h = build(variant, size).train(), features(41)[1:]
    places = Seen(index=torch.arange(len(h)))
    if not _asks(variant, "items") or not pairs(posterior):
        raise DoesNotApply("nothing of other items is remembered")
    with torch.no_grad():
        for what, calls in _foreign(posterior, h):
            before = _state(posterior)
            calls()
            same = _same(before, _state(posterior))
            report.exact(same, f"{what}: {'nothing' if same else 'something'} is remembered")
        posterior.train().pair(h, places)
        other = build(variant, size).train()
        other.load_state_dict(posterior.state_dict())
        z = sample(posterior(h), 1)[0]
        for name, laws in {
            "prior": [one.eval().prior() for one in (posterior, other)],
            "prior of pair": [_pair(one.eval(), h, places)[1] for one in (posterior, other)],
        }.items():
            same = _alike(*(_at(law, z) for law in laws))
            report.exact(same, f"{name}: {'the same' if same else 'another'} from a checkpoint")
        _own(report, posterior, h, places)


def _foreign(posterior: Posterior, h: Tensor) -> Iterator[tuple[str, Callable[[], object]]]:
    """What must not be remembered."""
    yield "q of items", lambda: posterior.train()(h)
    outside = Seen(index=torch.full((len(h),), -1))
    yield "items of no place", lambda: posterior.train().pair(h, outside)
    yield "items without places", lambda: posterior.train().pair(h, NOTHING)
    index = Seen(index=torch.arange(len(h)))
    yield "evaluation", lambda: posterior.eval().pair(h, index)


def _own(report: Report, posterior: Posterior, h: Tensor, places: Seen) -> None:
    """What an item is measured against does not depend on what is remembered of itself."""
    z = sample(posterior(h), 1)[0]
    against = []
    for scale in (1.0, 30.0):
        posterior.train().pair(h, places)
        one = Seen(index=places.index[:1] if places.index is not None else None)
        posterior.pair(scale * h[:1], one)
        against.append(_at(_pair(posterior.eval(), h, places)[1], z)[0])
    same = _alike(*against)
    report.exact(same, f"an item is measured against {'others' if same else 'itself'}")


def _state(posterior: Posterior) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in posterior.state_dict().items()}


def _same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)
