"""What annealed importance sampling promises besides the right number."""

import os
import shutil
from functools import cache, partial

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import (
    Distribution,
    Independent,
    MultivariateNormal,
    Normal,
    TransformedDistribution,
)
from torch.distributions.transforms import ExpTransform

from tests.evaluation.models import LinearGaussian, LogLikelihood, normal_log_density, standard
from vaebench.evaluation import ais
from vaebench.evaluation.annealing import kernels
from vaebench.evaluation.annealing.estimate import Estimate

F64 = torch.float64


@pytest.fixture(scope="module")
def curved() -> LogLikelihood:
    """Six images of a decoder that is not linear, eight latents."""
    generator = torch.Generator().manual_seed(3)
    w = 0.5 * torch.randn(8, 30, generator=generator, dtype=F64)
    x = (torch.randn(6, 8, generator=generator, dtype=F64) @ w).tanh()
    return LogLikelihood(x, lambda x, z: normal_log_density(x - (z @ w).tanh(), 0.3))


def same(one: Estimate, other: Estimate, tolerance: float) -> None:
    torch.testing.assert_close(one.log_weights, other.log_weights, rtol=0, atol=tolerance)
    assert torch.equal(one.evaluations, other.evaluations)


def test_shapes_and_counts(curved: LogLikelihood) -> None:
    found = ais(curved, standard(8), batch=6, chains=5, steps=20)
    assert found.log_weights.shape == (5, 6) and found.log_weights.dtype == F64
    for values in (found.log_likelihood, found.se, found.ess, found.acceptance, found.trusted):
        assert values.shape == (6,)
    assert ((found.ess >= 1) & (found.ess <= 5)).all()
    assert (found.evaluations - found.pilot_evaluations == 5 * 20).all()
    assert (found.steps == 20).all()
    mean = found.log_weights.exp().mean(0).log()
    torch.testing.assert_close(found.log_likelihood, mean)


@pytest.mark.parametrize("kernel", ["hmc", "hais"])
def test_same_seed_same_bits(curved: LogLikelihood, kernel: str) -> None:
    runs = [ais(curved, standard(8), batch=6, seed=s, steps=9, kernel=kernel) for s in (1, 1, 2)]
    assert torch.equal(runs[0].log_weights, runs[1].log_weights)
    assert not torch.equal(runs[0].log_weights, runs[2].log_weights)


def test_global_random_state_is_left_alone(curved: LogLikelihood) -> None:
    q = Independent(Normal(torch.zeros(6, 8, dtype=F64), torch.ones(6, 8, dtype=F64)), 1)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    one = ais(curved, standard(8), batch=6, steps=3, proposal=q)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    same(one, ais(curved, standard(8), batch=6, steps=3, proposal=q), 0)


@pytest.mark.parametrize("start", ["laplace", "prior"])
def test_chunks_do_not_matter(curved: LogLikelihood, start: str) -> None:
    whole = ais(curved, standard(8), batch=6, start=start, budget=1500)
    for chunk in (1, 4):
        same(whole, ais(curved, standard(8), batch=6, start=start, budget=1500, chunk=chunk), 1e-6)
    same(whole, ais(curved, standard(8), batch=6, start=start, budget=1500, memory=1.0), 1e-6)


def test_images_that_cannot_be_taken_apart(curved: LogLikelihood) -> None:
    asked = []

    def together(z: Tensor) -> Tensor:
        asked.append(z.shape[1])
        return curved(z)

    found = ais(together, standard(8), batch=6, chunk=2)
    assert set(asked) == {6}
    assert len(found.steps.unique()) == 1
    apart = ais(curved, standard(8), batch=6)
    assert ((found.log_likelihood - apart.log_likelihood).abs() < 0.3).all()


def test_order_of_images_does_not_matter(curved: LogLikelihood) -> None:
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    one = ais(curved, standard(8), batch=6, chains=64, steps=60)
    other = ais(curved.subset(order), standard(8), batch=6, chains=64, steps=60)
    error = 5 * (one.se[order].square() + other.se.square()).sqrt()
    assert ((one.log_likelihood[order] - other.log_likelihood).abs() < error).all()


