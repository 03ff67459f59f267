"""Definitions of WordNet, without their examples, each in one split."""

import os
from pathlib import Path

import pytest
import torch

import vaebench
from vaebench.data import wordnet
from vaebench.data.images import Request
from vaebench.data.wordnet import read
from vaebench.errors import UserError

NOWHERE = Path("nowhere")


def line(label, gloss):
    return f"00001740 {label:02d} n 01 entity 0 001 @ 00001930 n 0000 | {gloss}  \n"


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A WordNet of 60 definitions, two of them twice."""
    monkeypatch.setattr(wordnet, "COUNTS", dict.fromkeys(wordnet.COUNTS, 15))
    monkeypatch.setattr(wordnet, "HELD_OUT", 10)
    monkeypatch.setattr(wordnet, "DEBIAN", tmp_path / "debian")
    folder = tmp_path / "wordnet"
    folder.mkdir()
    for n, part in enumerate(wordnet.COUNTS):
        glosses = [f'The {word} (of {part}); "an example"' for word in "abcdefghijklmno"]
        if part in ("verb", "adj"):
            glosses[:2] = ["one's twenty-first word; another", 'the same; "once"; "twice"']
        text = "".join(line(n, gloss) for gloss in glosses)
        (folder / f"data.{part}").write_text("  1 This is the licence  \n" + text)
    return tmp_path


def everything(found):
    splits = (found.train, found.validation, found.test)
    return [found.words(split.tokens) for split in splits]


def test_definitions_are_words_in_lower_case_without_examples(files):
    found = read(Request(files))
    assert sum(map(len, everything(found))) == 60
    assert found.shape.length == 20
    every = [text for part in everything(found) for text in part]
    known = {text for text in every if "<unk>" not in text}
    assert not any('"' in text or "example" in text for text in every)
    assert known <= {
        "one's twenty - first word ; another",
        "the same",
        *(f"the {word} ( of {part} )" for word in "abcdefghijklmno" for part in wordnet.COUNTS),
    }
    assert len(found.test) >= 10 <= len(found.validation)
    assert len(set(found.train.labels.tolist())) == 4
    assert found.hash() == read(Request(files)).hash()


def test_training_may_be_smaller(files):
    whole, some = read(Request(files)), read(Request(files), items=9)
    assert len(some.train) == 9 < len(whole.train) and set(some.vocabulary) <= set(whole.vocabulary)
    assert [len(some.validation), len(some.test)] == [len(whole.validation), len(whole.test)]
    assert torch.equal(some.train.labels, whole.train.labels[:9])
    assert torch.equal(some.test.labels, whole.test.labels)
    with pytest.raises(UserError, match=r"wordnet\[items\] must be from 0 to 60"):
        read(Request(files), items=61)


def test_what_is_defined_twice_is_in_one_split(files):
    for seed in range(4):
        # Other places of the repeated ones.
        path = files / "wordnet" / "data.noun"
        rows = path.read_text().splitlines(keepends=True)
        path.write_text("".join([rows[0], *rows[2:], rows[1]]))
        found = read(Request(files))
        for text in ("one's twenty - first word ; another", "the same"):
            homes = [part.count(text) for part in everything(found) if text in part]
            assert homes in ([2], []), (seed, homes)
    assert "Of 60 definitions, 2 repeat another one" in found.notes[0]


def test_options_cut_and_count(files):
    found = read(Request(files), vocabulary=5, length=4)
    assert found.shape == (4, 7)
    assert "are cut at 4 tokens" in found.notes[1]
    with pytest.raises(UserError, match=r"wordnet\[length\] must be from 2"):
        vaebench.read("wordnet[length=1]", files)


def test_debians_folder_is_read_too(files):
    expected = read(Request(files)).hash()
    (files / "wordnet").rename(files / "debian")
    assert read(Request(NOWHERE)).hash() == expected


def test_missing_files_name_both_remedies(files):
    (files / "wordnet" / "data.adv").unlink()
    with pytest.raises(UserError, match=r"wordnet-base, .*--data-dir or \$VAEBENCH_DATA") as found:
        vaebench.read("wordnet", files)
    assert str(files / "wordnet") in str(found.value)


@pytest.mark.parametrize("damage", [lambda t: t[:900], lambda t: t + "x\n", lambda t: t + "\xff"])
def test_damaged_files_are_refused(files, damage):
    path = files / "wordnet" / "data.verb"
    path.write_text(damage(path.read_text()), encoding="latin1")
    with pytest.raises(UserError, match=r"data\.verb is damaged, or not of WordNet 3\.0"):
        read(Request(files))


@pytest.mark.slow
def test_the_whole_of_it():
    root = Path(os.environ.get("VAEBENCH_DATA") or "data")
    try:
        found = vaebench.read("wordnet", root)
    except UserError as error:
        pytest.skip(str(error))
    splits = (found.train, found.validation, found.test)
    assert sum(map(len, splits)) == 117_659
    assert found.shape == (20, 10_002)
    assert all(len(split.labels.unique()) == 45 for split in splits)
    assert found.hash() == "f4871dd87de61bdd"
