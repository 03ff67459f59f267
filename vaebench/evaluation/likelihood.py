"""The log-likelihood of a subject's first test images, by annealed importance sampling."""

import math

import torch
from torch import Tensor

from vaebench.evaluation.estimate import Estimate, Unavailable
from vaebench.evaluation.evidence import ais
from vaebench.evaluation.subject import Subject
from vaebench.seeds import derive


class _LogLikelihood:
    """log p(x|z) (K, B) of z (K, B, D) for given images, which can be taken apart."""

    def __init__(self, subject: Subject, x: Tensor) -> None:
        self.subject = subject
        self.x = x

    def __call__(self, z: Tensor) -> Tensor:
        return self.subject.model.log_likelihood(z, self.x)

    def subset(self, images: Tensor) -> "_LogLikelihood":
        return _LogLikelihood(self.subject, self.x[images.to(self.x.device)])


def ais_estimate(subject: Subject) -> Estimate:
    """The mean over images, with the sampler's own error and cost beside it."""
    x = subject.x[: subject.ais_images]
    usable = "density" not in subject.variant.deviations
    with torch.no_grad():
        proposal = subject.model.encode(x) if usable else None
    try:
        found = ais(
            _LogLikelihood(subject, x),
            subject.p,
            batch=len(x),
            proposal=proposal,
            seed=derive(subject.seed, "ais"),
        )
    except ValueError as error:
        raise Unavailable(str(error)) from error
    n = len(x)
    depends = subject.depends(
        chains=len(found.log_weights),
        steps=round(found.steps.double().mean().item()),
        evaluations=round(found.evaluations.double().mean().item()),
        acceptance=round(found.acceptance.mean().item(), 3),
        ess=round(found.ess.mean().item(), 2),
        sampler_se=round(found.se.square().sum().sqrt().item() / n, 4),
    )
    values = found.log_likelihood
    return Estimate(
        values.mean().item(),
        n,
        values.std().item() / math.sqrt(n) if n > 1 else None,
        depends,
        values,
        " ".join(found.warnings) or None,
    )
