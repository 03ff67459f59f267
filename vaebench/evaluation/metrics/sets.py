"""Columns about sets: what a set says of another element, and classes told by few images."""

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from vaebench.compute.random import generator, seeded
from vaebench.data.batches import EVALUATION_SEED
from vaebench.data.sets import Sets
from vaebench.evaluation.metrics.likelihood import AIS, annealed, warning
from vaebench.evaluation.metrics.subject import Subject
from vaebench.models.distributions import closed_kl
from vaebench.models.elements import EachElement, Elements
from vaebench.models.items import Items
from vaebench.models.metric import DENSITY, MODEL, Measurement, Metric, Unavailable

#: Tasks of a few-shot accuracy, with an image of each of its classes to be told.
TASKS = 400
#: Draws for a KL that has no closed form, and pairs of posteriors that are compared at once.
_DRAWS, _PAIRS = 32, 2**14


def _sets(subject: Subject) -> Sets:
    if not isinstance(subject.images, Sets):
        raise Unavailable(f"it is of sets, and the data set holds {subject.images.noun}s")
    return subject.images


def predictive(subject: Subject) -> Measurement:
    """log p(x_n | x_1, …, x_n-1) of the last element of each set, as a difference by AIS.

    Raises:
        Unavailable: There are no other elements.
    """
    elements = _sets(subject).elements
    if elements < 2:
        raise Unavailable("a set of one image has no others: ask for larger sets, mnist[sets=5]")
    whole, others = annealed(subject), annealed(without_last(subject))
    assert whole.per_image is not None and others.per_image is not None
    gap = whole.per_image.double().cpu() - others.per_image.double().cpu()
    kept = gap[gap.isfinite()]
    n = len(kept)
    if not n:
        raise Unavailable("no set can be trusted with and without its last element")
    depends = {**whole.depends, "given": elements - 1}
    # What the sampler does not know of the two is as much as it does not know of one, or more.
    noise = math.hypot(*(found.depends["sampler_se"] for found in (whole, others)))
    return Measurement(
        kept.mean().item(),
        n,
        kept.std().item() / math.sqrt(n) if n > 1 else None,
        depends | {"sampler_se": round(noise, 4)},
        gap,
        warning({"Of whole sets": whole, "Without the last element": others}),
        trusted=whole.trusted and others.trusted,
    )


def without_last(subject: Subject) -> Subject:
    """The same model with the test sets as they were observed, but for their last elements."""
    found = replace(subject)
    found.__dict__["items"] = Items(subject.items.x[:, :-1], subject.items.seen)
    return found


