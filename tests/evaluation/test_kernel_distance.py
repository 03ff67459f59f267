import math

import numpy
import pytest
import torch
from sklearn.metrics.pairwise import polynomial_kernel

from vaebench.evaluation.functional.kernel_distance import kernel_distance


def sample(count, seed, shift=0.0, dimension=8):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, dimension, generator=generator) + shift


def test_agrees_with_scikit_learns_kernel():
    a, b = sample(40, 0).double().numpy(), sample(30, 1, 0.3).double().numpy()
    aa, bb, ab = (polynomial_kernel(x, y, 3) for x, y in ((a, a), (b, b), (a, b)))
    expected = (
        (aa.sum() - aa.trace()) / (40 * 39) + (bb.sum() - bb.trace()) / (30 * 29) - 2 * ab.mean()
    )
    value, _ = kernel_distance(torch.tensor(a), torch.tensor(b), chunk=7)
    assert value == pytest.approx(expected, rel=1e-10)


def test_agrees_with_torch_fidelity_on_one_subset_of_everything():
    from torch_fidelity.metric_kid import kid_features_to_metric

    a, b = sample(200, 0), sample(200, 1, 0.2)
    theirs = kid_features_to_metric(
        a, b, kid_subsets=1, kid_subset_size=200, rng_seed=0, verbose=False
    )["kernel_inception_distance_mean"]
    assert kernel_distance(a, b)[0] == pytest.approx(theirs, rel=1e-5)


def expected_kernel(a, b, dimension):
    """E (x·y / D + 1)^3 for independent x ~ N(a, I), y ~ N(b, I), from the moments of x·y."""
    # x·y = sum of D independent products, whose first three moments are those of x_i y_i.
    one = a * b
    two = (1 + a**2) * (1 + b**2)
    three = (a**3 + 3 * a) * (b**3 + 3 * b)
    mean = dimension * one
    variance = dimension * (two - one**2)
    third = dimension * (three - 3 * two * one + 2 * one**3)
    mean, variance, third = mean / dimension + 1, variance / dimension**2, third / dimension**3
    return mean**3 + 3 * mean * variance + third


def test_is_unbiased_and_knows_its_error():
    shift = 0.5
    truth = 0.0
    for x, y, sign in ((0, 0, 1), (shift, shift, 1), (0, shift, -2)):
        truth += sign * expected_kernel(x, y, dimension=8)
    pairs = [kernel_distance(sample(100, i), sample(100, 1000 + i, shift)) for i in range(200)]
    values, errors = numpy.array(pairs).T
    assert abs(values.mean() - truth) < 4 * values.std() / math.sqrt(200)
    assert errors.mean() == pytest.approx(values.std(), rel=0.25)
    same = [kernel_distance(sample(50, i), sample(50, 1000 + i))[0] for i in range(200)]
    assert abs(numpy.mean(same)) < 4 * numpy.std(same) / math.sqrt(200)
    assert min(same) < 0


def test_what_does_not_compare_is_refused():
    with pytest.raises(ValueError, match="do not compare"):
        kernel_distance(sample(10, 0), sample(10, 0, dimension=3))
    with pytest.raises(ValueError, match="do not compare"):
        kernel_distance(sample(1, 0), sample(10, 0))
