import numpy as np
import pytest

from vaebench.runs import files, numbers


def write(run, contents):
    for cell, content in contents.items():
        files.write_bytes(run / "cells" / cell / "n.csv", content.encode())
    return numbers.read(run, contents, "n.csv", "epoch")


def test_many_files_are_read_as_each_would_be_to_the_bit(tmp_path):
    draws = np.random.default_rng(0)
    scale = 10.0 ** draws.integers(-30, 30, (40, 9, 2))
    values = draws.normal(size=(40, 9, 2)) * scale
    contents = {
        f"c{k}": "a,epoch,b\n"
        + "".join(f"{a!r},{n},{b!r}\n" for n, (a, b) in enumerate(one.tolist()))
        for k, one in enumerate(values)
    }
    found = write(tmp_path, contents)
    for one, expected in zip(found.values(), values, strict=True):
        assert one.index.tolist() == list(range(9)) and list(one) == ["a", "b"]
        assert (one["a"] == expected[:, 0]).all() and (one["b"] == expected[:, 1]).all()
    alone = numbers.read(tmp_path, ["c7"], "n.csv", "epoch")["c7"]
    assert (alone.values == found["c7"].values).all()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("epoch,b\n1,2\n1,3\n0,4\n", {0: 4, 1: 2}),
        ("epoch,b\n1,\n2,1e300\nx,3\n", {1: None, 2: None}),
        ("epoch,b\n1,word\n2,1_0", {1: None, 2: 10}),
        ('epoch,"b"\n1,"7"\n', {1: 7}),
        ("epoch,b\r\n1,7\r\n", {1: 7}),
        ("epoch,b\n1,7,8\n2\n", {}),
        ("epoch,b,b\n1,7,8\n", {}),
        ("b\n1\n", {}),
        ("", {}),
    ],
)
def test_one_damaged_file_costs_the_others_nothing(tmp_path, content, expected):
    whole = "epoch,b\n1,7\n2,8\n"
    found = write(tmp_path, {"a": whole, "damaged": content, "z": whole})
    assert found["a"]["b"].tolist() == found["z"]["b"].tolist() == [7, 8]
    one = found["damaged"]
    values = dict(zip(one.index.tolist(), one["b"].tolist() if len(one) else [], strict=True))
    assert {k: None if np.isnan(v) else v for k, v in values.items()} == expected


def test_a_file_that_is_missing_or_elsewhere_is_empty(tmp_path):
    files.write_text(tmp_path / "n.csv", "epoch,b\n1,7\n")
    (tmp_path / "run" / "cells" / "a").mkdir(parents=True)
    (tmp_path / "run" / "cells" / "a" / "n.csv").symlink_to(tmp_path / "n.csv")
    found = numbers.read(tmp_path / "run", ["a", "b"], "n.csv", "epoch")
    assert not len(found["a"]) and not len(found["b"])
