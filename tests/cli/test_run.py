"""Where `vaebench run` is told its variants."""

import pytest
from click.testing import CliRunner

from vaebench.cli.app import main
from vaebench.execution import driver


@pytest.fixture
def asked(monkeypatch):
    """Runs the command up to its settings, which come back with what was printed."""

    def run(*arguments):
        found = []
        monkeypatch.setattr(driver, "run", lambda settings, where: found.append(settings) or 0)
        done = CliRunner().invoke(main, ["run", *arguments])
        return (found[0] if found else None), done

    return run


@pytest.mark.parametrize(
    "words",
    [
        ("gaussian", "gmm[components=8,samples=2]"),
        ("gaussian,gmm[components=8,samples=2]",),
        ("--plugins", "gaussian,gmm[components=8,samples=2]"),
    ],
)
def test_variants_are_named_by_themselves_or_by_a_flag(asked, words):
    settings, done = asked(*words, "--epochs", "3")
    assert done.exit_code == 0
    assert settings.plugins == ("gaussian", "gmm[components=8,samples=2]")
    assert settings.epochs == (3,)


def test_variants_override_those_of_a_file(asked, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("plugins: [gmm, iaf]\nepochs: 5\n")
    settings, _ = asked("iwae", "--config", str(path))
    assert settings.plugins == ("iwae",) and settings.epochs == (5,)
    settings, _ = asked("--config", str(path))
    assert settings.plugins == ("gmm", "iaf")


def test_variants_named_twice_are_refused(asked):
    settings, done = asked("gaussian", "--plugins", "gmm")
    assert settings is None and done.exit_code == 2
    assert "named twice" in done.output and "one of the two places" in done.output
