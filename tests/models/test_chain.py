"""Chains of conditionals: densities, draws, rates, and two levels whose evidence is known."""

import math

import pytest
import torch
from torch import Tensor
from torch.autograd.functional import jacobian
from torch.distributions import (
    Bernoulli,
    Categorical,
    Independent,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    Poisson,
    StudentT,
    Uniform,
)

from vaebench import Chain, elbo, iwae
from vaebench.evaluation import ais
from vaebench.evaluation.annealing.latent_space import OwnCoordinates, latent_space
from vaebench.models.distributions import inside
from vaebench.models.draw import Draw, draw

# z2 ~ N(0, I), z1 | z2 ~ N(A z2, I / 2), x | z1 ~ N(W z1, I / 4).
A = torch.tensor([[1.0, 0.5], [0.0, 1.0]], dtype=torch.float64)
W = torch.tensor([[1.0, 0.0], [0.5, 1.0], [0.0, 2.0]], dtype=torch.float64)
X = torch.tensor([1.0, -1.0, 2.0], dtype=torch.float64)
EVIDENCE, RATES = -11.919124640, {"z2": 0.448266539, "z1": 1.535603158}


def eye(size: int) -> Tensor:
    return torch.eye(size, dtype=torch.float64)


def normal(mean: Tensor, variance: Tensor) -> MultivariateNormal:
    return MultivariateNormal(mean, variance, validate_args=False)


def independent(law):
    return Independent(law, 1, validate_args=False)


def two_levels() -> Chain:
    def below(z2: Tensor) -> MultivariateNormal:
        return normal(z2 @ A.T, eye(2) / 2)

    return Chain({"z2": (2, lambda: normal(torch.zeros(2).double(), eye(2))), "z1": (2, below)})


def exact_posterior(batch: int = 3) -> Chain:
    """q(z2|x) q(z1|x, z2), by conditioning Gaussians."""
    of_x = W @ (A @ A.T + eye(2) / 2) @ W.T + eye(3) / 4
    gain = A.T @ W.T @ torch.linalg.inv(of_x)
    variance = torch.linalg.inv(2 * eye(2) + 4 * W.T @ W)

    def below(z2: Tensor) -> MultivariateNormal:
        return normal((2 * z2 @ A.T + 4 * X @ W) @ variance, variance)

    def top() -> MultivariateNormal:
        return normal((gain @ X).expand(batch, 2), eye(2) - gain @ W @ A)

    return Chain({"z2": (2, top), "z1": (2, below)}, (batch,))


def log_px(z: Tensor) -> Tensor:
    return normal(z[..., 2:] @ W.T, eye(3) / 4).log_prob(X)


def exact_draw(samples: int = 64) -> Draw:
    torch.manual_seed(0)
    return draw(exact_posterior(), two_levels(), log_px, samples)


def test_every_weight_of_the_exact_posterior_is_the_evidence():
    made = exact_draw()
    assert made.z.shape == (64, 3, 4)
    assert (made.log_w - EVIDENCE).abs().max() < 1e-9
    assert (made.log_w - made.log_w[0, 0]).abs().max() < 1e-12
    torch.testing.assert_close(iwae(made), made.log_w[0], atol=1e-12, rtol=0)


def test_the_evidence_is_that_of_the_marginal_gaussian():
    of_x = W @ (A @ A.T + eye(2) / 2) @ W.T + eye(3) / 4
    found = normal(torch.zeros(3).double(), of_x).log_prob(X).item()
    assert found == pytest.approx(EVIDENCE, abs=1e-9)


def test_rates_of_the_exact_posterior():
    made = exact_draw(20_000)
    rates = made.rates
    assert list(rates) == ["z2", "z1"]
    assert all(rate.shape == (20_000, 3) for rate in rates.values())
    assert (rates["z2"] - RATES["z2"]).abs().max() < 1e-9
    for name, rate in rates.items():
        se = rate.std().item() / math.sqrt(rate.numel())
        assert abs(rate.mean().item() - RATES[name]) < 4 * se + 1e-9
    torch.testing.assert_close(made.kl, sum(rates.values()).mean(0))
    torch.testing.assert_close(elbo(made), made.log_px.mean(0) - made.kl)


