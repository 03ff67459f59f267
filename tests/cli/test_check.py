"""What `vaebench check` prints: causes first, one error once, no law left unnamed."""

import io

import pytest
from click.testing import CliRunner
from rich.console import Console

from vaebench import testing
from vaebench.cli.app import main
from vaebench.cli.check import Waiting, show


def result(check, status="passed", message="", law=""):
    return {
        "variant": "mine", "check": check, "law": law or check, "status": status,
        "message": message, "warnings": [], "seconds": 0.1,
    }  # fmt: skip


def shown(*results, figures=False):
    screen = Console(file=io.StringIO(), soft_wrap=True, highlight=False, width=500)
    show(screen, list(results), figures)
    return screen.file.getvalue()


def test_one_error_under_many_laws_is_said_once():
    error = "raised NameError: name 'contxt' is not defined (mine.py:9)"
    laws = [f"law{i}" for i in range(30)]
    text = shown(result("name"), *(result(law, "failed", f"{error}\nhint {law}") for law in laws))
    assert text.count("NameError") == 1 and "hint" not in text
    assert "30 laws fail alike" in text and all(law in text for law in laws)


def test_few_laws_with_one_error_keep_their_hints():
    text = shown(*(result(c, "failed", f"raised E: x (y)\nhint {c}") for c in ("a", "b")))
    assert "a: hint a" in text and "b, if it stays broken: hint b" in text


def test_the_first_broken_law_is_named_as_the_one_to_look_at():
    figures = "\n".join(f"figure {i}" for i in range(9))
    text = shown(
        result("shapes"),
        result("normalised", "failed", f"{figures}\na constant?"),
        result("kl", "failed", f"{figures}\nanother hint"),
    )
    assert text.startswith("mine breaks 2 of 3 laws: 1 passed, 2 failed in ")
    assert "Look at normalised first" in text
    assert text.index("a constant?") < text.index("figure 0") < text.index("another hint")
    assert "figure 1" not in text and text.count("… and 8 more figures: --figures") == 2
    assert "first" not in shown(result("kl", "failed", "x\nhint"))


def test_all_figures_on_request():
    figures = "\n".join(f"figure {i}" for i in range(9))
    text = shown(result("kl", "failed", f"{figures}\na hint"), figures=True)
    assert "figure 8\n" in text and "more figures" not in text
    assert "figure" not in shown(result("kl", "out of date", "delete the entry"))


def test_the_verdict_comes_first_and_what_does_not_apply_last():
    noted = result("kl") | {"warnings": ["narrow"]}
    text = shown(result("shapes"), result("blocks", "does not apply", "no chain"), noted)
    assert text.startswith("mine conforms: 2 passed, 1 not applicable in 0.3 s\n")
    assert text.index("narrow") < text.index("not applicable: blocks (no chain)")


def test_laws_that_do_not_apply_or_are_declared_are_named_with_the_reason():
    text = shown(
        result("sampler", "does not apply", "q has no density"),
        result("kl", "does not apply", "q has no density"),
        result("evidence", "expected failure", "x\ny", law="bound"),
    )
    assert "2 not applicable" in text and "1 expected to fail" in text
    assert "not applicable: sampler, kl (q has no density)" in text
    assert "expected to fail: evidence (declared under 'bound')" in text


def test_a_log_shows_that_the_examination_goes_on(capsys, monkeypatch):
    monkeypatch.setattr("vaebench.cli.check._PAUSE", 0.0)
    with Waiting(["mine[on=true]"]) as waiting:
        waiting.at(0, "name", 0, 31)
        waiting.at(0, "kl", 8, 31)
        waiting.done(0)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "mine[on=true]: examining law 1 of 31, name"
    assert lines[1] == "mine[on=true]: examining law 9 of 31, kl"


def test_the_kit_tells_which_law_it_is_at(monkeypatch):
    from vaebench import Gaussian, Variant

    chosen = testing.CHECKS[:3]
    monkeypatch.setattr(testing, "CHECKS", chosen)
    told = []
    testing.run(Variant("mine", Gaussian), progress=lambda *state: told.append(state))
    names = [*(check.name for check in chosen), "deviations"]
    assert told == [(name, i, 4) for i, name in enumerate(names)]


@pytest.mark.slow
def test_the_command_names_the_laws_that_do_not_apply():
    done = CliRunner().invoke(main, ["check", "gaussian"])
    assert done.exit_code == 0
    assert "not applicable: ways_to_draw" in done.stdout
    assert f"gaussian: examining law 1 of {len(testing.checks()) + 1}, name" in done.stderr


def test_what_follows_from_a_missing_number_is_only_named():
    text = shown(
        result("finite", "failed", "D=2: value [nan]\nwork in logarithms"),
        result("normalised", "failed", "nan\na constant?"),
        result("sampler", "failed", "p = 0\nanother source?"),
    )
    assert "Look at finite first" in text and "work in logarithms" in text
    assert "Broken too: normalised, sampler" in text
    assert "constant" not in text and "source" not in text
    alike = [result(c, "failed", f"raised E: no log_prob (x)\nhint {c}") for c in "abcd"]
    alike = [result("shapes", "failed", "raised E: no log_prob (x)\nwrap it"), *alike]
    text = shown(*alike)
    assert "5 laws fail alike" in text and "wrap it" in text and "hint a" not in text
