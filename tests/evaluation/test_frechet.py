import math

import numpy
import pytest
import torch

from vaebench.evaluation.functional.frechet import (
    Moments,
    bootstrap,
    extrapolate,
    floor,
    frechet_distance,
    moments,
)


def features(count, dimension=32, shift=0.0, scale=1.0, seed=0):
    """Correlated, skewed and positive, as the features of a network are."""
    mixing = torch.randn(
        dimension, dimension, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    noise = torch.randn(
        count, dimension, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    return torch.relu(noise @ mixing * scale / dimension**0.5 + shift)


def known(mean, cov):
    return Moments(torch.as_tensor(mean).double(), torch.as_tensor(cov).double(), 10**9)


def test_moments_are_those_of_numpy():
    x = features(50)
    m = moments(x.float())
    numpy.testing.assert_allclose(m.mean, x.numpy().mean(0), atol=1e-7)
    numpy.testing.assert_allclose(m.cov, numpy.cov(x.numpy(), rowvar=False), atol=1e-6)
    assert m.n == 50 and m.cov.dtype == torch.float64


def test_shifted_and_scaled_gaussians_have_the_closed_form():
    rotation = torch.linalg.qr(features(4, 4))[0]
    mean_a, sd_a = torch.tensor([[0.0, 1, 2, 3], [1, 2, 3, 0.1]], dtype=torch.float64)
    mean_b, sd_b = torch.tensor([[1.0, 1, 0, 3], [2, 2, 0.5, 1]], dtype=torch.float64)
    a, b = (
        known(rotation @ mean, rotation @ sd.square().diag() @ rotation.T)
        for mean, sd in ((mean_a, sd_a), (mean_b, sd_b))
    )
    expected = (mean_a - mean_b).square().sum() + (sd_a - sd_b).square().sum()
    assert frechet_distance(a, b) == pytest.approx(expected.item(), rel=1e-12)
    assert frechet_distance(b, a) == pytest.approx(expected.item(), rel=1e-12)


def test_covariances_that_do_not_commute_in_two_dimensions():
    # In 2-d, tr sqrt(M) = sqrt(tr M + 2 sqrt(det M)).
    a, b = torch.tensor([[2.0, 1.2], [1.2, 1.0]]), torch.tensor([[0.7, -0.4], [-0.4, 3.0]])
    product = (a @ b).double()
    overlap = (product.trace() + 2 * torch.linalg.det(product).sqrt()).sqrt()
    expected = (a.trace() + b.trace() - 2 * overlap).item()
    zero = torch.zeros(2)
    assert frechet_distance(known(zero, a), known(zero, b)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("count", [500, 20])
def test_equal_sets_are_at_distance_zero_also_without_full_rank(count):
    m = moments(features(count))
    assert abs(frechet_distance(m, m)) < 1e-6


def test_agrees_with_torch_fidelity_and_torchmetrics_on_the_same_features():
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torchmetrics.image.fid import FrechetInceptionDistance

    class Same(torch.nn.Module):
        num_features = 32

        def forward(self, x):
            return x

    a, b = features(600), features(500, shift=0.2, scale=1.3, seed=2)
    ours = frechet_distance(moments(a), moments(b))
    statistics = [fid_features_to_statistics(x) for x in (a, b)]
    theirs = fid_statistics_to_metric(*statistics, False)["frechet_inception_distance"]
    assert ours == pytest.approx(theirs, rel=1e-9)

    metric = FrechetInceptionDistance(feature=Same())
    metric.update(a.float(), real=True)
    metric.update(b.float(), real=False)
    assert ours == pytest.approx(metric.compute().item(), rel=1e-4)


def test_too_few_images_are_flagged_then_refused():
    assert moments(features(32)).deficient and not moments(features(33)).deficient
    enough, few = moments(features(4)), moments(features(3))
    frechet_distance(enough, moments(features(100)))
    with pytest.raises(ValueError, match="3 images are fewer than an eighth of the 32"):
        frechet_distance(moments(features(100)), few)
    with pytest.raises(ValueError, match="N ≥ 2"):
        moments(features(1))
    with pytest.raises(ValueError, match="do not compare"):
        frechet_distance(enough, moments(features(4, dimension=8)))
    with pytest.raises(ValueError, match="not finite"):
        moments(torch.full((5, 2), math.nan))


def test_floor_is_what_simulation_gives():
    generator = torch.Generator().manual_seed(0)
    scales = torch.linspace(0.2, 3, 12, dtype=torch.float64)

    def sample(count):
        return moments(torch.randn(count, 12, generator=generator, dtype=torch.float64) * scales)

    distances = torch.tensor([frechet_distance(sample(400), sample(700)) for _ in range(200)])
    expected = floor(known(torch.zeros(12), scales.square().diag()), 400, 700)
    error = distances.std().item() / math.sqrt(200)
    assert abs(distances.mean().item() - expected) < 4 * error + 0.01 * expected
    assert error < 0.03 * expected
    assert floor(sample(400), 400, math.inf) < expected


def test_the_floor_of_a_single_feature_by_hand():
    # Mean: v (1/n + 1/m). Standard deviation: its variance is v/2n, so (v/2)(1/n + 1/m).
    assert floor(known([0.0], [[3.0]]), 10, 30) == pytest.approx(3 * 1.5 * (1 / 10 + 1 / 30))


def test_bootstrap_interval_covers_the_expected_distance():
    real = known(torch.zeros(4), torch.eye(4))
    generator = torch.Generator().manual_seed(0)

    def sample():
        return 1.3 * torch.randn(150, 4, generator=generator, dtype=torch.float64) + 0.3

    distances = [frechet_distance(moments(sample()), real) for _ in range(1000)]
    expected = numpy.mean(distances)
    intervals = [bootstrap(sample(), real, draws=80, seed=i) for i in range(100)]
    covered = sum(low < expected < high for low, high in intervals)
    assert covered > 84  # 95 expected, with a standard deviation of 2.2, less what 80 draws lose
    width = sum(high - low for low, high in intervals) / 100
    assert width == pytest.approx(2 * 1.96 * numpy.std(distances), rel=0.15)


def test_bootstrap_is_a_function_of_its_seed():
    real, fake = moments(features(100, 6)), features(80, 6, shift=0.1, seed=3)
    assert bootstrap(fake, real, draws=10) == bootstrap(fake, real, draws=10)
    assert bootstrap(fake, real, draws=10) != bootstrap(fake, real, draws=10, seed=1)


def test_extrapolation_removes_the_bias_of_few_images():
    scales = torch.linspace(0.3, 2, 16, dtype=torch.float64)
    real = known(torch.zeros(16), scales.square().diag())
    truth = 16 * 0.1**2 + (0.2 * scales).square().sum().item()
    generator = torch.Generator().manual_seed(0)
    raw, infinite = [], []
    for i in range(30):
        noise = torch.randn(256, 16, generator=generator, dtype=torch.float64)
        fake = 1.2 * scales * noise + 0.1
        raw.append(frechet_distance(moments(fake), real) - truth)
        infinite.append(extrapolate(fake, real, seed=i) - truth)
    bias, left = numpy.mean(raw), numpy.mean(infinite)
    assert bias > 0.5 * floor(real, 256, math.inf)
    assert abs(left) < 0.15 * bias + 4 * numpy.std(infinite) / math.sqrt(30)
    with pytest.raises(ValueError, match="needs 64 images"):
        extrapolate(fake[:63], real)


@pytest.mark.slow
def test_agrees_with_torch_fidelity_at_inceptions_size():
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    a, b = features(4096, 1024), features(4096, 1024, shift=0.1, seed=2)
    statistics = [fid_features_to_statistics(x) for x in (a, b)]
    theirs = fid_statistics_to_metric(*statistics, False)["frechet_inception_distance"]
    assert frechet_distance(moments(a), moments(b)) == pytest.approx(theirs, rel=1e-8)
