import numpy as np
import pytest
from sklearn.datasets import load_digits

from vaebench.evaluation.functional.probes import accuracy, linear, nearest


@pytest.fixture(scope="module")
def clusters():
    """Three clusters far apart, of very unequal scales, 60 codes each."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 60)
    codes = rng.normal(size=(180, 2)) + 12 * np.array([[0, 0], [1, 0], [0, 1]])[labels]
    order = rng.permutation(180)
    codes = codes[order] * np.array([1.0, 1e-4])
    return codes[:90], labels[order][:90], codes[90:], labels[order][90:]


@pytest.mark.parametrize("probe", [linear, nearest])
def test_clusters_are_told_apart_whatever_the_scale(probe, clusters):
    assert accuracy(probe, *clusters).mean() == 1.0


@pytest.mark.parametrize("probe", [linear, nearest])
def test_noise_tells_nothing(probe):
    rng = np.random.default_rng(0)
    codes, queries = rng.normal(size=(300, 3)), rng.normal(size=(1000, 3))
    labels, truth = rng.integers(0, 4, 300), rng.integers(0, 4, 1000)
    right = accuracy(probe, codes, labels, queries, truth).mean()
    assert abs(right - 0.25) < 5 * np.sqrt(0.25 * 0.75 / 1000)


@pytest.mark.parametrize("probe", [linear, nearest])
def test_digits_are_as_easy_as_is_known(probe):
    # scikit-learn's own documentation has logistic regression and neighbours at 93 to 98 %.
    data = load_digits()
    parts = data.data[:1200], data.target[:1200], data.data[1200:], data.target[1200:]
    few, many = (accuracy(probe, *parts, budget=n).mean() for n in (100, 1000))
    assert 0.7 < few < many < 0.99 and many > 0.88


def test_a_linear_probe_cannot_see_a_ring_and_neighbours_can():
    rng = np.random.default_rng(0)
    angle, radius = rng.uniform(0, 2 * np.pi, 800), np.repeat([1.0, 3.0], 400)
    order = rng.permutation(800)
    codes = (np.stack([np.cos(angle), np.sin(angle)], 1) * radius[:, None])[order]
    labels = (radius > 2).astype(int)[order]
    parts = codes[:400], labels[:400], codes[400:], labels[400:]
    assert accuracy(nearest, *parts).mean() > 0.99
    assert accuracy(linear, *parts).mean() < 0.75


def test_subsets_are_averaged_for_each_query(clusters):
    codes, labels, queries, truth = clusters
    noise = np.random.default_rng(1).normal(size=codes.shape)
    parts = noise, labels, queries, truth
    found = accuracy(nearest, *parts, budget=20, repeats=4)
    assert set(np.round(found * 4, 9)) <= {0, 1, 2, 3, 4} and found.shape == truth.shape
    single = [accuracy(nearest, *parts, budget=20)]
    assert not np.array_equal(found, single[0])


def test_a_budget_beyond_the_labels_is_refused(clusters):
    with pytest.raises(ValueError, match="90 training images are fewer than 100"):
        accuracy(nearest, *clusters, budget=100)


def test_a_single_class_is_predicted():
    codes = np.random.default_rng(0).normal(size=(10, 2))
    assert accuracy(linear, codes, np.ones(10, int), codes, np.ones(10, int)).mean() == 1
