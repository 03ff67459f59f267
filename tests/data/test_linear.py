"""The exact density of linear-Gaussian sets against quadrature over the code of a set."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.distributions import MultivariateNormal

from vaebench.data.images import Request
from vaebench.data.linear import CODE, NOISE, A, W, drawn, law, log_prob
from vaebench.errors import UserError
from vaebench.registry.lookup import load


def read(name):
    return load(name, Request(Path("nowhere")))


def test_log_p_of_a_set_is_that_by_quadrature():
    x = drawn(np.random.default_rng(0), 3, 5).double()
    points, weights = np.polynomial.hermite_e.hermegauss(160)
    nodes = torch.from_numpy(np.stack(np.meshgrid(points, points), -1).reshape(-1, 2))
    log_w = torch.from_numpy(np.log(np.outer(weights, weights) / (2 * math.pi)).ravel())
    element = MultivariateNormal(nodes @ A.T @ W.T, CODE * W @ W.T + NOISE * torch.eye(4).double())
    each = element.log_prob(x.flatten(2)[:, :, None]).sum(1)
    torch.testing.assert_close(log_prob(x), (log_w + each).logsumexp(1), rtol=0, atol=1e-6)


def test_draws_have_the_entropy_that_the_note_says():
    found = read("linear[kind=sets]")
    nats = -log_prob(found.test.pixels)
    assert f"{law(5).entropy().item():.4f}" in found.notes[0]
    assert abs(nats.mean() - law(5).entropy()) < 4 * nats.std() / len(nats) ** 0.5
    assert found.log_prob is log_prob and found.shape == (5, 1, 1, 4)
    assert found.members == found.elements == 5


def test_the_order_of_elements_changes_nothing():
    x = drawn(np.random.default_rng(1), 4, 5)
    torch.testing.assert_close(log_prob(x), log_prob(x[:, [3, 0, 4, 1, 2]]))


def test_options_choose_sets_and_leave_the_others_as_they_are():
    one, more = read("linear"), read("linear[items=50,elements=5]")
    assert torch.equal(one.test.pixels, more.test.pixels) and len(more.train) == 50
    assert not torch.equal(read("linear[subset=1]").test.pixels, one.test.pixels)
    assert read("linear[elements=2]").shape == (2, 1, 1, 4)
    for name in (
        "linear[kind=trees]",
        "linear[items=0]",
        "linear[elements=0]",
        "linear[subset=-1]",
    ):
        with pytest.raises(UserError):
            read(name)
