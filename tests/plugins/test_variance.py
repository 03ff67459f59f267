"""The posterior without a mean: its exact KL, and that no other family is taken for its own."""

import torch
from torch.distributions import kl_divergence
from vaebench_plugins.variance import VariancePosterior

from vaebench.evaluation.functional.refine import location_scale


def test_kl_is_that_of_the_variances_alone() -> None:
    posterior = VariancePosterior(5, 4).double()
    q = posterior(torch.randn(3, 4).double())
    expected = ((q.variance - 1 - q.variance.log()) / 2).sum(-1)
    torch.testing.assert_close(kl_divergence(q, posterior.prior()), expected)
    assert (q.mean == 0).all() and (q.rsample((5,)).std(0) > 0).all()


def test_its_best_member_is_not_looked_for_among_gaussians_with_a_mean() -> None:
    assert location_scale(VariancePosterior(5, 4)(torch.randn(3, 4))) is None
