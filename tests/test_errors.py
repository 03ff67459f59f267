from pathlib import Path

import vaebench
from vaebench.errors import LONGEST, UserError, meant, nearest, short, unknown


def test_an_unknown_name_gets_the_closest_one_and_the_others():
    assert str(unknown("critic", "patch", ["none", "patchgan"])) == (
        "No critic 'patch'. Did you mean 'patchgan'? Available: none, patchgan."
    )
    assert str(unknown("critic", "x", [])) == "No critic 'x'. Available: none."


def test_a_long_list_does_not_hide_the_name_that_was_meant():
    names = [f"metric{i}" for i in range(40)] + ["elbo"]
    assert str(unknown("metric", "elb", names)) == (
        "No metric 'elb'. Did you mean 'elbo'? There are 41 to choose from."
    )
    assert "metric39" in str(unknown("metric", "quite another", names))


def test_a_reason_is_its_first_line_and_no_longer_than_fits():
    assert short("  one\ntwo") == "one"
    assert short("") == ""
    assert short("x" * LONGEST) == "x" * LONGEST
    cut = short("x" * (LONGEST + 1))
    assert len(cut) == LONGEST and cut.endswith("x…")


def test_the_nearest_begin_alike():
    cells = ["gaussian-digits-s0-12345678", "gmm-digits-s0-12345678", "vmf-mnist-s0-12345678"]
    assert nearest("gausian", cells) == cells[:1]
    assert nearest("vmf-mnits", cells) == cells[2:]
    assert nearest("poisson", cells) == []
    assert nearest("", cells) == []
    assert len(nearest("gaussian", [f"gaussian-{i}" for i in range(9)], 2)) == 2


def test_the_nearest_are_alike_as_a_whole_or_begin_alike():
    assert nearest("scale", ["log_scale", "steps"], 1) == ["log_scale"]
    assert nearest("gaus", ["gaussian-digits-s0", "gmm"], 1) == ["gaussian-digits-s0"]


def test_what_was_meant_is_asked():
    assert meant([]) == ""
    assert meant(["a", "b"]) == "Did you mean 'a' or 'b'?"


def test_likeness_is_judged_in_one_place():
    root = Path(vaebench.__file__).parent
    assert [p.name for p in root.rglob("*.py") if "difflib" in p.read_text()] == ["errors.py"]


def test_what_a_sentence_quotes_of_strangers_turns_nothing_on_the_terminal():
    said = str(UserError("a folder named \x1b[31mred\u202e\x07 and\ra plugin's Übel"))
    assert said == "a folder named \ufffd[31mred\ufffd\ufffd and\ufffda plugin's Übel"
    assert short("\x1b]0;title\x07 says\nmore") == "\ufffd]0;title\ufffd says"