def test_the_rate_of_the_lower_level_by_its_expectation():
    """KL(z1|z2) is quadratic in z2: its mean over q(z2|x) is exact from mean and covariance."""
    q, p = exact_posterior(1), two_levels()
    top = q.at(torch.zeros(1, 4).double())["z2"]
    root = torch.linalg.cholesky(top.covariance_matrix[0]) * math.sqrt(2)
    nodes = top.mean[0] + torch.cat([root.T, -root.T])  # the second moments of q(z2|x)
    z = torch.cat([nodes, torch.zeros(4, 2).double()], -1)[:, None]
    below = draw(q, p, log_px, 1)._replace(z=z, log_qz=torch.zeros(4, 1)).rates["z1"]
    assert below.mean().item() == pytest.approx(RATES["z1"], abs=1e-9)


def test_rates_follow_the_weight_of_the_kl():
    made = exact_draw()
    half = made._replace(kl_weight=0.5)
    for name, rate in made.rates.items():
        torch.testing.assert_close(half.rates[name], rate / 2)
    torch.testing.assert_close(half.kl, made.kl / 2)


def test_log_prob_is_that_of_the_joint_gaussian():
    top, low = eye(2), A @ A.T + eye(2) / 2
    joint = torch.cat([torch.cat([top, A.T], 1), torch.cat([A, low], 1)])
    z = torch.randn(5, 4).double()
    expected = normal(torch.zeros(4).double(), joint).log_prob(z)
    torch.testing.assert_close(two_levels().log_prob(z), expected)
    slope = jacobian(two_levels().from_normal, torch.zeros(4).double())
    torch.testing.assert_close(slope @ slope.T, joint)


def test_draws_have_the_moments_of_the_joint_gaussian():
    torch.manual_seed(1)
    for z in (two_levels().rsample((40_000,)), two_levels().sample((40_000,))):
        found = z.T @ z / len(z)
        joint = torch.cat([torch.cat([eye(2), A.T], 1), torch.cat([A, A @ A.T + eye(2) / 2], 1)])
        assert (found - joint).abs().max() < 5 * 2.3 * math.sqrt(2 / len(z))


def test_annealing_finds_the_evidence_of_two_levels():
    found = ais(log_px, two_levels(), batch=2, proposal=exact_posterior(2), seed=3)
    assert found.trusted.all()
    assert ((found.log_likelihood - EVIDENCE).abs() < 4 * found.se + 0.02).all()


def test_annealing_takes_a_chain_for_each_image():
    shift = torch.tensor([0.0, 1.0]).double()[:, None]

    def below(z2: Tensor) -> Independent:
        return independent(Normal(z2 + shift, 0.5))

    p = Chain({"z2": (1, lambda: independent(Normal(shift, 1.0))), "z1": (1, below)}, (2,))
    assert p.sample((7,)).shape == (7, 2, 2)
    found = ais(lambda z: Normal(z[..., 1], 1.0).log_prob(shift[:, 0]), p, batch=2, seed=1)
    expected = Normal(2 * shift[:, 0], 1.5).log_prob(shift[:, 0])
    assert ((found.log_likelihood - expected).abs() < 4 * found.se + 0.02).all()


def heavy() -> Chain:
    def below(z2: Tensor) -> Independent:
        return independent(Normal(z2, 1.0))

    zero = torch.zeros(1).double()
    return Chain({"z2": (1, lambda: independent(StudentT(5.0, zero, 1.0))), "z1": (1, below)})


def test_annealing_does_without_a_map_from_normals():
    with pytest.raises(NotImplementedError):
        heavy().from_normal(torch.zeros(2).double())
    assert isinstance(latent_space(heavy()), OwnCoordinates)


def test_support_is_what_the_laws_allow():
    def box(a: Tensor) -> Independent:
        return independent(Uniform(a, a + 1, validate_args=False))

    boxed = Chain({"a": (1, lambda: independent(Normal(torch.zeros(1), 1.0))), "b": (1, box)})
    z = torch.tensor([[0.0, 0.5], [0.0, 1.5], [3.0, 3.2]])
    assert inside(boxed, z).tolist() == [True, False, True]
    assert not boxed.support.is_discrete
    u = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
    assert inside(boxed, boxed.from_normal(u)).all()

    def counts(a: Tensor) -> Independent:
        return independent(Poisson(a.exp(), validate_args=False))

    counted = Chain({"a": (1, lambda: independent(Normal(torch.zeros(1), 1.0))), "b": (1, counts)})
    assert counted.support.is_discrete
    with pytest.raises(ValueError, match="discrete"):
        latent_space(counted)


