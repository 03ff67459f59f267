"""Numbers that no posterior with a right density can have."""

import math

from vaebench.evaluation.metrics.likelihood import ais_estimate
from vaebench.evaluation.metrics.subject import Subject

#: Standard errors beyond which it is not chance.
_BEYOND = 4.0


def contradiction(subject: Subject) -> str | None:
    """Why log q(z|x) is not to be believed, or None where nothing speaks against it.

    A Kullback-Leibler divergence is never below zero, and the ELBO never above log p(x). The
    latter is looked at where AIS has been computed and is to be trusted; its estimate is low by
    about half the variance of a logarithm over images.
    """
    terms, spelled = subject.terms, subject.variant.name.partition("[")[0]
    advice = f"run `vaebench check {spelled}`"
    kl = terms.kl.double()
    rate, error = kl.mean().item(), kl.std(correction=0).item() / math.sqrt(len(kl))
    if rate < -_BEYOND * error - 1e-3:
        why = f"its KL to the prior is {rate:.2f} nats, below zero"
        return f"{why}, so that log q(z|x) cannot be right; {advice}"
    ais = subject.made(ais_estimate)
    if ais is None or ais.per_image is None or ais.warning:
        return None
    count = ais.n
    above = (terms.elbo[:count].double().cpu() - ais.per_image.cpu()).mean().item()
    monte_carlo = math.sqrt(terms.elbo_error[:count].double().sum().item()) / count
    sampler = ais.depends["sampler_se"]
    if above > _BEYOND * math.hypot(monte_carlo, sampler) + count * sampler**2 + 1e-3:
        why = f"its ELBO is {above:.2f} nats above log p(x) of the same images"
        return f"{why}: log q(z|x) is wrong, or AIS misses a part of the posterior; {advice}"
    return None