def test_float32_decoder_agrees_with_float64() -> None:
    model = LinearGaussian(10, 200, sigma=0.1)
    x = model.images(6)
    w = model.w.float()
    narrow = LogLikelihood(x.float(), lambda x, z: normal_log_density(x - z @ w, model.sigma))
    single = ais(narrow, standard(10, torch.float32), batch=6)
    double = ais(model.log_likelihood(x), standard(10), batch=6)
    assert single.log_likelihood.dtype == F64
    truth = model.log_evidence(x)
    for found in (single, double):
        assert ((found.log_likelihood - truth).abs() < 0.05).all()


def test_one_chain_of_one_step(curved: LogLikelihood) -> None:
    found = ais(curved, standard(8), batch=6, chains=1, steps=1)
    assert found.log_likelihood.isfinite().all() and found.log_weights.shape == (1, 6)
    assert not found.trusted.any() and found.warnings


def test_precision_is_full_inside_and_as_before_outside() -> None:
    seen = []

    def density(x: Tensor, z: Tensor) -> Tensor:
        seen.append((torch.get_float32_matmul_precision(), torch.is_autocast_enabled("cpu")))
        return normal_log_density(x - z @ torch.ones(2, 3), 1.0)

    likelihood = LogLikelihood(torch.zeros(1, 3), density)
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", torch.bfloat16):
            ais(likelihood, standard(2, torch.float32), batch=1, steps=1)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert set(seen) == {("highest", False)}


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_decoder_is_left_without_gradients(mode) -> None:
    decoder = nn.Linear(2, 3)
    x = torch.zeros(1, 3)
    with mode():
        found = ais(
            lambda z: normal_log_density(x - decoder(z), 1.0),
            standard(2, torch.float32),
            batch=1,
            steps=2,
        )
    assert decoder.weight.grad is None and not found.log_likelihood.requires_grad


def test_resampling_stays_unbiased() -> None:
    model = LinearGaussian(3, 8, sigma=0.5)
    x = model.images(4)
    found = ais(
        model.log_likelihood(x),
        standard(3),
        batch=4,
        start="prior",
        chains=20_000,
        steps=8,
        resample=True,
    )
    assert ((found.log_likelihood - model.log_evidence(x)).abs() < 0.1).all()


def test_the_estimating_run_adapts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Step sizes are the pilot's, whatever is accepted on the way."""
    from vaebench.evaluation.annealing import chains
    from vaebench.evaluation.annealing.kernels import Kernel

    used: list[Tensor] = []
    move, run = Kernel.move, chains.run

    def watched_move(self, path, state, beta, step, noise):
        used.append(step)
        return move(self, path, state, beta, step, noise)

    def watched_run(path, state, kernel, betas, log_steps, streams, **options):
        used.clear()
        found = run(path, state, kernel, betas, log_steps, streams, **options)
        assert torch.equal(torch.stack(used), log_steps.exp())
        assert (betas[0] == 0).all() and (betas[-1] == 1).all()
        assert (betas.diff(dim=0) > 0).all()
        return found

    monkeypatch.setattr(Kernel, "move", watched_move)
    monkeypatch.setattr("vaebench.evaluation.annealing.ais.run", watched_run)
    model = LinearGaussian(3, 8, sigma=0.5)
    ais(model.log_likelihood(model.images(4)), standard(3), batch=4, steps=30)
    assert len(used) == 29


@pytest.mark.parametrize("schedule", ["speed", "sigmoid", "linear"])
def test_schedules(curved: LogLikelihood, schedule: str) -> None:
    found = ais(curved, standard(8), batch=6, schedule=schedule, steps=60)
    reference = ais(curved, standard(8), batch=6, seed=1, steps=200)
    assert ((found.log_likelihood - reference.log_likelihood).abs() < 0.5).all()


