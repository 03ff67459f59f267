import pytest
import torch
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from vaebench.evaluation.functional import novelty


def test_auroc_is_that_of_scikit_learn_with_ties():
    generator = torch.Generator().manual_seed(0)
    inside = torch.randint(0, 9, (70,), generator=generator).float()
    outside = torch.randint(0, 6, (50,), generator=generator).float()
    labels = torch.cat([torch.ones(70), torch.zeros(50)])
    expected = roc_auc_score(labels, torch.cat([inside, outside]))
    assert novelty.auroc(inside, outside) == pytest.approx(expected, abs=1e-12)


def test_the_error_of_auroc_is_that_over_repetitions():
    generator = torch.Generator().manual_seed(0)

    def scores():
        inside = torch.randn(60, generator=generator) + 1
        return inside, torch.randn(25, generator=generator)

    pairs = [scores() for _ in range(1000)]
    found = [(novelty.auroc(*pair), novelty.auroc_error(*pair)) for pair in pairs]
    values, errors = torch.tensor(found, dtype=torch.float64).unbind(1)
    # P(N(1, 1) > N(0, 1)) = Φ(1/√2)
    expected = torch.special.ndtr(torch.tensor(0.5).sqrt()).item()
    assert values.mean().item() == pytest.approx(expected, abs=5 * values.std().item() / 1000**0.5)
    # The standard deviation of 1000 values is known to 1 / √2000 of itself.
    assert errors.mean().item() == pytest.approx(values.std().item(), rel=5 / 2000**0.5)
    assert novelty.auroc_error(torch.ones(1), torch.ones(5)) is None
    assert novelty.auroc_error(torch.arange(5) + 9, torch.arange(4)) is None


def test_nearest_points_are_those_of_scikit_learn():
    generator = torch.Generator().manual_seed(0)
    queries, points = (torch.randn(n, 5, generator=generator) for n in (30, 80))
    distances, indices = novelty.nearest(queries, points, chunk=7)
    expected = NearestNeighbors(n_neighbors=1).fit(points.double()).kneighbors(queries.double())
    torch.testing.assert_close(distances, torch.from_numpy(expected[0][:, 0]))
    assert indices.tolist() == expected[1][:, 0].tolist()


def test_a_dropped_class_is_missed_and_a_rare_one_is_not():
    def of(*classes):
        return novelty.shares(torch.eye(4)[list(classes)])

    real = of(*[0, 1, 2, 3] * 25)
    torch.testing.assert_close(real, torch.full((4,), 0.25, dtype=torch.float64))
    assert novelty.missed(real, real) == 0
    assert novelty.missed(of(*[0, 1, 2] * 33), real) == 1
    assert novelty.missed(of(*[0, 1, 2] * 32, 3, 3, 3, 3), real) == 0
    assert novelty.missed(of(*[0, 1, 2] * 33, 3), real) == 1


def test_shuffled_pixels_are_the_same_in_another_order():
    images = torch.arange(2 * 3 * 16, dtype=torch.uint8).reshape(2, 3, 4, 4)
    found = novelty.shuffled(images)
    assert not torch.equal(found, images)
    assert torch.equal(found.flatten(2).sort(-1).values, images.flatten(2).sort(-1).values)
    # A pixel moves with all its channels.
    assert torch.equal(found[:, 1] - found[:, 0], images[:, 1] - images[:, 0])
    assert torch.equal(found, novelty.shuffled(images))


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 20, 16)])
def test_photographs_come_in_any_shape(shape):
    found = novelty.photographs(6, shape, 17)
    assert found.shape == (6, *shape) and found.dtype == torch.uint8
    assert found.max() <= 16 and found.float().std() > 1
    assert torch.equal(found, novelty.photographs(6, shape, 17))
