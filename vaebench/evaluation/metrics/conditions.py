"""Columns about what is known besides pixels: labels inferred or asked for, and y alone."""

import torch
from torch import Tensor

from vaebench.evaluation.metrics.likelihood import ais_estimate
from vaebench.evaluation.metrics.subject import Subject
from vaebench.models.metric import MODEL, Measurement, Metric, Unavailable
from vaebench.models.posterior import classifies

#: The accuracy on real images below which a classifier does not know the classes of a data set.
_KNOWS = 0.5


def _columns(subject: Subject) -> Tensor:
    """The class of each test image (N,), counted from zero, in the order of columns."""
    labels = subject.images.test.labels
    assert labels is not None
    return torch.searchsorted(torch.tensor(subject.images.classes), labels.long())


def label_accuracy(subject: Subject) -> Measurement:
    """The share of test images whose class q(y|x) finds most probable.

    Raises:
        Unavailable: The posterior infers no class, or training sees no label.
    """
    if subject.images.labelled is None:
        raise Unavailable("training sees no labels: show it some with --dataset mnist[labels=100]")
    posterior = subject.model.posterior
    if not classifies(posterior):
        raise Unavailable("the posterior infers no class")
    with torch.no_grad():
        log_q = posterior.classify(subject.h).double().cpu()
    labels = _columns(subject)
    right = log_q.argmax(-1) == labels
    detail = {
        "error_percent": 100 * (1 - right.double().mean().item()),
        "log_q_of_label": log_q.gather(1, labels[:, None]).mean().item(),
    }
    return Measurement.mean(right.double(), detail=detail, labels=subject.images.labelled)


def label_fidelity(subject: Subject) -> Measurement:
    """The share of samples in which the data set's classifier sees the label that was given.

    Raises:
        Unavailable: No label is given, or no classifier knows the classes.
    """
    if subject.images.given != "label" or len(subject.images.classes) < 2:
        raise Unavailable("no label is asked for: give it with --dataset mnist[given=label]")
    extractor, classes = subject.extractor, subject.images.classes
    count = len(subject.samples)
    labels = _columns(subject)[:count]
    if extractor.head is None:
        raise Unavailable(f"the extractor {extractor.name!r} knows no classes")
    real = extractor.logits(subject.real.features)
    known = list(range(real.shape[-1]))
    if list(classes) != known:
        raise Unavailable(
            f"the extractor {extractor.name!r} knows classes 0 to {known[-1]}, and the data set "
            f"has {len(classes)} that are not these"
        )
    accuracy = (real.argmax(-1) == labels[: len(real)]).double().mean().item()
    if accuracy < _KNOWS:
        raise Unavailable(
            f"the extractor {extractor.name!r} sees the label of {accuracy:.2f} of real images: it "
            "was not trained for these classes"
        )
    seen = extractor.logits(subject.sample_features).argmax(-1)
    right = (seen == labels).double()
    each = {
        str(name): right[labels == column].mean().item()
        for column, name in enumerate(classes)
        if (labels == column).any()
    }
    # Samples are not paired with images.
    found = Measurement.mean(right, extractor=extractor.identity)
    detail = {"real_images": accuracy, "per_class": each}
    return Measurement(found.value, found.n, found.se, found.depends, detail=detail)


def regression(subject: Subject) -> Measurement:
    """log p(x|y, z) at the mean of p(z|y), which says of x only what y does.

    Raises:
        Unavailable: There is no condition, or the prior has no mean.
    """
    given = subject.items.seen.given
    if given is None or not given.shape[-1]:
        raise Unavailable("the data set gives nothing: let it with --dataset mnist[given=label]")
    parts = []
    try:
        with torch.no_grad():
            for some in subject.items.split(subject.rows):
                mean = subject.prior(some).mean.expand(len(some), -1)
                parts.append(subject.model.log_likelihood(mean[None], some)[0])
    except NotImplementedError:
        raise Unavailable("the prior has no mean") from None
    values = torch.cat(parts)
    return Measurement.mean(values, _beaten(subject, values), **subject.depends())


def _beaten(subject: Subject, values: Tensor) -> str | None:
    """A warning where log p(x|y) is not above that of y alone by two standard errors."""
    ais = subject.made(ais_estimate)
    if ais is not None and ais.per_image is not None:
        model = ais.per_image.double().cpu()
    else:
        model = subject.terms.elbo.double().cpu()
    gap = model - values[: len(model)].double().cpu()
    gap = gap[gap.isfinite()]
    if len(gap) > 1 and gap.mean() > 2 * gap.std() / len(gap) ** 0.5:
        return None
    return (
        "the model's log p(x|y) is not shown to be higher: its latents say nothing that the "
        "condition does not"
    )


METRICS = (
    Metric(
        name="label_accuracy",
        group="labels",
        title="Accuracy of labels",
        unit="accuracy",
        better="higher",
        description=(
            "Test images whose class q(y|x) finds most probable, of posteriors that infer one; "
            "their labels, and those of validation, are used for nothing else."
        ),
        head="label accuracy",
        place=25,
        keep=7,
        error=True,
        compute=label_accuracy,
    ),
    Metric(
        name="label_fidelity",
        kind="pictures",
        group="labels",
        title="Fidelity to labels",
        unit="share",
        better="higher",
        description=(
            "Samples, drawn under the labels of test images, in which the data set's classifier "
            "sees the label that was asked for."
        ),
        needs=MODEL,
        head="label fidelity",
        place=26,
        keep=6,
        error=True,
        compute=label_fidelity,
    ),
    Metric(
        name="log_likelihood_regression",
        group="regression",
        title="log p(x|y) of y alone",
        unit="nats/image",
        better=None,
        description=(
            "log p(x|y, z) at the mean of p(z|y): the same decoder as a regression on the "
            "condition, which log p(x|y) has to beat."
        ),
        needs=MODEL,
        compute=regression,
    ),
)