def few_shot(shots: int, ways: int) -> Callable[[Subject], Measurement]:
    """The share of images x whose class has the smallest KL(q(c|x) || q(c|D)) of `ways`.

    D are `shots` other images of a class. A tie is a mistake.
    """

    def compute(subject: Subject) -> Measurement:
        images = _sets(subject)
        observation, encoder = subject.model.observation, subject.model.encoder
        assert isinstance(observation, Elements) and isinstance(encoder, EachElement)
        labels = images.test.labels
        if labels is None:
            raise Unavailable("the data set has no classes")
        shown, told = tasks(labels.repeat_interleave(images.elements), shots, ways)
        h = subject.once(_features)
        known, asked = encoder.joined(h[shown].flatten(0, 1)), h[told].flatten(0, 1)
        known, asked = known.unflatten(0, (-1, ways)), asked.unflatten(0, (-1, ways))
        right = []
        with seeded(subject.seed, "few-shot"), torch.no_grad():
            size = max(1, _PAIRS // ways**2)
            for one, other in zip(asked.split(size), known.split(size), strict=True):
                kl = _kl(subject, observation, one, other)
                mine = kl.diagonal(dim1=1, dim2=2)
                best = kl + torch.diag_embed(torch.full_like(mine, math.inf))
                right.append((mine < best.amin(2)).double().mean(1))
        shares = torch.cat(right).cpu()
        return Measurement(
            shares.mean().item(),
            len(shares),
            shares.std().item() / math.sqrt(len(shares)),
            {"shots": shots, "ways": ways},
            detail={"chance": 1 / ways},
        )

    return compute


def tasks(labels: Tensor, shots: int, ways: int) -> tuple[Tensor, Tensor]:
    """Images (T, W, k) that are shown of each class of a task, and one (T, W) that is to be told.

    Args:
        labels: The class (N,) of each image.
        shots: k.
        ways: W.

    Raises:
        Unavailable: There are fewer classes of k + 1 images.
    """
    known, counts = labels.unique(return_counts=True)
    enough = known[counts > shots]
    if len(enough) < ways:
        raise Unavailable(
            f"{ways} ways need as many classes of {shots + 1} test images, and there are "
            f"{len(enough)}"
        )
    noise = generator(EVALUATION_SEED, "few-shot", shots, ways)
    members = [(labels == label).nonzero()[:, 0] for label in enough]
    rows = []
    for _ in range(TASKS):
        chosen = torch.randperm(len(enough), generator=noise)[:ways].tolist()
        for mine in (members[each] for each in chosen):
            rows.append(mine[torch.randperm(len(mine), generator=noise)[: shots + 1]])
    found = torch.stack(rows).unflatten(0, (TASKS, ways))
    return found[..., :-1], found[..., -1]


def _features(subject: Subject) -> Tensor:
    """The features (N·n, F) of each test image as a set of one."""
    with torch.no_grad():
        single = subject.items.x.flatten(0, 1)[:, None]
        return torch.cat([subject.model.encoder(some) for some in single.split(512)])


def _kl(subject: Subject, observation: Elements, asked: Tensor, known: Tensor) -> Tensor:
    """KL(q(c|x) || q(c|D)) (T, W, W) of images (T, W, F) from what is known of classes (T, W, F').

    Raises:
        Unavailable: The posterior says nothing of c alone, or of other codes than its own.
    """
    ways = asked.shape[1]
    pairs = asked[:, :, None].expand(-1, -1, ways, -1), known[:, None].expand(-1, ways, -1, -1)
    try:
        one, other = (
            observation.of_set(subject.model.posterior(each.flatten(0, 2))) for each in pairs
        )
        kl = closed_kl(one, other)
        if kl is None:
            c = one.sample(torch.Size((_DRAWS,)))
            kl = (one.log_prob(c) - other.log_prob(c)).mean(0)
    except NotImplementedError as error:
        raise Unavailable(str(error)) from None
    return kl.unflatten(0, (len(asked), ways, ways))


def _few_shot(shots: int, ways: int, place: int | None = None) -> Metric:
    words = f"{shots} shot{'s' if shots > 1 else ''}, {ways} ways"
    return Metric(
        name=f"few_shot_{shots}_{ways}",
        kind="sets",
        group="few-shot",
        title=f"Few-shot accuracy, {words}",
        unit="accuracy",
        better="higher",
        head=words,
        description=(
            f"Test images x whose class, of {ways}, is the one whose {shots} shown image"
            f"{'s have' if shots > 1 else ' has'} the smallest KL(q(c|x) || q(c|D)), with c what "
            "elements share."
        ),
        needs=DENSITY,
        place=place,
        keep=5,
        error=True,
        compute=few_shot(shots, ways),
    )


METRICS = (
    Metric(
        name="predictive_ais",
        kind="sets",
        group="predictive",
        title="log p(x_n | x_1, …, x_n-1), AIS",
        unit="nats/element",
        better="higher",
        description=(
            "Of the last element of each test set given the others: log p of the set less that of "
            "the others, both by annealed importance sampling."
        ),
        needs=MODEL,
        head="log p(x_n | others)",
        place=13,
        keep=8,
        error=True,
        effort=AIS,
        compute=predictive,
    ),
    _few_shot(1, 5, place=27),
    _few_shot(5, 5),
    _few_shot(1, 20, place=28),
    _few_shot(5, 20),
)
