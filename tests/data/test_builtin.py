import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from vaebench.data.batches import Batches, observed
from vaebench.data.builtin import SOURCES
from vaebench.data.images import Request
from vaebench.errors import UserError
from vaebench.registry.lookup import likelihood, load


@pytest.fixture(scope="module")
def digits():
    return load("digits", Request(Path("nowhere")))


def test_digits_are_split_without_overlap(digits):
    assert [len(s) for s in (digits.train, digits.validation, digits.test)] == [1197, 200, 400]
    assert digits.shape == (1, 8, 8)
    assert digits.levels == 17
    assert int(digits.train.pixels.max()) == 16
    from sklearn.datasets import load_digits

    everything = np.concatenate(
        [s.pixels[:, 0].numpy() for s in (digits.train, digits.validation, digits.test)]
    )
    original = load_digits().images.astype(np.uint8)
    assert sorted(map(bytes, everything)) == sorted(map(bytes, original))


def test_the_hash_depends_on_every_pixel_and_on_the_split(digits):
    from dataclasses import replace

    first = digits.hash()
    assert first == load("digits", Request(Path("elsewhere"))).hash()
    changed = digits.train.pixels.clone()
    changed[7, 0, 3, 3] ^= 1
    assert replace(digits, train=replace(digits.train, pixels=changed)).hash() != first
    assert replace(digits, validation=digits.test, test=digits.validation).hash() != first


def idx(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())


def write_mnist(root: Path, train: int = 60_000) -> None:
    rng = np.random.default_rng(0)
    for prefix, count in (("train", train), ("t10k", 10_000)):
        folder = root / "MNIST" / "raw"
        idx(folder / f"{prefix}-images-idx3-ubyte", rng.integers(0, 256, (count, 28, 28)))
        idx(folder / f"{prefix}-labels-idx1-ubyte", rng.integers(0, 10, count))


def test_mnist_is_read_from_torchvisions_layout(tmp_path):
    write_mnist(tmp_path)
    images = load("mnist", Request(tmp_path))
    assert [len(s) for s in (images.train, images.validation, images.test)] == [
        50_000,
        10_000,
        10_000,
    ]
    assert images.shape == (1, 28, 28)
    assert images.levels == 256


def test_a_short_mnist_file_is_refused(tmp_path):
    write_mnist(tmp_path, train=100)
    with pytest.raises(UserError, match="damaged"):
        load("mnist", Request(tmp_path))


def test_a_damaged_mnist_file_is_refused(tmp_path):
    write_mnist(tmp_path, train=100)
    (tmp_path / "MNIST/raw/train-images-idx3-ubyte").write_bytes(b"\x00\x00\x08\x03\x00")
    with pytest.raises(UserError, match="--data-dir"):
        load("mnist", Request(tmp_path))


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "omniglot", "cifar10", "celeba"])
def test_a_missing_data_set_names_both_remedies(name, tmp_path):
    with pytest.raises(UserError, match=r"--data-dir or \$VAEBENCH_DATA.*--download") as found:
        load(name, Request(tmp_path))
    assert f"{tmp_path};" in str(found.value) and "download=True" not in str(found.value)


def test_an_unknown_data_set_is_refused_with_the_closest_name():
    with pytest.raises(UserError, match="Did you mean 'mnist'"):
        load("mnits", Request(Path(".")))


def test_every_source_documents_itself():
    for source in SOURCES.values():
        assert source.title and source.split


CPU = torch.device("cpu")


def test_batches_depend_on_seed_and_epoch_alone(digits):
    model = likelihood("bernoulli", 17)
    first, second = (Batches(digits.train, model, 64, 0, False, CPU) for _ in range(2))
    torch.rand(100)
    one = [items.x for _, items in first]
    torch.rand(7)
    two = [items.x for _, items in second]
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    other = Batches(digits.train, model, 64, 1, False, CPU)
    assert not any(torch.equal(one[0], next(iter(each))[1].x) for each in (first, other))
    assert len(one) == len(first) == 1197 // 64


def test_dynamic_binarisation_changes_every_epoch_and_fixed_never(digits):
    model = likelihood("bernoulli", 17)
    for fixed in (False, True):
        batches = Batches(digits.train, model, 1197, 0, fixed, CPU)
        seen = []
        for _ in range(2):
            picture, items = next(iter(batches))
            keys = [bytes(p.mul(16).byte().numpy()) for p in picture]
            seen.append(dict(zip(keys, items.x, strict=True)))
        same = all(torch.equal(seen[0][k], seen[1][k]) for k in seen[0])
        assert same == fixed


def test_the_test_set_is_observed_once_for_all(digits):
    model = likelihood("bernoulli", 17)
    assert torch.equal(*(observed(digits.test, model, "test") for _ in range(2)))
    assert not torch.equal(
        observed(digits.test, model, "test"), observed(digits.test, model, "other")
    )
