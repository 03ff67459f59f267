"""Columns about text: nats a token, and perplexity."""

import math
from typing import Any

from vaebench.data.text import UNKNOWN, Text
from vaebench.evaluation.metrics.likelihood import AIS, annealed, elbo, importance_weighted
from vaebench.evaluation.metrics.regret import Estimate, each
from vaebench.evaluation.metrics.subject import Subject
from vaebench.models.metric import ELBO, MODEL, Measurement, Metric, Unavailable


def _text(subject: Subject) -> Text:
    if not isinstance(subject.images, Text):
        raise Unavailable(f"it is of text, and the data set holds {subject.images.noun}s")
    return subject.images


def _rate(subject: Subject, estimate: Estimate) -> Measurement:
    """-Σ log p(x) / Σ T of the sequences, its error by linearisation of the ratio."""
    text = _text(subject)
    found, values, rows = each(subject, estimate)
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
    *_metrics("ais", annealed, "AIS", "AIS", place=14, needs=MODEL, effort=AIS),
    *_metrics("iwae_{k}", importance_weighted, "L_K", "k", needs=ELBO, effort=("iw_images",)),
    *_metrics("elbo", elbo, "ELBO", "ELBO", needs=ELBO),
)
