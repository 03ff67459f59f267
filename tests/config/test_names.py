import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaebench.config.command import command
from vaebench.config.names import (
    absolute,
    alike,
    expand,
    join,
    leads_to,
    parse,
    shown,
    spell,
    split,
)
from vaebench.errors import UserError

words = st.text("abcxyz_", min_size=1, max_size=5)
values = st.text("abc0123.-", min_size=1, max_size=5)


@given(words, st.dictionaries(words, values, max_size=4))
def test_parse_inverts_spell(name, options):
    assert parse(spell(name, options)) == (name, options)


@given(st.lists(st.builds(spell, words, st.dictionaries(words, values, max_size=3)), min_size=1))
def test_split_keeps_bracketed_commas_together(items):
    assert split(",".join(items)) == items


@given(st.lists(st.text("ab,/ .", min_size=1).map(str.strip).filter(bool), min_size=1))
def test_split_inverts_join_whatever_commas_the_items_have(items):
    assert split(join(items)) == items


def test_a_comma_in_a_path_is_escaped():
    assert split(r"mnist,folder:/my pictures/a\,b,digits") == [
        "mnist",
        "folder:/my pictures/a,b",
        "digits",
    ]
    words = command({"plugin": "gaussian", "dataset": "folder:/a,b"}, {})
    assert r"'folder:/a\,b'" in words


def test_paths_become_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    assert absolute("pics") == f"{tmp_path}/pics"
    assert absolute("../pics/") == f"{tmp_path.parent}/pics"
    assert absolute("~/a:b") == "/home/me/a:b"
    for path in ("/data/pics/", "/a/../b"):
        assert absolute(path) == path
    assert leads_to("folder:pics", f"folder:{tmp_path}/pics")
    assert leads_to("package:name:a:b", f"package:name:{tmp_path}/a:b")
    assert not leads_to("folder:pics", "folder:/elsewhere/pics")
    assert not leads_to("mnist", "mnist")
    tmp_path.rmdir()
    with pytest.raises(UserError, match="working directory that is gone"):
        absolute("pics")


def test_alternatives_make_every_combination():
    found = expand("gmm[components=8|16,samples=1|2]")
    assert found == [
        "gmm[components=8,samples=1]",
        "gmm[components=8,samples=2]",
        "gmm[components=16,samples=1]",
        "gmm[components=16,samples=2]",
    ]


def test_booleans_are_spelled_in_lower_case():
    assert spell("gamix", {"corrected": True}) == "gamix[corrected=true]"


@pytest.mark.parametrize("text", ["gmm[", "gmm]", "", "a[b]", "a[=1]", "a[b=c]d"])
def test_what_cannot_be_read_is_refused(text):
    with pytest.raises(UserError, match="Cannot read"):
        parse(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [(8.0, "8"), (8, "8"), (0.002, "0.002"), (1e-05, "1e-05"), ("8.0", "8.0"), (True, "True")],
)
def test_whole_numbers_are_shown_without_a_point(value, text):
    assert shown(value) == text
    assert type(value) is not float or float(shown(value)) == value


@pytest.mark.parametrize("text", ["iwae[samples=3,samples=5]", "gmm[components=2, components=2]"])
def test_an_option_is_said_once(text):
    with pytest.raises(UserError, match="twice; write it once"):
        parse(text)


def test_spellings_that_say_the_same_are_alike():
    for one, other in (
        ("m2[alpha=1]", "m2[alpha=1.0]"),
        ("gmm[components=4,estimator=exact]", "gmm[estimator=exact,components=4]"),
        ("poisson[rate=1e-3]", "poisson[rate=0.001]"),
        ("a[b", "a[b"),
    ):
        assert alike(one, other) and alike(other, one)
    for one, other in (
        ("m2[alpha=1]", "m2"),
        ("m2[alpha=1]", "m2[alpha=2]"),
        ("m2[alpha=1]", "m1[alpha=1]"),
        ("a[b", "a"),
        ("0.10", "0.1"),
    ):
        assert not alike(one, other)
