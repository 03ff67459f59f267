"""DIP-VAE: covariances over a batch against torch.cov, and the penalty by hand."""

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, Normal
from vaebench_plugins.dip import covariance, moments

from vaebench.models.draw import Draw, draw


def table(loc: Tensor, scale: Tensor) -> Draw:
    p = Independent(Normal(loc.new_zeros(loc.shape[-1]), 1.0), 1)
    return draw(Independent(Normal(loc, scale), 1), p, lambda z: -z.square().sum(-1), 1)


def some(batch: int = 8) -> Draw:
    torch.manual_seed(0)
    loc = torch.randn(batch, 3, dtype=torch.float64)
    return table(loc, torch.rand_like(loc) + 0.2)


def test_of_means_and_of_codes():
    q = some()
    torch.testing.assert_close(covariance(q, "i"), q.q.mean.T.cov())
    whole = q.q.mean.T.cov() + q.q.variance.mean(0).diag()
    torch.testing.assert_close(covariance(q, "ii"), whole)


def test_the_covariance_of_codes_is_that_of_their_draws():
    torch.manual_seed(1)
    mean, scale = torch.randn(8, 3, dtype=torch.float64), torch.tensor([0.3, 0.5, 2.0]).double()
    many = table(mean.repeat(20_000, 1), scale.expand(160_000, 3))
    torch.testing.assert_close(covariance(many), many.z[0].T.cov(), rtol=0.02, atol=0.02)


def test_penalty_by_hand():
    loc = torch.tensor([[1.0, 1.0], [-1.0, -1.0], [1.0, 0.0], [-1.0, 0.0]]).double()
    q = table(loc, torch.ones(4, 2).double())
    off, first, second = 2 / 3, 4 / 3, 2 / 3
    by_hand = 5 * 2 * off**2 + 7 * (first**2 + second**2)
    assert moments(q, "ii", 5.0, 7.0).tolist() == pytest.approx([by_hand] * 4)
    by_hand = 5 * 2 * off**2 + 7 * ((first - 1) ** 2 + (second - 1) ** 2)
    assert moments(q, "i", 5.0, 7.0).tolist() == pytest.approx([by_hand] * 4)
    half = moments(q._replace(kl_weight=0.5), "i", 5.0, 7.0)
    assert half.tolist() == pytest.approx([by_hand / 2] * 4)


def test_what_has_no_covariance_is_refused():
    with pytest.raises(ValueError, match="batches of two or more"):
        moments(some(1))
    with pytest.raises(ValueError, match="i or ii"):
        moments(some(), "iii")
