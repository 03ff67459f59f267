"""Labelled examples beside the batches of training."""

from pathlib import Path

import torch

from vaebench.compute.ranks import ALONE, Ranks
from vaebench.data.batches import Batches
from vaebench.data.conditions import shown
from vaebench.data.images import Request
from vaebench.registry.lookup import likelihood, load

CPU = torch.device("cpu")
SEEN = 20


def batches(name="digits[labels=20]", size=16, ranks=ALONE):
    images = load(name, Request(Path("nowhere")))
    labels = shown(images.train.labels, SEEN, 3)
    model = likelihood("bernoulli", 17)
    return Batches(images.train, model, size, 0, True, CPU, ranks, labels)


def test_examples_are_of_images_whose_labels_are_seen_with_equal_chances():
    made = batches()
    known = (made.labels >= 0).nonzero()[:, 0]
    counts, before = torch.zeros(len(made.stored)), None
    for _, items in made:
        found = items.seen.examples()
        assert len(found) == 16 and len(found.seen.index.unique()) == 16
        assert torch.equal(found.seen.labels, made.labels[found.seen.index])
        assert torch.equal(found.x, made.once[found.seen.index])
        assert torch.equal(items.seen.examples().seen.index, found.seen.index)
        assert before is None or not torch.equal(before, found.seen.index)
        before = found.seen.index
        counts[before] += 1
    assert counts.sum() == counts[known].sum() and counts[known].min() > 0
    # Of 74 batches each image is in 59, give or take 3.4.
    assert (counts[known] - 0.8 * len(made)).abs().max() < 4 * 3.5


def test_there_are_no_more_examples_than_labels_are_seen():
    _, items = next(iter(batches(size=64)))
    assert len(items.seen.examples()) == SEEN


def test_every_rank_has_all_examples_under_their_conditions():
    name = "digits[given=left,labels=20]"
    one, two = (next(iter(batches(name, ranks=Ranks(rank, 2))))[1] for rank in (0, 1))
    first, second = one.seen.examples(), two.seen.examples()
    assert torch.equal(first.x, second.x) and torch.equal(first.seen.given, second.seen.given)
    assert len(one) == 8 and first.seen.given.shape == (16, 1, 8, 4)


def test_where_no_label_is_seen_there_are_no_examples():
    images = load("digits", Request(Path("nowhere")))
    plain = Batches(images.train, likelihood("bernoulli", 17), 64, 0, True, CPU)
    assert next(iter(plain))[1].seen.examples is None
