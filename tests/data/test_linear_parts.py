"""The exact densities of linear-Gaussian parts against quadrature over the shared code."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.distributions import Independent, Normal

from vaebench.data.images import Request
from vaebench.data.linear_parts import LEAST, MOST, Model
from vaebench.errors import UserError
from vaebench.registry.lookup import load


def read(name):
    return load(name, Request(Path("nowhere")))


def flat(parts):
    return torch.cat([part.flatten(1) for part in parts.values()], 1)


@pytest.mark.parametrize("only", [None, ["part2"], ["part3", "part1"]])
def test_log_p_of_any_parts_is_that_by_quadrature(only):
    model = Model(3, 1, 0, 0)
    x = model.drawn(np.random.default_rng(0), 3)
    points, weights = np.polynomial.hermite_e.hermegauss(160)
    log_w = torch.from_numpy(np.log(weights / math.sqrt(2 * math.pi)))
    total = 0.0
    for name in only or model.weights:
        mean = torch.from_numpy(points)[:, None] @ model.weights[name].T + model.offsets[name]
        law = Independent(Normal(mean[:, None], 1.0), 1)
        total = total + law.log_prob(x[name].double().flatten(1))
    truth = (total + log_w[:, None]).logsumexp(0)
    torch.testing.assert_close(model.log_prob(flat(x), only), truth, rtol=0, atol=1e-6)


def test_private_codes_are_of_one_part_alone():
    model = Model(2, 2, 3, 1)
    law = model.law()
    sizes = [len(weight) for weight in model.weights.values()]
    cross = law.covariance_matrix[: sizes[0], sizes[0] :]
    first, second = model.weights.values()
    torch.testing.assert_close(cross, first[:, :2] @ second[:, :2].T)
    for weight in model.weights.values():
        torch.testing.assert_close(weight[:, 2:].T @ weight[:, 2:], torch.eye(3).double())
        torch.testing.assert_close(weight[:, :2].T @ weight[:, :2], torch.eye(2).double())


def test_draws_have_the_entropy_that_the_note_says():
    found = read("linear[kind=parts,items=10]")
    nats = -found.log_prob(found.test.stored)
    entropy = float(found.notes[0].split(" has ")[1].split()[0])
    assert abs(nats.mean() - entropy) < 4 * nats.std() / len(nats) ** 0.5
    assert all(LEAST <= form.size <= MOST for form in found.layout.forms.values())


def test_options_choose_the_problem_and_leave_held_out_items_as_they_are():
    one, more = read("linear[kind=parts]"), read("linear[items=50,kind=parts]")
    assert len(one.parts) == 5 and len(more.train) == 50
    assert torch.equal(one.test.stored, more.test.stored)
    other = read("linear[kind=parts,subset=1,items=50]")
    assert other.shape != one.shape or not torch.equal(other.test.stored, one.test.stored)
    for option in ("parts=0", "shared=0", "private=-1", "items=0", "subset=-1"):
        with pytest.raises(UserError):
            read(f"linear[kind=parts,{option}]")
