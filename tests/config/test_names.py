import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaebench.config.names import expand, parse, spell, split
from vaebench.errors import UserError

words = st.text("abcxyz_", min_size=1, max_size=5)
values = st.text("abc0123.-", min_size=1, max_size=5)


@given(words, st.dictionaries(words, values, max_size=4))
def test_parse_inverts_spell(name, options):
    assert parse(spell(name, options)) == (name, options)


@given(st.lists(st.builds(spell, words, st.dictionaries(words, values, max_size=3)), min_size=1))
def test_split_keeps_bracketed_commas_together(items):
    assert split(",".join(items)) == items


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
