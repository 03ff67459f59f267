"""Columns about items of several parts: whether parts agree in class, and what one says of it."""

import math
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from vaebench.compute.random import seeded
from vaebench.data.dataset import subset
from vaebench.data.modalities import Modalities
from vaebench.data.observation import grey
from vaebench.evaluation.functional.posteriors import posterior_means
from vaebench.evaluation.functional.probes import accuracy, linear
from vaebench.evaluation.metrics.subject import Subject
from vaebench.models.distributions import sampled
from vaebench.models.items import Items
from vaebench.models.metric import MODEL, Measurement, Metric, Unavailable
from vaebench.models.modalities import Modalities as Several

#: Test items whose parts are generated, and training items whose labels a probe sees.
MOST, LABELS = 1000, 1000


@dataclass
class Part(Subject):
    """A model as one of the pictures in an item: its data, and what the others are decoded with.

    Attributes:
        part: The name of the part.
    """

    part: str = ""

    def decoded(self, z: Tensor, items: Items | None = None) -> Tensor:
        """Decoder means (N, C, H, W) in [0, 1] of the part for latents (N, D)."""
        return _generated(self, self.part, z)


def pictured(subject: Subject) -> dict[str, Part]:
    """The parts of items that are pictures, by name.

    Raises:
        Unavailable: There are none.
    """
    images = _several(subject)
    shown = {n: p for n, p in images.parts.items() if p.kind == "pictures" and not p.real}
    if not shown:
        raise Unavailable("no part of the items is a picture")
    known = {f.name: getattr(subject, f.name) for f in fields(subject) if f.init}
    found = {name: Part(**known | {"images": data}, part=name) for name, data in shown.items()}
    for each in found.values():
        each.__dict__.update(items=subject.items, q=subject.q)
    return found


def _several(subject: Subject) -> Modalities:
    if not isinstance(subject.images, Modalities):
        raise Unavailable(f"it is of parts, and the data set holds {subject.images.noun}s")
    return subject.images


def _observation(subject: Subject) -> Several:
    found = subject.model.observation
    assert isinstance(found, Several)
    return found


