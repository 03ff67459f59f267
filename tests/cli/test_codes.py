"""Trained cells draw, encode and decode pictures and texts."""

import csv
import json
import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from tests.finished import train
from vaebench import read
from vaebench.execution.codec import codec
from vaebench.runs import files, records


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("codes") / "trained"
    return folder / "cells" / train(folder)


def test_a_trained_cell_samples_encodes_and_decodes(vaebench, trained, tmp_path):
    assert vaebench("sample", trained, "--n", "20", "--out", "grid.png").exit_code == 0
    with Image.open("grid.png") as image:
        assert image.size == (16 * 34, 2 * 34)
        image.crop((1, 1, 33, 33)).save("one.png")
    done = vaebench("encode", trained, "one.png", "grid.png", "--out", "codes.csv")
    assert done.exit_code == 0, done.output
    with open("codes.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["picture"] for row in rows] == ["one.png", "grid.png"]
    assert list(rows[0]) == ["picture", "z0", "z1", "z2"]
    assert vaebench("decode", trained, "codes.csv", "--out", "again.png").exit_code == 0
    with Image.open("again.png") as image:
        assert image.size == (16 * 34, 34)


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "z0,z1,z2\n1,2,nan\n", "z0,z1,z2\n", "z0\n1\n"])
def test_codes_that_are_none_are_refused(vaebench, trained, tmp_path, text):
    (tmp_path / "codes.csv").write_text(text)
    done = vaebench("decode", trained, "codes.csv", "--out", "again.png")
    assert done.exit_code == 2
    assert not (tmp_path / "again.png").exists()


def test_what_is_no_picture_is_refused(vaebench, trained, tmp_path):
    (tmp_path / "a.png").write_text("nothing")
    done = vaebench("encode", trained, "a.png", "--out", "codes.csv")
    assert done.exit_code == 2 and "as a picture" in done.output


def test_pipes_and_postscript_are_refused(vaebench, trained):
    os.mkfifo("pipe.png")
    with open("script.png", "w") as file:
        file.write("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\nshowpage\n")
    for name, words in (("pipe", "not a regular file"), ("script", "as a picture")):
        done = vaebench("encode", trained, f"{name}.png", "--out", "codes.csv")
        assert done.exit_code == 2 and words in done.output


def test_what_is_converted_is_said(vaebench, trained):
    Image.new("RGB", (28, 20)).save("colour.png")
    Image.new("RGB", (28, 20)).save("another.png")
    Image.new("L", (8, 8)).save("right.png")
    pictures = ("colour.png", "right.png", "another.png")
    done = vaebench("encode", trained, *pictures, "--out", "codes.csv")
    assert done.exit_code == 0
    assert done.stderr == (
        "Converted colour.png and 1 more: 28×20 → 8×8 (its middle), colour made grey.\n"
    )
    assert done.stdout == "codes.csv\n"


def write_codes(names, path="codes.csv"):
    rows = [
        [f"{(row + 1) / (len(name) + column)}" for column, name in enumerate(names)]
        for row in range(2)
    ]
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([names, *rows])


def test_columns_of_codes_are_found_by_name(vaebench, trained):
    with open("plain.csv", "w") as file:
        file.write("z0,z1,z2\n.1,.2,-.3\n1,2,-3\n")
    with open("other.csv", "w") as file:
        file.write("\ufeffz2,picture, z0 ,z1\n-.3,a.png,.1,.2\n-3,b.png,1e0,2\n")
    pictures = []
    for name in ("plain", "other"):
        done = vaebench("decode", trained, f"{name}.csv", "--out", f"{name}.png")
        assert done.exit_code == 0, done.output
        with Image.open(f"{name}.png") as image:
            pictures.append(image.tobytes())
    assert pictures[0] == pictures[1]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("z0", "z1", "z99"), "no column z2; the cell takes z0 to z2, the file has columns z0, z1"),
        (("z0", "z2"), "no column z1"),
        (("z0", "z1", "z2", "z3"), "a column z3; the cell takes z0 to z2"),
        (("z0", "z1", "z2", "z1"), "column z1 more than once"),
        (("z0", "z1", "z2", "Z1"), "a column Z1"),
        (("z00", "z1", "z2"), "no column z0"),
        (("a", "b\x1b"), r"the file has columns a, b\x1b"),
    ],
)
def test_columns_that_are_missing_or_too_many_are_named(vaebench, trained, names, words):
    write_codes(names)
    done = vaebench("decode", trained, "codes.csv", "--out", "a.png")
    assert done.exit_code == 2 and words in done.output


