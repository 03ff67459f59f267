import os

import pytest
import torch
from safetensors.torch import load_file, save_file

from vaebench.config.resources import cache_folder
from vaebench.evaluation.features.cache import prune, real
from vaebench.evaluation.features.extractor import extractor
from vaebench.evaluation.functional.frechet import frechet_distance, moments

IMAGES = torch.rand(50, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VAEBENCH_CACHE", str(tmp_path))
    return tmp_path / "features"


class Source:
    """Counts how often the images are asked for."""

    calls = 0

    def __call__(self):
        self.calls += 1
        return IMAGES


def test_features_are_computed_once_and_read_as_they_were(cache):
    source = Source()
    first, second = (real(extractor("digits"), "data", "test", source) for _ in range(2))
    assert source.calls == 1 and len(list(cache.iterdir())) == 1
    assert torch.equal(first.features, second.features)
    assert torch.equal(first.moments.cov, second.moments.cov) and second.moments.n == 50
    expected = moments(extractor("digits")(IMAGES))
    assert torch.equal(second.moments.mean, expected.mean)
    assert second.moments.cov.dtype == torch.float64


def test_the_cached_path_agrees_with_torch_fidelity_and_torchmetrics(cache):
    from torch_fidelity.metric_fid import fid_statistics_to_metric
    from torchmetrics.image.fid import _compute_fid

    digits = extractor("digits")
    others = digits(IMAGES.flip(-1) ** 2)
    real(digits, "data", "test", lambda: IMAGES)
    cached = real(digits, "data", "test", Source())
    ours = frechet_distance(moments(others), cached.moments)
    statistics = [
        {"mu": m.mean.numpy(), "sigma": m.cov.numpy()} for m in (moments(others), cached.moments)
    ]
    theirs = fid_statistics_to_metric(*statistics, verbose=False)
    assert ours == pytest.approx(theirs["frechet_inception_distance"], rel=1e-3)
    a, b = moments(others), cached.moments
    assert ours == pytest.approx(_compute_fid(a.mean, a.cov, b.mean, b.cov).item(), rel=1e-3)


def test_another_data_set_part_or_network_is_another_file(cache):
    source = Source()
    digits = extractor("digits")
    real(digits, "data", "test", source)
    real(digits, "other", "test", source)
    real(digits, "data", "train", source)
    from dataclasses import replace

    real(replace(digits, sha256="0" * 64), "data", "test", source)
    assert source.calls == 4 and len(list(cache.iterdir())) == 4


def truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


def garble(path):
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


def strip(path):
    save_file(load_file(path), path)


def pickle(path):
    torch.save({"features": IMAGES}, path)


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [truncate, garble, strip, pickle, empty])
def test_a_damaged_file_is_computed_again(cache, damage):
    source = Source()
    before = real(extractor("digits"), "data", "test", source)
    (path,) = cache.iterdir()
    damage(path)
    again = real(extractor("digits"), "data", "test", source)
    assert source.calls == 2 and torch.equal(before.features, again.features)
    real(extractor("digits"), "data", "test", source)
    assert source.calls == 2 and len(list(cache.iterdir())) == 1


def test_a_folder_that_is_none_costs_nothing_but_time(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VAEBENCH_CACHE", str(tmp_path / "file"))
    assert real(extractor("digits"), "data", "test", Source()).features.shape == (50, 32)


def test_the_folder_is_the_users(monkeypatch, tmp_path):
    monkeypatch.delenv("VAEBENCH_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "vaebench"


def test_the_features_that_were_used_longest_ago_make_room(tmp_path):
    for age, name in enumerate("abcd"):
        path = tmp_path / f"{name}.safetensors"
        path.write_bytes(bytes(100))
        os.utime(path, (1000 - age, 1000 - age))
    (tmp_path / "other.txt").write_bytes(bytes(1000))
    prune(tmp_path, room=250)
    assert sorted(path.name[0] for path in tmp_path.iterdir()) == ["a", "b", "o"]


def test_features_that_are_read_count_as_used(cache):
    source = Source()
    real(extractor("digits"), "data", "test", source)
    (path,) = cache.iterdir()
    os.utime(path, (0, 0))
    real(extractor("digits"), "data", "test", source)
    assert path.stat().st_mtime > 0 and source.calls == 1
