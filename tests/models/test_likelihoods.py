import math

import pytest
import torch
from scipy import integrate, stats

from vaebench.compute.random import generator
from vaebench.errors import UserError
from vaebench.models.likelihoods import LIKELIHOODS, grey, likelihood


@pytest.fixture
def pixels():
    return torch.randint(0, 17, (6, 1, 4, 4), generator=generator(0, "pixels")).byte()


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_sums_over_pixels_and_broadcasts_over_draws(name, pixels):
    model = likelihood(name, 17)
    x = model.observe(pixels, generator(0, "x"))
    output = torch.randn(3, 6, 1, 4, 4, generator=generator(0, "output"))
    whole = model.log_prob(output, x)
    assert whole.shape == (3, 6)
    alone = model.log_prob(output[1, 2, :, :1, :1], x[2, :, :1, :1])
    rest = [
        model.log_prob(output[1, 2, :, i : i + 1, j : j + 1], x[2, :, i : i + 1, j : j + 1])
        for i in range(4)
        for j in range(4)
    ]
    torch.testing.assert_close(whole[1, 2], sum(rest))
    torch.testing.assert_close(rest[0], alone)


@pytest.mark.parametrize("output", [-3.0, 0.0, 1.5])
def test_bernoulli_is_torchs(output):
    logits = torch.full((1, 1, 1), output)
    for bit in (0.0, 1.0):
        expected = torch.distributions.Bernoulli(logits=torch.tensor(output)).log_prob(
            torch.tensor(bit)
        )
        found = likelihood("bernoulli", 2).log_prob(logits, torch.full((1, 1, 1, 1), bit))
        torch.testing.assert_close(found[0], expected)


@pytest.mark.parametrize(("name", "family"), [("gaussian", stats.norm), ("laplace", stats.laplace)])
def test_densities_are_scipys_and_integrate_to_one(name, family):
    model = likelihood(f"{name}[scale=0.3]", 256).double()
    output = torch.full((1, 1, 1), 0.4, dtype=torch.double)

    def log_density(x):
        return model.log_prob(output, torch.full((1, 1, 1, 1), x, dtype=torch.double)).item()

    for x in (-0.5, 0.4, 1.3):
        assert log_density(x) == pytest.approx(family(0.4, 0.3).logpdf(x), abs=1e-6)
    mass, _ = integrate.quad(lambda x: math.exp(log_density(x)), -6, 7, points=[0.4])
    assert mass == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("levels", [2, 17, 256])
@pytest.mark.parametrize("scale", [0.001, 0.05, 1.0])
@pytest.mark.parametrize("location", [-0.2, 0.0, 0.37, 1.0])
def test_logistic_probabilities_sum_to_one_and_are_scipys(levels, scale, location):
    model = likelihood(f"logistic[scale={scale}]", levels)
    x = torch.arange(levels) / (levels - 1)
    found = model.log_prob(torch.full((1, 1, 1), location), x[:, None, None, None])
    assert found.isfinite().all()
    assert found.exp().sum().item() == pytest.approx(1, abs=1e-4)
    edges = (torch.arange(levels - 1) + 0.5) / (levels - 1)
    cdf = stats.logistic(location, scale).cdf(edges.numpy())
    expected = torch.tensor([*cdf, 1.0]) - torch.tensor([0.0, *cdf])
    torch.testing.assert_close(found.exp().double(), expected, atol=2e-5, rtol=1e-3)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_observations_are_reproducible_and_average_to_the_picture(name, pixels):
    model = likelihood(name, 17)
    again = [model.observe(pixels, generator(1, "x")) for _ in range(2)]
    assert torch.equal(*again)
    many = torch.stack([model.observe(pixels, generator(s, "x")) for s in range(400)]).mean(0)
    expected = grey(pixels, 17)
    if "dequantised" in model.noise:
        expected = (pixels.float() + 0.5) / 17
    assert (many - expected).abs().max() < 5 * 0.5 / math.sqrt(400)


@pytest.mark.parametrize("name", ["gaussian", "laplace", "logistic"])
def test_the_expected_picture_of_an_observed_level_is_that_level(name, pixels):
    model = likelihood(name, 17)
    centre = (pixels.float() + 0.5) / 17 if name != "logistic" else grey(pixels, 17)
    torch.testing.assert_close(model.image(centre), grey(pixels, 17))


@pytest.mark.parametrize("name", ["gaussian", "laplace", "logistic"])
def test_the_scale_is_learned_unless_given(name):
    assert likelihood(name, 17).log_scale.requires_grad
    fixed = likelihood(f"{name}[scale=0.1]", 17)
    assert not fixed.log_scale.requires_grad
    assert fixed.scale.item() == pytest.approx(0.1)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_samples_follow_the_likelihood(name):
    model = likelihood(name, 17)
    torch.manual_seed(0)
    output = torch.full((20_000, 1, 1, 1), 0.6)
    x = model.sample(output)
    mean = {"bernoulli": torch.tensor(0.6).sigmoid().item()}.get(name, 0.6)
    if name == "logistic":
        levels = torch.arange(17) / 16
        p = model.log_prob(output[:1, :, :, :], levels[:, None, None, None]).exp()
        mean = (p * levels).sum().item()
    assert abs(x.mean().item() - mean) < 5 * x.std().item() / math.sqrt(20_000)


@pytest.mark.parametrize(
    "text", ["gauss", "gaussian[scale=x]", "gaussian[scale=-1]", "bernoulli[scale=1]"]
)
def test_what_makes_no_likelihood_is_refused(text):
    with pytest.raises(UserError):
        likelihood(text, 256)


def test_a_binary_pixel_is_a_bernoulli_draw() -> None:
    pixels = torch.arange(256, dtype=torch.uint8).repeat(4, 1, 64, 1)
    seeded = [torch.Generator().manual_seed(3) for _ in range(2)]
    expected = torch.bernoulli(grey(pixels, 256), generator=seeded[0])
    found = likelihood("bernoulli", 256).observe(pixels, seeded[1])
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)