def test_a_picture_is_encoded_as_training_saw_it(vaebench, trained):
    inside = np.random.default_rng(0).integers(0, 256, (8, 8)).astype(np.uint8)
    wide = np.zeros((8, 24), np.uint8)
    wide[:, 8:16] = inside
    Image.fromarray(inside).save("inside.png")
    Image.fromarray(wide).save("wide.png")
    Image.fromarray(inside.astype(np.uint16) * 257).save("deep.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(inside).transpose(Image.Transpose.ROTATE_90).save("turned.png", exif=exif)
    names = ("inside.png", "wide.png", "deep.png", "turned.png")
    done = vaebench("encode", trained, *names, "--out", "codes.csv")
    assert done.exit_code == 0, done.output
    for words in ("24×8 → 8×8 (its middle)", "deep.png: scaled to 8 bits", "turned.png: turned"):
        assert words in done.stderr
    with open("codes.csv", newline="") as file:
        rows = [row[1:] for row in csv.reader(file)]
    assert len(rows) == 5 and all(row == rows[1] for row in rows[2:])


def test_pictures_are_inverted_where_those_of_the_data_set_are(trained, tmp_path):
    Image.new("L", (8, 8), 255).save(tmp_path / "white.png")
    run = trained.parents[1]
    model = codec(run, records.cells(run)[0])
    assert (model.read(tmp_path / "white.png") == 1).all()
    assert (replace(model, dataset="omniglot").read(tmp_path / "white.png") == 0).all()


def test_codes_that_the_prior_cannot_draw_are_said(vaebench, tmp_path):
    cell = tmp_path / "cells" / train(tmp_path, plugin="vmf")
    (tmp_path / "codes.csv").write_text("z0,z1,z2\n1,0,0\n0,3,0\n")
    done = vaebench("decode", cell, "codes.csv", "--out", "a.png")
    assert done.exit_code == 0
    assert done.stderr.startswith("1 of 2 codes lie outside the support of the prior")
    (tmp_path / "codes.csv").write_text("z0,z1,z2\n1,0,0\n")
    assert not vaebench("decode", cell, "codes.csv", "--out", "a.png").stderr


TEXT = {"likelihood": "tokens", "binarise": "none", "backbone": "lstm"}


@pytest.fixture(scope="module")
def sentences(tmp_path_factory):
    """A cell of sentences that are cut at six words, and what it was trained on."""
    folder = tmp_path_factory.mktemp("codes")
    path = folder / "some.txt"
    some = ["the cat sat on a mat", "a dog ran", "the dog sat", "=a cat", "on the mat ran a dog"]
    path.write_text("".join(f"{line}\n" for line in some * 8))
    name = f"text:{path}[length=6]"
    known = read(name)
    run = folder / "run"
    return run / "cells" / train(run, dataset=name, data=known.hash(), **TEXT), known


def test_a_trained_cell_of_text_samples_encodes_and_decodes(vaebench, sentences, tmp_path):
    cell, known = sentences
    done = vaebench("sample", cell, "--n", "20", "--out", "drawn.txt")
    assert done.exit_code == 0, done.output
    drawn = (tmp_path / "drawn.txt").read_text().splitlines()
    assert len(drawn) == 20 and {w for line in drawn for w in line.split()} <= {*known.vocabulary}
    lines = ("the cat sat on a mat", "=a cat", "a  bird ran")
    (tmp_path / "mine.txt").write_text("\n\n".join(lines))
    done = vaebench("encode", cell, "mine.txt", "--out", "codes.csv")
    assert done.exit_code == 0, done.output
    assert done.stderr == "1 of 11 words are not in the vocabulary, such as 'bird'.\n"
    with open("codes.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["text"] for row in rows] == [lines[0], "'=a cat", "a bird ran"]
    run = cell.parents[1]
    model = codec(run, records.one(run, cell.name)).model
    with torch.no_grad():
        tokens = known.tokens(lines)
        means = model.encode(tokens).mean
        copies = known.words(model.observation.likely(means))
    assert tokens.tolist()[2][1] == known.vocabulary.index("<unk>")
    found = np.array([[row[f"z{i}"] for i in range(3)] for row in rows], float)
    assert found == pytest.approx(means.numpy(), rel=1e-5)
    assert vaebench("decode", cell, "codes.csv", "--out", "again.txt").exit_code == 0
    assert (tmp_path / "again.txt").read_text().splitlines() == copies


def test_texts_that_the_model_cannot_know_are_refused(vaebench, sentences, tmp_path):
    cell, _ = sentences
    (tmp_path / "blank.txt").write_text("\n \n")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n")
    for name, words in (("blank", "a sentence a line"), ("latin", "UTF-8")):
        done = vaebench("encode", cell, f"{name}.txt", "--out", "codes.csv")
        assert done.exit_code == 2 and words in done.output
    source = "hmm[items=60,length=4]"
    run = tmp_path / "run"
    cell = run / "cells" / train(run, dataset=source, data=read(source).hash(), **TEXT)
    for line, words in (("3 1 2", "has 3 symbols"), ("3 1 2 x", "'x' is none of the 20 words")):
        (tmp_path / "a.txt").write_text(line)
        done = vaebench("encode", cell, "a.txt", "--out", "codes.csv")
        assert done.exit_code == 2 and words in done.output
    assert not (tmp_path / "codes.csv").exists()


def test_items_are_written_to_files_of_their_kind(vaebench, trained, sentences):
    for cell, out, words in ((trained, "a.txt", ".png"), (sentences[0], "a.png", ".txt")):
        done = vaebench("sample", cell, "--out", out)
        assert done.exit_code == 2 and f"end in {words}" in done.output


@pytest.mark.parametrize(
    "kept", [None, {}, {"words": ["a"], "separator": " "}, {"words": ["a\x1b"] * 12}]
)
def test_a_vocabulary_that_is_none_is_refused(vaebench, sentences, tmp_path, kept):
    cell = sentences[0]
    copy = tmp_path / "run" / "cells" / cell.name
    copy.mkdir(parents=True)
    for path in cell.iterdir():
        if path.is_file() and path.name != "vocabulary.json":
            (copy / path.name).write_bytes(path.read_bytes())
    if kept is not None:
        (copy / "vocabulary.json").write_text(json.dumps(kept))
    files.write_result(copy, files.read_json(cell / "result.json"))
    done = vaebench("sample", copy, "--out", "a.txt")
    assert done.exit_code == 2 and "run the same command again" in done.output
