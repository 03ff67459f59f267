"""log p(x) of priors with classes, against a linear-Gaussian model for each class."""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, MultivariateNormal, Normal, OneHotCategorical

from tests.evaluation.models import LogLikelihood, normal_log_density
from vaebench import Chain
from vaebench.evaluation import ais, bdmc, importance_bound

F64 = torch.float64
CLASSES, STYLES, PIXELS, NOISE = 3, 4, 7, 0.4


class Classes:
    """x = W_y z' + b_y + noise, z' ~ N(m_y, 1), y of given probabilities."""

    def __init__(self, apart: float, seed: int = 0) -> None:
        noise = torch.Generator().manual_seed(seed)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=noise, dtype=F64)

        self.share = torch.tensor([0.5, 0.3, 0.2], dtype=F64)
        self.w = normal(STYLES, PIXELS) + apart * normal(CLASSES, STYLES, PIXELS)
        self.b, self.m = apart * normal(CLASSES, PIXELS), apart * normal(CLASSES, STYLES)
        y = torch.multinomial(self.share, 64, replacement=True, generator=noise)
        style = self.m[y] + normal(64, STYLES)
        mean = (style[:, None] @ self.w[y])[:, 0] + self.b[y]
        self.x = mean + NOISE * normal(64, PIXELS)

    def prior(self) -> Chain:
        """p(y) p(z'|y)."""
        return Chain(
            {
                "class": (CLASSES, lambda: OneHotCategorical(self.share)),
                "style": (STYLES, lambda y: Independent(Normal(y @ self.m, 1.0), 1)),
            }
        )

    def density(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x|z) (K, B)."""
        y, style = z.split([CLASSES, STYLES], -1)
        mean = torch.einsum("kby,kbs,ysp->kbp", y, style, self.w) + y @ self.b
        return normal_log_density(x - mean, NOISE)

    def log_joint(self) -> Tensor:
        """log p(x, y) (B, CLASSES)."""
        mean = (self.m[:, None] @ self.w)[:, 0] + self.b
        cov = self.w.mT @ self.w + NOISE**2 * torch.eye(PIXELS, dtype=F64)
        return MultivariateNormal(mean, cov).log_prob(self.x[:, None]) + self.share.log()

    def posterior(self) -> Chain:
        """q(y|x) q(z'|x, y), exact but twice as wide."""
        precision = self.w @ self.w.mT / NOISE**2 + torch.eye(STYLES, dtype=F64)
        covariance = precision.inverse()
        residual = self.x[:, None] - self.b
        natural = (self.w @ residual[..., None])[..., 0] / NOISE**2 + self.m
        loc = (covariance @ natural[..., None])[..., 0]

        def style(y: Tensor) -> MultivariateNormal:
            own = torch.einsum("...by,yst->...bst", y, covariance)
            return MultivariateNormal((y[..., None] * loc).sum(-2), 2 * own)

        def kind() -> OneHotCategorical:
            return OneHotCategorical(logits=self.log_joint(), validate_args=False)

        return Chain({"class": (CLASSES, kind), "style": (STYLES, style)}, (64,))


def log_likelihood(model: Classes, images: slice) -> LogLikelihood:
    return LogLikelihood(model.x[images], model.density)


@pytest.mark.parametrize("apart", [pytest.param(0.2, marks=pytest.mark.slow), 3.0])
def test_the_sum_over_classes_is_the_evidence(apart: float) -> None:
    model, some = Classes(apart), slice(12)
    joint = model.log_joint()[some]
    found = ais(log_likelihood(model, some), model.prior(), batch=12)
    off = (found.log_likelihood - joint.logsumexp(-1)).abs()
    assert (off < 5 * found.se + CLASSES * math.exp(-9)).all(), off
    largest = joint.softmax(-1).amax(-1)
    if apart > 1:
        # The others are out of reach, and cost a pilot.
        assert (largest > 1 - 1e-4).sum() > 8
        run = found.evaluations - found.pilot_evaluations
        assert (run[largest > 1 - 1e-4] <= 6000).all()
    else:
        assert (largest < 0.9).sum() > 4


@pytest.mark.slow
def test_images_need_not_be_taken_apart() -> None:
    model, some, wish = Classes(1.0), slice(2), {"batch": 2, "steps": 10, "chains": 4}
    whole = log_likelihood(model, some)
    wanted = ais(whole, model.prior(), **wish)
    for density, chunk in ((whole, 2), (lambda z: whole(z), None)):
        found = ais(density, model.prior(), chunk=chunk, **wish)
        torch.testing.assert_close(found.log_likelihood, wanted.log_likelihood, rtol=0, atol=1e-3)
        assert found.log_weights.shape == (4, 2) and found.signs.modes.shape == (2,)


def test_doubts_about_a_class_that_counts_are_those_of_the_sum() -> None:
    model, some = Classes(0.2), slice(6)
    found = ais(log_likelihood(model, some), model.prior(), batch=6, steps=1, start="prior")
    assert not found.trusted.all()


def test_there_is_no_bracket_over_classes() -> None:
    with pytest.raises(ValueError, match="classes"):
        bdmc(lambda z: lambda z: z[..., 0], Classes(1.0).prior(), batch=2)


def test_the_bound_of_stratified_and_of_independent_draws() -> None:
    """L_K with q twice as wide as the posterior comes close to log p(x) from below."""
    model = Classes(0.2)
    truth = model.log_joint().logsumexp(-1)
    q, p = model.posterior(), model.prior()
    off = importance_bound(log_likelihood(model, slice(None)), p, q, samples=2000) - truth
    assert off.abs().max() < 0.2 and abs(off.mean()) < 4 * off.std() / 8 + 0.01
