"""The log-likelihood of a subject's first test images, by annealed importance sampling."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaebench.evaluation.bracket import Bracket, bdmc, certified
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


def _proposal(subject: Subject, x: Tensor) -> Distribution | None:
    """q(z|x), where it has a density to trust."""
    return None if "density" in subject.variant.deviations else subject.model.encode(x)


def _effort(subject: Subject) -> dict[str, Any]:
    return {
        "steps": subject.ais_steps,
        "budget": subject.ais_budget,
        "compile": subject.ais_compile,
    }


def _bracket(subject: Subject) -> tuple[float | None, Bracket]:
    """The sampler's target, and the bracket on simulated images that it closes to."""

    def simulate(z: Tensor) -> Any:
        x = subject.model.likelihood.sample(subject.model.decode(z))
        model, q = _LogLikelihood(subject, x), _proposal(subject, x)
        return model if q is None else (model, q)

    batch = min(subject.ais_images, len(subject.x))
    seed = derive(subject.seed, "bdmc")
    wish = _effort(subject)
    try:
        if subject.ais_target is None:
            return None, bdmc(simulate, subject.p, batch=batch, seed=seed, **wish)
        target = subject.ais_target
        return certified(simulate, subject.p, batch=batch, target=target, seed=seed, **wish)
    except ValueError as error:
        raise Unavailable(str(error)) from error


def bdmc_estimate(subject: Subject) -> Estimate:
    """The mean gap of the bracket, on images simulated from the model."""
    _, found = subject.once(_bracket)
    cost = found.lower.evaluations.double().mean().item()
    depends = subject.depends(chains=len(found.lower.log_weights), evaluations=round(cost))
    return Estimate(
        found.mean_gap,
        len(found.gap),
        found.mean_gap_se,
        depends | {"images": "simulated from the model"},
    )


def ais_estimate(subject: Subject) -> Estimate:
    """The mean over images, with the sampler's own error and cost beside it."""
    x = subject.x[: subject.ais_images]
    wish = _effort(subject)
    bracket: dict[str, Any] = {}
    if subject.ais_target is not None:
        aim, simulated = subject.once(_bracket)
        wish["target"] = aim
        bracket["bdmc_gap"] = round(simulated.mean_gap, 4)
        bracket["bdmc_gap_se"] = round(simulated.mean_gap_se, 4)
    with torch.no_grad():
        proposal = _proposal(subject, x)
    try:
        found = ais(
            _LogLikelihood(subject, x),
            subject.p,
            batch=len(x),
            proposal=proposal,
            seed=derive(subject.seed, "ais"),
            **wish,
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
        **bracket,
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
