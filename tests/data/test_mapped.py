"""Pictures of a folder that are decoded once: the same to the bit, and safe from damage."""

import gc
import json
import os
import shutil
import threading
import time

import numpy as np
import pytest
import torch

from tests.data.picture_files import random_picture, write
from vaebench.data import folder as reader
from vaebench.data import mapped
from vaebench.data.images import Request
from vaebench.registry.lookup import load


@pytest.fixture
def many(tmp_path, monkeypatch):
    """A folder of 40 pictures that is worth a cache, and the files that are decoded of it."""
    monkeypatch.setenv("VAEBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(reader, "WORTH", 30)
    decoded = []
    read = reader.read
    monkeypatch.setattr(reader, "read", lambda path, size: decoded.append(path) or read(path, size))
    for name in ("a", "b"):
        write(tmp_path / "pictures" / name, 20, shape=(16, 16) if name == "b" else (16, 16, 3))
    time.sleep(0.15)
    return tmp_path / "pictures", decoded


def folder(path):
    return load(f"folder:{path}", Request(path / "nothing", size=8))


def kept(tmp_path):
    (found,) = (p for p in (tmp_path / "cache" / "pictures").iterdir() if p.is_dir())
    return found


def test_what_is_mapped_is_what_is_decoded_to_the_bit(many, monkeypatch):
    path, decoded = many
    first, again = folder(path), folder(path)
    # The first is in colour, which one has to see.
    assert len(decoded) == 1 + 40
    monkeypatch.setattr(reader, "WORTH", 1000)
    memory = folder(path)
    assert len(decoded) == 1 + 80
    for found in (first, again):
        assert found.hash() == memory.hash() and found.notes == memory.notes
        for part in ("train", "validation", "test"):
            mine, theirs = getattr(found, part), getattr(memory, part)
            assert torch.equal(mine.pixels, theirs.pixels)
            assert torch.equal(mine.labels, theirs.labels)


def test_chosen_rows_of_a_map_are_read_from_its_file(many, monkeypatch):
    path, _ = many
    mine = folder(path)
    monkeypatch.setattr(reader, "WORTH", 1000)
    memory = folder(path)
    read = []
    whole = os.preadv
    monkeypatch.setattr(
        os, "preadv", lambda file, *more: read.append(file) or whole(file, *more), raising=True
    )
    for part in ("train", "validation", "test"):
        one, other = (getattr(found, part).pixels for found in (mine, memory))
        chosen = torch.randperm(len(one))[:5].repeat(2)
        assert torch.equal(mapped.rows(one, chosen), other[chosen])
        assert torch.equal(mapped.rows(one[1:], chosen[:0]), other[:0])
        assert torch.equal(mapped.rows(one[1:], torch.tensor([1])), other[2:3])
        assert len(read) == len(chosen) + 1
        assert torch.equal(mapped.rows(other, chosen), other[chosen])
        assert len(read) == len(chosen) + 1
        read.clear()


def test_a_map_that_is_gone_closes_its_file(many):
    path, _ = many
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    found = folder(path)
    assert len(os.listdir("/proc/self/fd")) > before
    del found
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_colour_picture_among_grey_ones_and_grey_ones_alone(many, tmp_path, monkeypatch):
    for name, colour in (("grey", False), ("mixed", True)):
        write(tmp_path / name, 40, shape=(16, 16))
        if colour:
            random_picture(7).save(tmp_path / name / "z.png")
    time.sleep(0.15)
    found = [folder(tmp_path / name) for name in ("grey", "mixed")]
    monkeypatch.setattr(reader, "WORTH", 1000)
    for name, one in zip(("grey", "mixed"), found, strict=True):
        memory = folder(tmp_path / name)
        assert one.shape == memory.shape and one.hash() == memory.hash()
        assert one.notes == memory.notes


@pytest.mark.parametrize("name", ["pixels.npy", "labels.npy", "about.json"])
@pytest.mark.parametrize("damage", ["flipped", "short", "gone", "foreign"])
def test_what_is_damaged_is_made_again(many, tmp_path, name, damage):
    path, decoded = many
    whole = folder(path).hash()
    file = kept(tmp_path) / name
    content = bytearray(file.read_bytes())
    if damage == "flipped":
        content[-3] ^= 1
        other = json.dumps({"identity": "another", "counts": {}, "notes": []}).encode()
        file.write_bytes(other if name == "about.json" else content)
    elif damage == "short":
        file.write_bytes(content[: len(content) // 2])
    elif damage == "gone":
        file.unlink()
    else:
        with file.open("wb") as stream:
            np.save(stream, np.array([{"a": 1}], object), allow_pickle=True)
    assert folder(path).hash() == whole and len(decoded) == 2 * 41
    assert folder(path).hash() == whole and len(decoded) == 2 * 41


def test_a_file_that_changes_makes_another_data_set(many, tmp_path):
    path, decoded = many
    before = folder(path).hash()
    victim = path / "a" / "0003.png"
    about = victim.stat()
    random_picture(99).save(victim)
    os.utime(victim, ns=(about.st_atime_ns, about.st_mtime_ns))
    time.sleep(0.15)
    assert folder(path).hash() != before
    assert len(decoded) == 2 * 41
    write(path / "a", 1, first=50)
    time.sleep(0.15)
    assert len(folder(path).train) == 34 and len(decoded) == 3 * 41 + 1


def test_several_that_ask_at_once_decode_once(many):
    path, decoded = many
    found = []
    threads = [threading.Thread(target=lambda: found.append(folder(path).hash())) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(set(found)) == 1 and len(found) == 4 and len(decoded) == 41


def test_a_full_disk_costs_memory_and_a_sentence(many, monkeypatch):
    path, _ = many

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(mapped.os, "pwrite", full)
    found = folder(path)
    assert "decoded into memory" in " ".join(found.notes)
    assert "No space left on device" in " ".join(found.notes)
    assert len(found.train) == 33


def test_what_was_used_longest_ago_is_removed(tmp_path):
    for number in range(4):
        one = tmp_path / str(number)
        one.mkdir()
        (one / "pixels.npy").write_bytes(bytes(100))
        os.utime(one, (number, number))
    mapped.prune(tmp_path, room=250)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["2", "3"]
    mapped.prune(tmp_path, room=10)
    assert [p.name for p in tmp_path.iterdir()] == ["3"]
    shutil.rmtree(tmp_path / "3")


def test_pieces_are_the_rows_in_their_order():
    rows = torch.arange(2**24).view(-1, 2)
    found = list(mapped.pieces(rows))
    assert len(found) > 1 and torch.equal(torch.cat(found), rows)
