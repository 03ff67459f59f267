"""Values and gradients stay finite at every size and for extreme encoder features."""

import pytest
import torch
from vaebench_plugins import (
    adversaries,
    beta_tc,
    dip,
    epanechnikov,
    epanechnikov_paper,
    flow_prior,
    gamix,
    gaussian,
    gmm,
    iaf,
    infovae,
    iwae,
    laplace,
    mixture_prior,
    planar,
    poisson,
    rae,
    stein,
    tighter_bounds,
    vampprior,
    variance,
)

from vaebench import Variant
from vaebench.models.draw import Draw, draw, fixed
from vaebench.models.shared import stand_ins
from vaebench.models.variant import informed

MODULES = (
    adversaries.AAE,
    adversaries.AVB,
    adversaries.FactorVAE,
    beta_tc,
    dip,
    epanechnikov,
    epanechnikov_paper,
    flow_prior,
    gamix,
    gaussian,
    gmm,
    gmm.SIWAE,
    iaf,
    infovae,
    infovae.WAE,
    iwae,
    laplace,
    mixture_prior,
    planar,
    poisson,
    rae,
    stein,
    tighter_bounds,
    vampprior,
    variance,
)
VARIANTS = [
    informed(variant, **stand_ins(16))
    for module in MODULES
    for variant in module.vaebench_variants()
]


def implicit(features: int, context: int) -> gmm.GaussianMixturePosterior:
    return gmm.GaussianMixturePosterior(features, context, estimator="implicit")


def dreg(table: Draw) -> torch.Tensor:
    return iwae.importance_weighted(table, estimator="dreg")


VARIANTS += [
    Variant("gmm[estimator=implicit]", implicit),
    Variant("iwae[estimator=dreg]", gaussian.Gaussian, objective=dreg, samples=8),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("features", [1, 2, 3, 17, 128, 1024])
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.name)
def test_values_and_gradients_are_finite(
    variant: Variant, features: int, dtype: torch.dtype
) -> None:
    for size in (0.0, 1.0, 100.0, 1e4):
        torch.manual_seed(features)
        posterior = variant.posterior(features, 16).to(dtype)
        h = (size * torch.randn(3, 16, dtype=dtype).sign()).requires_grad_()
        scale = torch.ones((), dtype=dtype, requires_grad=True)

        def log_px(z: torch.Tensor, scale: torch.Tensor = scale) -> torch.Tensor:
            return -(1 + (scale * z).square().sum(-1)).log()

        table = draw(
            posterior(h),
            posterior.prior(),
            log_px,
            variant.samples,
            fixed=fixed(posterior, h, [], log_px),
        )._replace(h=h)
        terms = [variant.objective(table), *(f(table) for f in variant.penalties.values())]
        if variant.rival is not None:
            terms.append(variant.rival(features).to(dtype).term(table))
        assert all(term.shape == (3,) and term.dtype == dtype for term in terms)
        assert table.z.dtype == dtype
        grads = torch.autograd.grad(torch.stack(terms).sum(), [h, *posterior.parameters()])
        for values in (*terms, table.z, *grads):
            assert values.isfinite().all(), f"{variant.name} at h = ±{size}"
        if not {"support", "density"} & set(variant.deviations):
            assert table.log_w.isfinite().all()