def test_what_the_support_is_takes_no_random_numbers():
    torch.manual_seed(2)
    expected = torch.rand(3)
    torch.manual_seed(2)
    assert two_levels().support is heavy().support
    assert torch.equal(torch.rand(3), expected)


def test_blocks_that_do_not_depend_on_each_other():
    loc = torch.tensor([[0.0], [5.0]])

    def apart(*_: Tensor) -> Independent:
        return independent(Normal(loc, 1.0))

    q = Chain({"a": (1, apart), "b": (1, apart)}, (2,))
    whole = independent(Normal(loc.expand(2, 2), 1.0))
    z = q.rsample((4,))
    assert z.shape == (4, 2, 2) and (z[..., 0] != z[..., 1]).all()
    torch.testing.assert_close(q.log_prob(z), whole.log_prob(z))
    assert q.expand((3, 2)).rsample().shape == (3, 2, 2)


def test_one_block_tells_its_moments():
    law = independent(Normal(torch.tensor([[1.0, 2.0]]), 3.0))
    one = Chain({"z": (2, lambda: law)}, (1,))
    assert torch.equal(one.mean, law.mean) and torch.equal(one.variance, law.variance)
    with pytest.raises(NotImplementedError):
        _ = two_levels().mean


def test_a_mixture_of_chains():
    q = exact_posterior(3)
    mixture = MixtureSameFamily(Categorical(torch.ones(3)), q, validate_args=False)
    z = mixture.sample((5,))
    torch.testing.assert_close(mixture.log_prob(z), q.log_prob(z[:, None])[:, 0])


def test_other_distributions_are_one_block():
    q = independent(Normal(torch.randn(3, 2), 0.5))
    p = independent(Normal(torch.zeros(2), 1.0))
    made = draw(q, p, lambda z: -z.square().sum(-1), 5)
    assert list(made.rates) == ["z"] and made.rates["z"].shape == (5, 3)
    torch.testing.assert_close(made.rate.mean(0), made.kl)
    heavier = draw(independent(StudentT(5.0, torch.randn(3, 2), 0.5)), p, made.p.log_prob, 5)
    assert torch.equal(heavier.rates["z"], heavier.log_qz - heavier.log_pz)
    chained = draw(exact_posterior(), normal(torch.zeros(4).double(), eye(4)), log_px, 5)
    assert torch.equal(chained.rates["z"], chained.log_qz - chained.log_pz)


def test_a_block_without_a_density_has_no_rate():
    class Implicit(Normal):
        def log_prob(self, value: Tensor) -> Tensor:
            raise NotImplementedError

    q = Chain({"z": (1, lambda: independent(Implicit(torch.zeros(2, 1), 1.0)))}, (2,))
    p = Chain({"z": (1, lambda: independent(StudentT(5.0, torch.zeros(1), 1.0)))})
    made = draw(q, p, lambda z: z.sum(-1), 3)
    assert made.log_qz.isnan().all() and made.kl.isnan().all()


def test_what_is_no_chain_is_refused():
    with pytest.raises(ValueError, match="one dimension or more"):
        Chain({})
    with pytest.raises(ValueError, match="one dimension or more"):
        Chain({"a": (0, lambda: independent(Normal(torch.zeros(1), 1.0)))})
    wrong = Chain({"a": (2, lambda: Bernoulli(torch.ones(2) / 2))})
    with pytest.raises(ValueError, match=r"block 'a' has event shape \(\): it has to be \(2,\)"):
        wrong.rsample()


def test_annealing_takes_a_mixture_at_the_top():
    centres = torch.tensor([[-2.0], [0.0], [2.0]]).double()
    each = independent(Normal(centres, 0.5))
    mixture = MixtureSameFamily(Categorical(torch.ones(3).double()), each, validate_args=False)

    def below(z2: Tensor) -> Independent:
        return independent(Normal(z2, 0.5))

    p = Chain({"z2": (1, lambda: mixture), "z1": (1, below)})
    x = torch.tensor([1.0, -0.3]).double()
    found = ais(lambda z: Normal(z[..., 1], 0.5).log_prob(x), p, batch=2, seed=0)
    expected = Normal(centres, math.sqrt(0.75)).log_prob(x).logsumexp(0) - math.log(3)
    assert ((found.log_likelihood - expected).abs() < 4 * found.se + 0.02).all()
