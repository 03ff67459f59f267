import numpy as np
import pytest

from tests.report.make_run import result, write_cell
from tests.report.written import sheets_of
from vaebench.report.cautions import sentences
from vaebench.report.summary import summary, told, undecided
from vaebench.runs import files


def block_of(run):
    (sheet,) = sheets_of(run)
    return sheet, sheet.blocks[0]


def write(run, name, seed=0, *, objective=None, **metrics):
    """A made-up cell, with its validation objective by epoch and entries of its metrics."""
    found = result(name, seed)
    for column, change in metrics.items():
        found["metrics"][column] |= change
    folder = write_cell(run, found)
    if objective is not None:
        rows = [f"{epoch},{value}" for epoch, value in enumerate(objective, 1)]
        files.write_text(folder / "history.csv", "\n".join(["epoch,valid_objective", *rows]))


LEVEL = [-40.0, -30.0, -25.0, *[-23.0] * 17]
RISING = np.linspace(-40, -23, 20)


@pytest.mark.parametrize("objective", [RISING, RISING[:2], RISING[:1]])
def test_no_verdict_rests_on_a_model_that_still_learns(tmp_path, objective):
    write(tmp_path, "gaussian", objective=LEVEL)
    write(tmp_path, "gmm", objective=LEVEL)
    write(tmp_path, "iaf", objective=objective)
    sheet, block = block_of(tmp_path)
    assert {row.label for row in block.rows if row.entries["elbo"].mark} <= {"gaussian", "gmm"}
    for found in block.verdicts.values():
        assert "iaf" not in (found.best, *found.differences)
    said = " ".join(summary(sheet, block))
    assert "Not converged" in said and "iaf (" in said and "gmm (" not in said
    noted = {row.label: [sheet.notes[n - 1] for n in row.notes] for row in block.rows}
    assert [text.split(",")[0] for text in noted["iaf"]] == ["Not converged"]
    assert noted["gmm"] == noted["gaussian"] == []


def test_the_rise_is_told_with_its_share(tmp_path):
    write(tmp_path, "iaf", objective=RISING)
    (found,) = block_of(tmp_path)[1].cautions
    slope = 17 / 19
    assert found.text.startswith(f"+{3 * slope:.2g} nats in the last 4 of 20 epochs, 16%")


def test_a_table_of_models_that_learnt_nothing_has_no_winner(tmp_path):
    for name in ("gaussian", "iaf", "gmm"):
        write(tmp_path, name, objective=RISING[:2])
    sheet, block = block_of(tmp_path)
    assert block.verdicts == {} and block.pairs == {}
    assert not any(entry.mark for row in block.rows for entry in row.entries.values())
    assert not any("best" in sentence for sentence in summary(sheet, block))


def test_a_rise_to_no_more_than_the_first_value_is_all_that_was_gained(tmp_path):
    fell = [-20.0, *(-30 + 0.1 * k for k in range(19))]
    write(tmp_path, "gaussian", objective=fell)
    (caution,) = block_of(tmp_path)[1].cautions
    assert caution.kind.startswith("Not converged") and "100% of all it gained" in caution.text


def test_noise_about_a_level_is_no_rise(tmp_path):
    own = np.random.default_rng(0)
    for seed in range(20):
        noisy = [-40.0, *(-23 + 0.2 * own.normal(size=39))]
        write(tmp_path, "gaussian", seed, objective=noisy)
    assert block_of(tmp_path)[1].cautions == []


def test_numbers_that_are_not_trusted_or_of_few_images_enter_no_verdict(tmp_path):
    write(tmp_path, "gaussian")
    write(tmp_path, "gmm")
    doubted = {"trusted": False, "warning": "20 of 64 images are not to be trusted", "value": 0.0}
    write(tmp_path, "iaf", log_likelihood_ais=doubted, elbo={"n": 4, "value": 0.0})
    block = block_of(tmp_path)[1]
    for column in ("log_likelihood_ais", "elbo"):
        assert block.verdicts[column].best in ("gaussian", "gmm")
    said = " ".join(sentences(block.cautions))
    assert "20 of 64 images are not to be trusted" in said and "too few items" in said


def test_samples_like_noise_enter_no_verdict(tmp_path):
    for name, value in (("gaussian", 50.0), ("gmm", 9.0), ("iaf", 8.0)):
        found = result(name, 0)
        found["metrics"]["fid_digits"] |= {"value": value, "role": "samples", "place": 1}
        found["metrics"]["fid_digits_noise"] = found["metrics"]["fid_digits"] | {"value": 42.0}
        write_cell(tmp_path, found)
    block = block_of(tmp_path)[1]
    assert "gaussian" not in block.verdicts["fid_digits"].differences
    assert "gaussian (50" in " ".join(sentences(block.cautions))


