import numpy
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from vaebench.evaluation.functional.frechet import frechet_distance, moments
from vaebench.evaluation.functional.kernel_distance import kernel_distance
from vaebench.evaluation.functional.neighbours import neighbours


def sample(count, dimension=6, seed=0):
    return torch.randn(count, dimension, generator=torch.Generator().manual_seed(seed))


def by_trees(real, fake, k):
    """All four numbers from scikit-learn's neighbour search, point by point."""

    def radii(x):
        return NearestNeighbors(n_neighbors=k + 1).fit(x).kneighbors(x)[0][:, k]

    def inside(points, centres, radius):
        distance = numpy.linalg.norm(points[:, None] - centres, axis=-1)
        return distance < radius

    in_real = inside(fake, real, radii(real))
    in_fake = inside(real, fake, radii(fake))
    return (
        in_real.any(1).mean(),
        in_fake.any(1).mean(),
        in_real.sum(1).mean() / k,
        in_real.any(0).mean(),
    )


@pytest.mark.parametrize("k", [1, 3, 5])
def test_agrees_with_scikit_learn(k):
    real, fake = sample(150), 0.8 * sample(130, seed=1) + 0.2
    expected = by_trees(real.double().numpy(), fake.double().numpy(), k)
    assert tuple(neighbours(real, fake, k, chunk=40)) == pytest.approx(expected)


def test_precision_and_recall_agree_with_torch_fidelity():
    from torch_fidelity.metric_prc import prc_features_to_metric

    real, fake = sample(300), 0.7 * sample(300, seed=1) + 0.3
    theirs = prc_features_to_metric(
        fake, real, prc_neighborhood=3, prc_batch_size=100, verbose=False
    )
    ours = neighbours(real, fake, 3)
    assert ours.precision == pytest.approx(theirs["precision"], abs=1e-6)
    assert ours.recall == pytest.approx(theirs["recall"], abs=1e-6)


def test_equal_sets_are_perfect():
    found = neighbours(sample(100), sample(100))
    assert found.precision == found.recall == found.coverage == 1
    # A point is in its own ball and in those of about k others.
    assert found.density == pytest.approx(1, abs=0.25)


@pytest.mark.parametrize("copies", [2, 6, 20])
def test_copies_change_nothing_in_equal_sets(copies):
    once = sample(100)
    often = once.repeat_interleave(copies, 0)
    assert tuple(neighbours(often, often)) == pytest.approx(tuple(neighbours(once, once)), abs=0.01)
    assert neighbours(often, often).coverage == 1


def test_copies_that_differ_by_rounding_are_copies():
    often = sample(100).repeat(8, 1) + 1e3
    noisy = often + 1e-7 * sample(800, seed=2)
    found = neighbours(noisy, often.roll(3, 0))
    assert found.precision == found.recall == found.coverage == 1
    assert found.density == pytest.approx(1, abs=0.25)


def test_shares_are_over_images_and_not_over_distinct_ones():
    """Ninety copies of one real image count ninety times in recall and coverage."""
    real = torch.cat([sample(10) + 50, sample(1).repeat(90, 1)])
    fake = real[10:].mean(0) + 1e-3 * sample(100, seed=1)
    found = neighbours(real, fake)
    assert found.precision == 1 and found.coverage == pytest.approx(0.9)


def test_a_model_with_one_picture_has_no_recall():
    found = neighbours(sample(100), sample(1).repeat(100, 1))
    assert found.recall == 0 and found.coverage < 0.1 and found.precision == 1
    with pytest.raises(ValueError, match="6 real images that differ"):
        neighbours(sample(1).repeat(100, 1), sample(100))


@pytest.mark.parametrize("copies", [1, 6, 20])
def test_copies_leave_frechet_and_kernel_distance_at_nought(copies):
    often = sample(100).repeat(copies, 1)
    assert frechet_distance(moments(often), moments(often)) == pytest.approx(0, abs=1e-8)
    value, se = kernel_distance(often, often)
    # The unbiased estimate takes two sets for independent: of one set twice it is negative.
    assert -0.25 < value < 0 and se < 0.05


def test_two_samples_of_one_distribution():
    found = neighbours(sample(1000), sample(1000, seed=1))
    assert found.density == pytest.approx(1, abs=0.1)
    assert found.coverage == pytest.approx(1 - 0.5**5, abs=0.03)  # its expectation: 1 - 2^-k
    assert min(found.precision, found.recall) > 0.8


def test_a_dropped_mode_costs_recall_and_not_precision():
    modes = 20 * torch.eye(6)
    real = sample(600) + modes[torch.arange(600) % 6]
    fake = sample(600, seed=1) + modes[torch.arange(600) % 3]
    found = neighbours(real, fake)
    assert found.precision > 0.85
    assert found.recall == pytest.approx(0.5, abs=0.08)
    assert found.coverage == pytest.approx(0.5, abs=0.05)


def test_samples_far_away_cost_precision_and_not_recall():
    fake = sample(600, seed=1)
    fake[::2] += 50
    found = neighbours(sample(600), fake)
    assert found.precision == pytest.approx(0.48, abs=0.05)
    assert found.density == pytest.approx(0.5, abs=0.1)
    assert found.recall > 0.85


def test_what_does_not_compare_is_refused():
    with pytest.raises(ValueError, match="do not compare"):
        neighbours(sample(10), sample(10, dimension=3))
    with pytest.raises(ValueError, match="need 6 images"):
        neighbours(sample(10), sample(5))