def _generated(subject: Subject, name: str, z: Tensor) -> Tensor:
    """A part for latents (N, D): expected pictures (N, C, H, W), or the likeliest tokens (N, T)."""
    observation = _observation(subject)
    part, told = observation.parts[name], observation.decoder.told(name, z)
    write = part.likely if observation.layout.forms[name].kind == "tokens" else part.mean
    with torch.no_grad():
        return torch.cat([write(some) for some in told.split(max(1, subject.chunk // part.rows))])


def generated(subject: Subject, z: Tensor) -> dict[str, Tensor]:
    """All parts for latents (N, D): expected pictures, or the likeliest tokens."""
    return {name: _generated(subject, name, z) for name in _several(subject).layout.names}


def codes_given(subject: Subject, part: int, count: int) -> Tensor:
    """A draw of q(z|x_m) (count, D) for the first test items, of which part m alone is known.

    Raises:
        Unavailable: The posterior knows whole items alone.
    """
    with seeded(subject.seed, "given", part), torch.no_grad():
        try:
            return subject.model.posterior.of_parts(subject.h[:count], [part]).sample()
        except NotImplementedError as error:
            raise Unavailable(str(error)) from None


def _classes(subject: Subject, name: str, x: Tensor) -> Tensor:
    """The class (N,) of each of some pictures in [0, 1] or sequences of a part, -1 where none."""
    images = _several(subject)
    if images.like[name].kind == "tokens":
        return images.named[name](x).cpu()
    logits = subject.extractor.logits(subject.extractor(x))
    labels = images.test.labels
    if labels is not None and int(labels.max()) >= logits.shape[1]:
        raise Unavailable(f"{subject.extractor_name} knows other classes than the data set")
    return logits.argmax(1)


def _told(subject: Subject) -> dict[str, float]:
    """How often the classes of parts of test items are told rightly.

    Raises:
        Unavailable: Items have no classes, or nothing tells that of a part.
    """
    images = _several(subject)
    labels = images.test.labels
    if labels is None:
        raise Unavailable("the data set has no classes")
    found = {}
    for name, part in images.parts.items():
        if why := _unclear(subject, name):
            raise Unavailable(why)
        stored = subset(part.test, slice(MOST)).stored
        x = stored if part.kind == "tokens" else grey(stored, part.levels).to(subject.device)
        right = _classes(subject, name, x) == labels[: len(x)]
        found[name] = right.double().mean().item()
    return found


def _unclear(subject: Subject, name: str) -> str:
    """Why nothing tells of which class a part is; empty where something may."""
    images = _several(subject)
    part = images.like[name]
    if part.kind == "tokens":
        return "" if name in images.named else f"nothing tells which class the part {name} names"
    extractor, shape = subject.extractor, tuple(part.shape)
    if extractor.head is None or extractor.shape not in (None, shape):
        read = "×".join(map(str, shape))
        return f"the extractor {extractor.name} tells no classes of pictures of {read}"
    return ""


def given(subject: Subject) -> Measurement:
    """How often a part that is generated from another one alone has the class of the item.

    Raises:
        Unavailable: Items have one part, or the posterior knows whole items alone.
    """
    images = _several(subject)
    names = images.layout.names
    if len(names) < 2:
        raise Unavailable("items have no other part")
    told = subject.once(_told)
    assert images.test.labels is not None
    labels = images.test.labels[:MOST]
    right: dict[str, dict[str, Tensor]] = {name: {} for name in names}
    for number, source in enumerate(names):
        z = codes_given(subject, number, len(labels))
        for target in names:
            if target != source:
                classes = _classes(subject, target, _generated(subject, target, z))
                right[target][source] = (classes == labels).double()
    means = {target: torch.stack([*each.values()]).mean(0) for target, each in right.items()}
    shares = {
        target: {source: values.mean().item() for source, values in each.items()}
        for target, each in right.items()
    }
    found = Measurement.mean(
        torch.stack([*means.values()]).mean(0),
        detail={"given": shares, "test items": told},
        **_depends(subject),
    )
    each = {name: Measurement.mean(mean, **found.depends) for name, mean in means.items()}
    return replace(found, parts=each)


def joint(subject: Subject) -> Measurement:
    """How often all parts that are generated from one draw of the prior have the same class.

    Raises:
        Unavailable: Items have one part.
    """
    images = _several(subject)
    if len(images.layout.names) < 2:
        raise Unavailable("items have no other part")
    told = subject.once(_told)
    count = min(len(images.test), MOST)
    with seeded(subject.seed, "joint"), torch.no_grad():
        z = sampled(subject.prior(subject.items[:count]), count)
    parts = generated(subject, z).items()
    classes = torch.stack([_classes(subject, name, part) for name, part in parts])
    same = (classes == classes[0]).all(0) & (classes[0] >= 0)
    counts = classes[0][same].bincount().tolist()
    detail = {"classes": counts, "test items": told}
    most = max(counts, default=0)
    assert images.test.labels is not None
    few = len(images.test.labels.unique()) > 2 and most > sum(counts) / 2
    warning = f"{most / sum(counts):.0%} of the draws that agree are of one class" if few else None
    return Measurement.mean(same.double(), warning, detail, **_depends(subject))


def _depends(subject: Subject) -> dict[str, Any]:
    pictures = any(part.kind == "pictures" for part in _several(subject).like.values())
    return {"features": subject.extractor.identity} if pictures else {}


def latent(subject: Subject) -> Measurement:
    """How often a linear probe of the mean code of whole items finds the class.

    Parts: of the mean code of items of which one part alone is known, by probes of their own.

    Raises:
        Unavailable: Items have no classes.
    """
    images = _several(subject)
    some = subset(images.train, slice(LABELS))
    if some.labels is None or images.test.labels is None:
        raise Unavailable("the data set has no classes")
    with torch.no_grad():
        known = subject.model.features(subject.meet(some, "train"))
    labels = some.labels.numpy(), images.test.labels.numpy()

    def probed(parts: list[int] | None) -> Measurement:
        train, test = (_means(subject, h, parts) for h in (known, subject.h))
        right = accuracy(linear, train, labels[0], test, labels[1])
        return Measurement.mean(torch.from_numpy(right), labels=len(train))

    each = {}
    try:
        if len(images.layout.names) > 1:
            each = {name: probed([m]) for m, name in enumerate(images.layout.names)}
    except NotImplementedError:
        pass
    return replace(probed(None), parts=each)


def _means(subject: Subject, h: Tensor, parts: list[int] | None) -> Any:
    """Posterior means (N, D) from features of whole items, of which only some parts are known."""
    posterior = subject.model.posterior
    with seeded(subject.seed, "means"), torch.no_grad():
        found = [
            posterior_means(posterior(x) if parts is None else posterior.of_parts(x, parts), 64)[0]
            for x in h.split(512)
        ]
    means = torch.cat(found).double().cpu()
    if not means.isfinite().all():
        raise Unavailable("posterior means are not finite")
    return means.numpy()


def of_each(metric: Metric) -> Metric:
    """A metric of pictures that is also one of items with several parts: the mean over pictures.

    What it is of each of these is a column of its own, `fid_digits@view1`.
    """

    def compute(subject: Subject) -> Measurement:
        if not isinstance(subject.images, Modalities):
            return metric.compute(subject)
        found = {name: metric.compute(part) for name, part in subject.once(pictured).items()}
        first = next(iter(found.values()))
        mean = math.fsum(each.value for each in found.values()) / len(found)
        detail = {"pictures": len(found)}
        return Measurement(mean, first.n, None, first.depends, detail=detail, parts=found)

    return replace(metric, kind=("pictures", "modalities"), compute=compute)


METRICS = (
    Metric(
        name="coherence_given",
        kind="modalities",
        group="coherence",
        title="Conditional coherence",
        unit="share",
        better="higher",
        description=(
            "Share of parts, generated from a draw of q(z|x_m) given one other part m alone, that "
            "have the class of their test item; the mean over all pairs of parts."
        ),
        head="coherence, given",
        place=30,
        keep=6,
        error=True,
        compute=given,
    ),
    Metric(
        name="coherence_joint",
        kind="modalities",
        group="coherence",
        title="Joint coherence",
        unit="share",
        better="higher",
        description=(
            "Share of draws from the prior of which all parts are generated in the same class."
        ),
        needs=MODEL,
        sampled=True,
        head="coherence, joint",
        place=31,
        keep=5,
        error=True,
        compute=joint,
    ),
    Metric(
        name="latent_accuracy",
        kind="modalities",
        group="coherence",
        title="Latent classification",
        unit="accuracy",
        better="higher",
        description=(
            f"Test accuracy of logistic regression on posterior means, from {LABELS} labels: given "
            "all parts, and given each part alone."
        ),
        place=32,
        keep=4,
        error=True,
        compute=latent,
    ),
)
