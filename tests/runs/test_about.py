import pytest

from vaebench.errors import UserError
from vaebench.runs import about
from vaebench.runs.about import About


def test_texts_stay_until_they_are_changed_or_removed(tmp_path):
    assert about.read(tmp_path) == About()
    assert about.keep(tmp_path, "Priors", None) == About("Priors", "")
    assert about.keep(tmp_path, None, " two\nlines ") == About("Priors", "two\nlines")
    assert about.keep(tmp_path, None, None) == about.read(tmp_path) == About("Priors", "two\nlines")
    assert about.keep(tmp_path, "", None) == About("", "two\nlines")


def test_a_report_elsewhere_leaves_the_run_alone(tmp_path):
    about.keep(tmp_path / "run", "old", "note")
    assert about.keep(tmp_path / "run", "new", None, tmp_path / "out") == About("new", "note")
    assert about.read(tmp_path / "run").title == "old"
    assert about.read(tmp_path / "out") == About("new", "note")


def test_a_text_that_is_too_long_is_refused(tmp_path):
    with pytest.raises(UserError, match="--title has 201 characters; shorten it to 200"):
        about.keep(tmp_path, "x" * 201, None)
    assert about.read(tmp_path) == About()


@pytest.mark.parametrize("content", ["{", "[]", '{"title": 3, "note": ["x"]}'])
def test_a_damaged_file_says_nothing(tmp_path, content):
    (tmp_path / "about.json").write_text(content)
    assert about.read(tmp_path) == About()


def test_a_strangers_file_is_cut_and_printable(tmp_path):
    (tmp_path / "about.json").write_text('{"title": "\\u001b[31m' + "x" * 500 + '"}')
    title = about.read(tmp_path).title
    assert len(title) == 200 and "\x1b" not in title
    (tmp_path / "about.json").unlink()
    (tmp_path / "about.json").symlink_to("/etc/hostname")
    assert about.read(tmp_path) == About()
