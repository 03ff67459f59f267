"""What of a stranger's file becomes sentences, in which split, and what is said of the rest."""

import os

import pytest
import torch

import vaebench
from vaebench.data import text_file
from vaebench.data.images import Request
from vaebench.data.text_file import read
from vaebench.errors import UserError


def lines(count, start=0):
    return [f"line number {i % 7} of x{i}" for i in range(start, start + count)]


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(content) + "\n", encoding="utf-8")
    return path


def sizes(found):
    return [len(split) for split in (found.train, found.validation, found.test)]


def everything(found):
    splits = (found.train, found.validation, found.test)
    return [sentence for split in splits for sentence in found.words(split.tokens)]


def test_a_file_is_divided_at_random_and_the_same_each_time(tmp_path):
    path = write(tmp_path / "a.txt", lines(200))
    found = vaebench.read(f"text:{path}")
    assert sizes(found) == [162, 18, 20] and found.log_prob is None
    assert found.shape.length == 50 and found.hash() == vaebench.read(f"text:{path}").hash()
    every = sorted(everything(found))
    assert every == sorted(f"line number {i % 7} of <unk>" for i in range(200))
    # The first ones are not those of the file.
    first = found.words(found.train.tokens[:7])
    assert first != [f"line number {i} of <unk>" for i in range(7)]


def test_the_files_of_a_folder_are_splits(tmp_path):
    write(tmp_path / "Train.txt", lines(30))
    write(tmp_path / "valid.txt", lines(5))
    write(tmp_path / "test.txt", ["what is new is unknown"] * 3)
    write(tmp_path / "more.txt", lines(100))
    found = read(Request(tmp_path))
    assert sizes(found) == [30, 5, 3]
    assert found.words(found.test.tokens) == ["<unk> <unk> <unk> <unk> <unk>"] * 3
    (tmp_path / "valid.txt").unlink()
    assert sizes(read(Request(tmp_path))) == [27, 3, 3]
    (tmp_path / "test.txt").unlink()
    assert sizes(read(Request(tmp_path))) == [25, 2, 3]
    write(tmp_path / "training.txt", lines(3))
    with pytest.raises(UserError, match="both name a split"):
        read(Request(tmp_path))


def test_characters_and_lengths_are_options(tmp_path):
    write(tmp_path / "a b,c.txt", ["où es tu"] * 40)
    name = f"text:{tmp_path}/a b,c.txt[characters=true,length=6]"
    found = vaebench.read(name)
    assert found.shape.length == 6 and found.separator == ""
    assert set(everything(found)) == {"où es "}
    assert "40 are cut at 6" in found.notes[0]
    small = vaebench.read(f"text:{tmp_path}/a b,c.txt[vocabulary=1]")
    assert small.shape.symbols == 3


def test_a_relative_path_is_the_same_data_set(tmp_path, monkeypatch):
    path = write(tmp_path / "a.txt", lines(40))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert vaebench.registry.lookup.located("text:a.txt[length=9]") == f"text:{path}[length=9]"
    hashes = {vaebench.read(f"text:{each}").hash() for each in ("a.txt", path, "~/a.txt")}
    assert len(hashes) == 1


def test_ends_of_lines_and_marks_of_order_are_no_words(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfone two\r\n" + b"\r\n" + b"one two\r\n" * 30 + b"one two")
    found = read(Request(path))
    assert set(everything(found)) == {"one two"}
    assert "1 × blank lines, passed over." in found.notes


def test_nothing_that_a_terminal_obeys_becomes_a_word(tmp_path):
    path = write(tmp_path / "a.txt", ["\x1b[31mred\x1b[0m \u202eleft \x07 <b>x</b>"] * 30)
    found = read(Request(path))
    assert "\ufffd[31mred\ufffd[0m" in found.vocabulary and "<b>x</b>" in found.vocabulary
    said = "".join((*found.vocabulary, *found.notes))
    assert said.isprintable()
    assert "30 × lines with control characters" in found.notes[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"good\nbad \xff\n", "line 2 has the byte 0xff; .*iconv"),
        (b"x" * 70_000, "line 1 of more than 65536 bytes"),
        (b"few\n" * 19, "holds 19 sentences; at least 20"),
        (b"\n \n", "holds 0 sentences"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path, content, message):
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(UserError, match=message):
        read(Request(tmp_path / "a.txt"))


def test_only_regular_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(UserError, match="not a regular file"):
            vaebench.read(f"text:{path}")
    with pytest.raises(UserError, match=r"No such file.* text:FILE .*comma in FILE as \\,"):
        vaebench.read(f"text:{tmp_path}/none")
    with pytest.raises(UserError, match=r"folder without train\.txt"):
        vaebench.read(f"text:{tmp_path}")
    write(tmp_path / "train.txt", lines(30))
    write(tmp_path / "test.txt", [""])
    with pytest.raises(UserError, match="no sentence for its test split"):
        vaebench.read(f"text:{tmp_path}")
    with pytest.raises(UserError, match="write --dataset text:FILE"):
        vaebench.read("text")


def test_files_are_bounded(tmp_path, monkeypatch):
    path = write(tmp_path / "a.txt", lines(200))
    monkeypatch.setattr(text_file, "BYTES", 999)
    with pytest.raises(UserError, match="more than 999 bytes"):
        read(Request(path))
    monkeypatch.undo()
    monkeypatch.setattr("vaebench.data.vocabulary.MOST", 1000)
    with pytest.raises(UserError, match=r"more than 20 sentences.* of 50 tokens"):
        read(Request(path))


@pytest.mark.parametrize(
    ("option", "message"),
    [("vocabulary=0", "from 1 to"), ("length=1", "from 2 to"), ("characters=2", "true or false")],
)
def test_what_there_is_not(tmp_path, option, message):
    path = write(tmp_path / "a.txt", lines(40))
    with pytest.raises(UserError, match=message):
        vaebench.read(f"text:{path}[{option}]")


def test_tokens_are_sound(tmp_path):
    found = read(Request(write(tmp_path / "a.txt", lines(60))), length=4)
    assert found.train.tokens.dtype == torch.int32
    assert found.end == 0 and found.train.lengths.tolist() == [4] * len(found.train)
