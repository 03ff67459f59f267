"""Columns about text: nats a token, perplexity, and how far a model is from a known source."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vaebench.data.text import UNKNOWN, Text
from vaebench.evaluation.metrics.likelihood import AIS, annealed, elbo, importance_weighted
from vaebench.evaluation.metrics.subject import Subject
from vaebench.models.metric import ELBO, MODEL, Measurement, Metric, Unavailable

#: What is estimated of the test sequences, with log p(x), or a bound on it, of each.
Estimate = Callable[[Subject], Measurement]


def _text(subject: Subject) -> Text:
    if not isinstance(subject.images, Text):
        raise Unavailable(f"it is of text, and the data set holds {subject.images.noun}s")
    return subject.images


def _each(subject: Subject, estimate: Estimate) -> tuple[Measurement, Tensor, Tensor]:
    """An estimate, its values (N,) that there are, and which test sequences these are of."""
    found = estimate(subject)
    assert found.per_image is not None
    values = found.per_image.double().cpu()
    rows = values.isfinite().nonzero()[:, 0]
    return found, values[rows], rows


def _rate(subject: Subject, estimate: Estimate) -> Measurement:
    """-Σ log p(x) / Σ T of the sequences, its error by linearisation of the ratio."""
    text = _text(subject)
    found, values, rows = _each(subject, estimate)
    tokens = text.test.tokens[rows]
    lengths = (tokens >= 0).sum(1).double()
    rate = (-values.sum() / lengths.sum()).item()
    rest = -values - rate * lengths
    n = len(values)
    se = (rest.std() / (math.sqrt(n) * lengths.mean())).item() if n > 1 else None
    depends = {**found.depends, "tokens": int(lengths.sum())}
    if UNKNOWN in text.vocabulary:
        depends["unknown"] = int((tokens == text.vocabulary.index(UNKNOWN)).sum())
    return Measurement(rate, n, se, depends, warning=found.warning, trusted=found.trusted)


def _nats(estimate: Estimate) -> Estimate:
    return lambda subject: _rate(subject, estimate)


def _perplexity(estimate: Estimate) -> Estimate:
    def compute(subject: Subject) -> Measurement:
        found = _rate(subject, estimate)
        value = math.exp(found.value)
        se = None if found.se is None else value * found.se
        return Measurement(
            value, found.n, se, found.depends, warning=found.warning, trusted=found.trusted
        )

    return compute


def _best(subject: Subject) -> Measurement:
    """log p(x) by AIS where it can be had, else the importance-weighted bound."""
    try:
        return annealed(subject)
    except Unavailable:
        if "density" in subject.variant.deviations:
            raise
        return importance_weighted(subject)


def regret(subject: Subject) -> Measurement:
    """The mean of log p(x) of the source less the model's, over the same test sequences.

    Raises:
        Unavailable: The source does not know its probabilities.
    """
    text = _text(subject)
    if text.log_prob is None:
        raise Unavailable("nobody knows the probabilities of its source")
    found, values, rows = _each(subject, _best)
    exact = text.log_prob(text.test.tokens[rows]).double()
    gap = torch.full((int(rows.max()) + 1,), math.nan, dtype=torch.double)
    gap[rows] = exact - values
    kept = gap[rows]
    n = len(kept)
    se = kept.std().item() / math.sqrt(n) if n > 1 else None
    source = -text.log_prob(text.test.tokens).double()
    detail = {"source_nats": source.mean().item(), "source_nats_these": -exact.mean().item()}
    depends = {**found.depends, "estimate": "AIS" if "chains" in found.depends else "L_K"}
    return Measurement(
        kept.mean().item(), n, se, depends, gap, found.warning, detail, found.trusted
    )


def _metrics(
    name: str, estimate: Estimate, words: str, symbol: str, place: int | None = None, **more: Any
) -> tuple[Metric, ...]:
    """Perplexity, with its place in the main table if any, and nats a token."""
    perplexity = Metric(
        name=f"perplexity_{name}",
        kind="tokens",
        group="perplexity",
        title=f"Perplexity, {words}",
        unit="tokens",
        better="lower",
        head=f"perplexity, {words}",
        symbol=rf"\mathrm{{PPL}}_{{{symbol}}}",
        description=f"exp of nats a token, from {words}, the end of a sequence counted.",
        place=place,
        keep=7,
        error=True,
        compute=_perplexity(estimate),
        **more,
    )
    nats = Metric(
        name=f"nats_per_token_{name}",
        kind="tokens",
        group="perplexity",
        title=f"Nats a token, {words}",
        unit="nats/token",
        better="lower",
        description=f"-log p(x) over tokens, from {words}: a mean over all tokens together.",
        compute=_nats(estimate),
        **more,
    )
    return perplexity, nats


METRICS = (
    Metric(
        name="regret",
        kind="tokens",
        group="regret",
        title="Regret",
        unit="nats/sequence",
        better="lower",
        description=(
            "log p(x) of the exact source less the model's (by AIS, else L_K), of the same test "
            "sequences: 0 for a model that is the source, and negative by chance alone."
        ),
        needs=MODEL,
        head="regret",
        place=12,
        keep=8,
        error=True,
        effort=AIS,
        compute=regret,
    ),
    *_metrics("ais", annealed, "AIS", "AIS", place=14, needs=MODEL, effort=AIS),
    *_metrics("iwae_{k}", importance_weighted, "L_K", "k", needs=ELBO, effort=("iw_images",)),
    *_metrics("elbo", elbo, "ELBO", "ELBO", needs=ELBO),
)
