"""A prior that is a point leaves nothing to integrate."""

import pytest
import torch
from torch import Tensor
from vaebench_plugins.none import Nothing

from vaebench.evaluation import ais, bdmc

D, PLACES = 3, torch.tensor([[0.3, -1.0], [2.0, 0.1], [0.0, 5.0]])


def model(z: Tensor) -> Tensor:
    """log N(x; z, 1) but for a constant, of three items."""
    return -0.5 * (PLACES - z[..., :2]).square().sum(-1)


@pytest.mark.parametrize("told", ["nothing", "q", "prior"])
def test_log_likelihood_is_that_of_the_point(told):
    p = Nothing(torch.zeros(D))
    proposal = {"nothing": None, "q": Nothing(torch.zeros(3, D)), "prior": "prior"}[told]
    found = ais(model, p, batch=3, proposal=proposal)
    assert torch.equal(found.log_likelihood, model(torch.zeros(1, 3, D))[0].double())
    assert found.trusted.all() and not found.se.any() and not found.warnings
    assert (found.ess == 16).all() and (found.evaluations == 1).all()


def test_the_bracket_is_closed():
    found = bdmc(lambda z: lambda u: model(u), Nothing(torch.zeros(D)), batch=3)
    assert not found.gap.any() and found.mean_gap_se == 0


def test_what_is_not_finite_there_is_refused():
    with pytest.raises(ValueError, match="only value"):
        ais(lambda z: torch.full(z.shape[:2], -torch.inf), Nothing(torch.zeros(D)), batch=3)