def test_a_smaller_target_takes_more_and_gives_less_error(curved: LogLikelihood) -> None:
    loose = ais(curved, standard(8), batch=6, target=0.2)
    tight = ais(curved, standard(8), batch=6, target=0.02, budget=100_000)
    assert (tight.steps > 4 * loose.steps).all()
    assert tight.se.mean() < 0.5 * loose.se.mean()
    assert tight.se.mean() < 0.03


def test_priors_by_map(curved: LogLikelihood) -> None:
    """A correlated normal prior and a log-normal one through their own maps."""
    scale = torch.tensor([[1.0, 0.0], [0.7, 0.5]], dtype=F64)
    loc = torch.tensor([1.0, -1.0], dtype=F64)
    prior = MultivariateNormal(loc, scale_tril=scale)
    x = torch.tensor([[0.3, 0.2]], dtype=F64)
    found = ais(LogLikelihood(x, lambda x, z: normal_log_density(x - z, 0.5)), prior, batch=1)
    noise = 0.25 * torch.eye(2, dtype=F64)
    truth = MultivariateNormal(loc, scale @ scale.T + noise).log_prob(x)
    assert found.log_likelihood == pytest.approx(truth, abs=0.1)

    normal = Normal(torch.zeros(1, dtype=F64), torch.ones(1, dtype=F64))
    skew = Independent(TransformedDistribution(normal, ExpTransform()), 1)
    point = torch.tensor([[1.5]], dtype=F64)
    likelihood = LogLikelihood(point, lambda x, z: normal_log_density(x - z, 0.3))
    grid = torch.linspace(-9, 9, 40_001, dtype=F64)[:, None, None]
    values = likelihood(grid.exp()) + standard(1).log_prob(grid)
    truth = values.logsumexp(0) + grid.squeeze().diff()[0].log()
    found = ais(likelihood, skew, batch=1)
    assert found.log_likelihood == pytest.approx(truth, abs=0.1)


def test_compact_proposal(curved: LogLikelihood) -> None:
    """A proposal on a box around the wrong place says where to look and no more."""

    class Box(Distribution):
        arg_constraints = {}  # noqa: RUF012

        def __init__(self) -> None:
            super().__init__(torch.Size((6,)), torch.Size((8,)), validate_args=False)

        def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
            return 0.3 + 0.1 * torch.rand(*sample_shape, 6, 8, dtype=F64)

    reference = ais(curved, standard(8), batch=6, steps=200, chains=32)
    found = ais(curved, standard(8), batch=6, proposal=Box(), steps=200)
    assert ((found.log_likelihood - reference.log_likelihood).abs() < 0.3).all()
    assert found.trusted.all()
    literal = ais(curved, standard(8), batch=6, proposal=Box(), start="proposal", steps=200)
    assert not literal.trusted.any() and literal.warnings


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which(os.environ.get("CXX", "g++")), reason="no C++ compiler")
@pytest.mark.parametrize("kernel", ["hmc", "hais"])
def test_compiled_steps_give_the_same_weights(curved: LogLikelihood, kernel: str) -> None:
    one, other = (
        ais(curved, standard(8), batch=6, steps=20, kernel=kernel, compile=c) for c in (False, True)
    )
    same(one, other, 1e-8)


def test_traced_steps_give_the_same_weights(
    curved: LogLikelihood, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What torch.compile is given to translate, without a compiler behind it."""
    compiled = partial(torch.compile, kernels.Kernel.traced_move, backend="eager", dynamic=True)
    monkeypatch.setattr(kernels, "program", cache(compiled))
    one, other = (ais(curved, standard(8), batch=6, steps=5, compile=c) for c in (False, True))
    same(one, other, 1e-9)


def test_a_step_that_cannot_be_compiled(
    curved: LogLikelihood, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*given: object) -> None:
        raise RuntimeError("no compiler\nand much more")

    monkeypatch.setattr(kernels, "program", lambda: broken)
    with pytest.raises(ValueError, match=r"leave `compile` out: no compiler$"):
        ais(curved, standard(8), batch=6, compile=True)