def test_a_seed_far_from_its_siblings_is_named_and_counts(tmp_path):
    for name in ("gaussian", "gmm", "iaf"):
        for seed, value in enumerate((-25.3, -25.2, -25.4)):
            stray = name == "iaf" and seed == 1
            change = {"value": -39.6 if stray else value, "role": "likelihood", "place": 1}
            write(tmp_path, name, seed, log_likelihood_ais=change)
    block = block_of(tmp_path)[1]
    (said,) = sentences(block.cautions)
    assert "iaf (seed 1: -39.6" in said and "the others -25.4" in said
    assert "iaf" in block.verdicts["log_likelihood_ais"].differences


@pytest.mark.parametrize(
    ("objective", "hurried"), [([*np.linspace(-40, -23, 12), *[-23.0] * 8], True), (LEVEL, False)]
)
def test_a_learning_rate_that_decays_hides_no_rise(tmp_path, objective, hurried):
    """Both are level at the end, but one still rose when its learning rate fell below half."""
    write(tmp_path, "gaussian", objective=LEVEL)
    write(tmp_path, "gmm", objective=LEVEL)
    folder = write_cell(tmp_path, result("iaf", 0))
    rates = 1 + np.cos(np.pi * np.arange(20) / 20)
    rows = [
        f"{i},{rate},{value}" for i, (rate, value) in enumerate(zip(rates, objective, strict=True))
    ]
    files.write_text(folder / "history.csv", "\n".join(["epoch,lr,valid_objective", *rows]))
    sheet, block = block_of(tmp_path)
    said = [text for text in summary(sheet, block) if "learning rate was lowered" in text]
    assert any("iaf" in text for text in said) == hurried
    assert not any("gmm" in text for text in said)
    for found in block.verdicts.values():
        assert ("iaf" in (found.best, *found.differences)) != hurried
    (row,) = (row for row in block.rows if row.label == "iaf")
    assert not (hurried and any(entry.mark for entry in row.entries.values()))


def test_a_code_that_says_nothing_is_named(tmp_path):
    write(tmp_path, "gaussian", objective=LEVEL)
    write(tmp_path, "iaf", objective=LEVEL, active_units={"value": 0.0}, kl={"value": 0.3})
    (found,) = block_of(tmp_path)[1].cautions
    assert found.label == "iaf" and "KL 0.3 nats" in found.text


def test_where_nothing_may_enter_a_verdict_that_is_said(tmp_path):
    for name in ("gaussian", "iaf"):
        write(tmp_path, name, objective=LEVEL, log_likelihood_ais={"n": 4})
    sheet, block = block_of(tmp_path)
    column = next(c for c in sheet.columns if c.name == "log_likelihood_ais")
    assert undecided(column, block).startswith("No verdict: gaussian and iaf must not enter one")
    assert undecided(next(c for c in sheet.columns if c.name == "elbo"), block) == ""


def test_what_concerns_hidden_columns_is_told_apart(tmp_path):
    write(tmp_path, "gaussian", objective=LEVEL, iwae_128={"n": 4}, elbo={"n": 4})
    write(tmp_path, "iaf", objective=LEVEL)
    sheet, block = block_of(tmp_path)
    first, rest = told(block, sheet.columns)
    assert any("ELBO rests on too few" in text for text in first) and len(rest) == 1
    assert "L₁₂₈ rests" in rest[0] and not any("L₁₂₈" in text for text in first)


def test_networks_of_its_own_keep_a_row_out_of_verdicts_unless_all_have_them(tmp_path):
    for run, networks in (
        ("mixed", {"gaussian": "", "gmm": "", "iaf": "other.networks"}),
        ("alike", dict.fromkeys(("gaussian", "gmm", "iaf"), "other.networks")),
    ):
        for name, own in networks.items():
            found = result(name, 0)
            found["variant"]["networks"] = own
            write_cell(tmp_path / run, found)
    sheet, block = block_of(tmp_path / "mixed")
    assert block.verdicts["elbo"].differences
    for found in block.verdicts.values():
        assert "iaf" not in (found.best, *found.differences)
    noted = {row.label: [sheet.notes[n - 1] for n in row.notes] for row in block.rows}
    assert noted["gaussian"] == noted["gmm"] == []
    assert "encoder and decoder" in noted["iaf"][0] and "enter no verdict" in noted["iaf"][1]
    sheet, block = block_of(tmp_path / "alike")
    compared = block.verdicts["elbo"]
    assert {compared.best, *compared.differences} == {"gaussian", "gmm", "iaf"}
    assert [len(row.notes) for row in block.rows] == [1, 1, 1]


def test_learning_rates_that_cannot_be_cost_nobody_the_page(tmp_path):
    write(tmp_path, "gaussian")
    (folder,) = (tmp_path / "cells").iterdir()
    rows = [f"{epoch},{-1 - epoch},{-30 + epoch}" for epoch in range(9)]
    files.write_text(folder / "history.csv", "\n".join(["epoch,lr,valid_objective", *rows]))
    assert [one.label for one in block_of(tmp_path)[1].cautions] == ["gaussian"]
