"""Metrics of samples whose codes come from samplers fitted after training: `fid_digits@gmm`."""

from dataclasses import replace

from vaebench.config.names import parse
from vaebench.evaluation.metrics.subject import Subject
from vaebench.models.metric import MODEL, Measurement, Metric, Unavailable
from vaebench.registry.catalogue import catalogue

#: The sampler that every model has.
PRIOR = "prior"


def under(metric: Metric, sampler: str) -> Metric:
    """A metric of samples, of codes from a sampler.

    Prior and decoder need be no model of the data for it: sampler and decoder are one.
    """

    def compute(subject: Subject) -> Measurement:
        try:
            return metric.compute(subject.under(sampler))
        except NotImplementedError as error:
            raise Unavailable(str(error)) from error

    owner = catalogue().bringer("samplers", parse(sampler)[0])
    return replace(
        metric,
        name=f"{metric.name}@{sampler}",
        title=f"{metric.title}, codes from {sampler}",
        description=f"{metric.description} Codes come from {sampler}, fitted after training.",
        needs=metric.needs - MODEL,
        compute=compute,
        head="",
        symbol="",
        place=None,
        role=None,
        code="+".join(filter(None, (metric.code, owner.code))),
    )
