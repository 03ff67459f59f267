"""Vector quantisation: nearest entries, straight-through gradients, probabilities and the bound."""

import itertools
import math

import pytest
import torch
from torch import Tensor
from vaebench_plugins.vq import VectorQuantised, coded, quantisation

from vaebench.evaluation import ais
from vaebench.models.draw import Draw, draw


def posterior(entries: int = 3) -> VectorQuantised:
    torch.manual_seed(0)
    made = VectorQuantised(4, 5, entries=entries, piece=2)
    with torch.no_grad():
        made.logits.normal_()
    return made


def vectors(made: VectorQuantised) -> Tensor:
    """All K² vectors (K², 4)."""
    one, two = made.books.detach()
    return torch.stack([torch.cat(pair) for pair in itertools.product(one, two)])


def log_px(z: Tensor) -> Tensor:
    return -(z - 0.5).square().sum(-1)


def table(made: VectorQuantised, h: Tensor) -> Draw:
    return draw(made(h), made.prior(), log_px, 1)


def test_pieces_become_the_nearest_entries_to_the_last_digit() -> None:
    made, h = posterior(), 5 * torch.randn(50, 5)
    z, all_ = made(h).rsample(), vectors(made)
    distance = (made.head(h)[:, None] - all_).square().sum(-1)
    assert torch.equal(z, all_[distance.argmin(-1)])
    assert made.prior().support.check(z).all()
    assert not made.prior().support.check(z + 1e-6).any()


def test_the_decoder_s_gradient_goes_straight_to_the_pieces() -> None:
    made, h = posterior(), torch.randn(6, 5)
    found = table(made, h)
    found.log_px.sum().backward()
    slope = -2 * (found.z[0].detach() - 0.5)
    torch.testing.assert_close(made.head.weight.grad, slope.T @ h)
    assert made.books.grad is None


def test_entries_and_pieces_go_to_each_other() -> None:
    made, h = posterior(), torch.randn(6, 5)
    found = table(made, h)
    off = (made.head(h) - found.z[0]).square().sum(-1)
    torch.testing.assert_close(quantisation(found, commitment=0.25), 1.25 * off)
    at_pieces, at_books = torch.autograd.grad(
        quantisation(found, commitment=0.25).sum(), [made.head.bias, made.books]
    )
    torch.testing.assert_close(at_pieces, 0.5 * (made.head(h) - found.z[0]).sum(0))
    torch.testing.assert_close(at_books.sum(1).flatten(), -4 * at_pieces)


def test_probabilities_sum_to_one_and_draws_follow_them() -> None:
    made = posterior()
    p, all_ = made.prior(), vectors(made)
    chances = p.log_prob(all_).exp()
    assert chances.sum().item() == pytest.approx(1, abs=1e-6)
    z = p.sample((20_000,))
    share = (z[:, None] == all_).all(-1).double().mean(0)
    error = (chances * (1 - chances) / 20_000).sqrt()
    assert ((share - chances).abs() < 4 * error).all()
    assert (p.log_prob(z + 0.01) == -math.inf).all()


def test_the_value_is_below_the_evidence_which_is_a_sum() -> None:
    made, h = posterior(), torch.randn(40, 5)
    value = coded(table(made, h))
    all_ = vectors(made)
    exact = (log_px(all_) + made.prior().log_prob(all_)).logsumexp(0)
    assert (value < exact).all()
    posterior_mass = (value.unique() - exact).exp()
    assert posterior_mass.sum() < 1 + 1e-5
    with torch.no_grad():
        made.logits.zero_()
    uniform = table(made, h)
    torch.testing.assert_close(uniform.log_pz[0], torch.full((40,), -2 * math.log(3)))


def test_learned_probabilities_are_those_of_use() -> None:
    made, h = posterior(), torch.randn(200, 5)
    optimiser = torch.optim.Adam([made.logits], 0.5)
    for _ in range(100):
        optimiser.zero_grad()
        (-coded(table(made, h)).mean()).backward()
        optimiser.step()
    z = made(h).mean.unflatten(-1, (2, 2))
    used = (z[:, :, None] == made.books).all(-1).double().mean(0)
    torch.testing.assert_close(made.logits.softmax(-1).double(), used, rtol=0, atol=5e-3)


def test_annealing_says_that_codes_are_discrete() -> None:
    with pytest.raises(ValueError, match="discrete"):
        ais(log_px, posterior().prior(), batch=1)


def test_sizes_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="multiple of piece"):
        VectorQuantised(5, 3)
    with pytest.raises(ValueError, match="entries >= 1"):
        VectorQuantised(4, 3, entries=0)
