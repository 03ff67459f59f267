import numpy as np
import pandas as pd
import pytest

from vaebench.errors import UserError
from vaebench.reproduction import curves, recipe, table

RECIPE = """
title: Synthetic
paper: None
setup: none
x: k
settings: {dataset: digits, metrics: [elbo]}
lines:
  A:
    against: {line: B}
    points: {1: {plugins: gaussian}, 5: {plugins: "gaussian[samples=5]"}}
  B:
    against: {line: A}
    points: {1: {plugins: iwae}, 5: {plugins: "iwae[samples=5]"}}
  C:
    matched: B
    points: {1: {plugins: ["beta-vae[beta=1.0]", "beta-vae[beta=2.0]"]}}
measures:
  "-score": {column: score, sign: -1, within: 0.25}
  gap: {column: score, minus: iwae_100@10}
budgets:
  full: {says: all}
  short: {says: less, without: [5]}
"""


@pytest.fixture
def load(tmp_path):
    def make(**papers):
        (tmp_path / "own.yaml").write_text(RECIPE)
        lines = [f"own,{line},1,-score,{value},,source" for line, value in papers.items()]
        text = "\n".join(["recipe,line,x,measure,value,std,source", *lines])
        (tmp_path / "published.csv").write_text(text)
        return recipe.load(str(tmp_path / "own.yaml"))

    return make


def cells(**scores):
    """Cells of plugins with a score for each seed, a rate of 10 and the curve's point 1."""
    names = {
        "A": "gaussian",
        "B": "iwae",
        "low": "beta-vae[beta=1.0]",
        "high": "beta-vae[beta=2.0]",
    }
    rates = {"low": 12.0, "high": 8.0}
    return pd.DataFrame(
        [
            {
                "plugin": names[line],
                "seed": seed,
                "score": score,
                "kl": rates.get(line, 9.0),
                "iwae_100@10": 1.0,
            }
            for line, values in scores.items()
            for seed, score in enumerate(values)
        ]
    )


def verdicts(found, budget, frame):
    rows = table.rows(found, budget, frame)
    return {
        row.key.line: row.verdict for row in rows if row.key.measure == "-score" and row.key.x == 1
    }


def test_a_number_in_the_interval_is_reproduced(load):
    found = load(A=80.0, B=79.0)
    frame = cells(A=[-79.9, -80.1, -80.0], B=[-79.2, -79.2, -79.2])
    assert verdicts(found, "full", frame) == {
        "A": "reproduced",
        "B": "reproduced",
        "C": "not run: no cell has finished",
    }


def test_the_right_side_of_its_partner_is_a_direction_in_the_short_budget_only(load):
    found = load(A=80.0, B=79.0)
    frame = cells(A=[-90.0, -90.2, -90.1], B=[-88.0, -88.3, -88.1])
    direction = "reproduced in direction (short budget)"
    short, full = (verdicts(found, budget, frame) for budget in ("short", "full"))
    assert (short["A"], short["B"]) == (direction, direction)
    assert full["A"].startswith("not reproduced: the same side of B, k = 1")


@pytest.mark.parametrize(
    ("scores", "says"),
    [
        ({"A": [-88.0, -88.1], "B": [-90.0, -90.1]}, "not reproduced: on the other side of B"),
        ({"A": [-88.0, -91.0], "B": [-90.0, -88.0]}, "not reproduced: not told from B"),
        ({"A": [-90.0], "B": [-88.0]}, "not reproduced: no second seed to tell it from B"),
        ({"A": [-90.0, -91.0]}, "not reproduced: another value, and no measured one of B"),
        ({"B": [-88.0]}, "not run: no cell has finished"),
    ],
)
def test_what_is_not_reproduced_says_why(load, scores, says):
    assert verdicts(load(A=80.0, B=79.0), "short", cells(**scores))["A"].startswith(says)


def test_a_direction_needs_a_published_number_of_both_rows(load):
    found = verdicts(load(A=80.0), "short", cells(A=[-90.0, -90.1], B=[-88.0, -88.1]))
    assert found["A"].endswith("another value, and no published one of B, k = 1")


def test_without_a_published_number_there_is_no_verdict(load):
    found = verdicts(load(B=79.0), "short", cells(A=[-90.0, -90.1], B=[-88.0, -88.1]))
    assert found["A"] == "no published number"
    assert found["B"].startswith("not reproduced")


def test_what_the_budget_leaves_out_is_named(load):
    rows = table.rows(load(A=80.0), "short", cells(A=[-80.0]))
    left = {row.verdict for row in rows if row.key.x == 5}
    assert left == {"not run: in the full budget only"}


def test_what_other_budgets_cover_is_said_of_them(load, tmp_path):
    text = RECIPE.replace("  short:", "  long: {says: more, without: [5]}\n  short:")
    (tmp_path / "own.yaml").write_text(text.replace("says: less, without: [5]", "says: less"))
    (tmp_path / "published.csv").write_text("recipe,line,x,measure,value,std,source\n")
    rows = table.rows(recipe.load(str(tmp_path / "own.yaml")), "long", cells(A=[-80.0]))
    left = {row.verdict for row in rows if row.key.x == 5}
    assert left == {"not run: in the full and short budgets only"}


def test_options_are_found_however_a_recipe_writes_them(load, tmp_path):
    load()
    text = RECIPE.replace("beta-vae[beta=1.0]", "beta-vae[beta=1]")
    (tmp_path / "own.yaml").write_text(text)
    own = recipe.load(str(tmp_path / "own.yaml"))
    found = cells(low=[-80.0], high=[-100.0])
    (point,) = [point for point in own.points if point.line == "C"]
    assert len(table.cells_of(own, "short", point, found)) == 2


def test_a_line_alone_is_left_out_by_its_name(load, tmp_path):
    load()
    text = RECIPE.replace("without: [5]", "without: {B: [5]}")
    (tmp_path / "own.yaml").write_text(text)
    own = recipe.load(str(tmp_path / "own.yaml"))
    assert {(p.line, p.x) for p in own.planned("short")} == {("A", 1), ("A", 5), ("B", 1), ("C", 1)}
    rows = table.rows(own, "short", cells(A=[-80.0]))
    left = {row.key.line: row.verdict for row in rows if row.key.x == 5}
    assert left["B"] == "not run: in the full budget only"
    (tmp_path / "own.yaml").write_text(RECIPE.replace("without: [5]", "without: {D: [5]}"))
    with pytest.raises(UserError, match="No line of own: 'D'"):
        recipe.load(str(tmp_path / "own.yaml"))


def test_a_control_is_interpolated_to_its_partners_rate(load):
    frame = cells(B=[-88.0], low=[-80.0], high=[-100.0])
    rows = table.rows(load(), "short", frame)
    (row,) = [row for row in rows if row.key == ("C", 1, "-score")]
    assert row.measured == pytest.approx(95.0)
    outside = table.rows(
        load(), "short", frame.assign(kl=frame["kl"].where(frame.plugin != "iwae", 20))
    )
    assert np.isnan(next(r.measured for r in outside if r.key == ("C", 1, "-score")))


def test_another_column_is_subtracted_seed_by_seed(load):
    rows = table.rows(load(), "short", cells(A=[-80.0, -82.0]))
    (row,) = [row for row in rows if row.key == ("A", 1, "gap")]
    assert row.seeds.tolist() == [-81.0, -83.0]


def test_a_difference_has_its_direction_from_zero(load):
    found = load()
    text = "recipe,line,x,measure,value,std,source\nown,A,1,gap,-40,,source"
    (found.folder / "published.csv").write_text(text)
    rows = table.rows(found, "short", cells(A=[-80.0, -82.0]))
    (row,) = [row for row in rows if row.key == ("A", 1, "gap")]
    assert row.verdict == "reproduced in direction (short budget)"


def test_a_bounds_curve_is_read_at_its_points(load):
    record = {"metrics": {"iwae_100": {"detail": {"curve": {"k": [1, 10], "bound": [-9.0, -8.0]}}}}}
    assert table.readings(load(), record) == {"iwae_100@10": -8.0}
    assert np.isnan(table.readings(load(), {"metrics": {}})["iwae_100@10"])


def test_the_columns_are_the_promised_ones_and_the_picture_is_one(load):
    found = load(A=80.0, B=79.0)
    rows = table.rows(found, "short", cells(A=[-80.0, -80.4], B=[-79.0, -79.1]))
    frame = table.frame(found, "short", rows)
    promised = "row paper measured ci_low ci_high difference budget verdict"
    assert " ".join(frame.columns) == promised
    assert frame["row"][0] == "A, k = 1: -score"
    first = frame.iloc[0]
    assert first["difference"] == pytest.approx(0.2)
    assert first["ci_low"] < 80.2 < first["ci_high"]
    assert curves.png(found, rows).startswith(b"\x89PNG")


def test_finished_cells_without_a_number(load):
    found = table.rows(load(A=-86.0), "short", cells(A=[np.nan, np.nan], B=[-87.0]))
    verdicts = {(row.key.line, row.key.x): row.verdict for row in found}
    assert verdicts["A", 1] == "not measured: no cell gives a number"
    assert verdicts["C", 1] == "not run: no cell has finished"


def test_a_sampler_in_a_columns_name_is_no_point_of_a_curve(tmp_path):
    text = RECIPE.replace("column: score, sign: -1", 'column: "fid@gmm", sign: -1')
    (tmp_path / "own.yaml").write_text(text)
    found = recipe.load(str(tmp_path / "own.yaml"))
    curve = {"k": [1, 10], "bound": [-3.0, -2.0]}
    record = {"metrics": {"iwae_100": {"value": -1.5, "detail": {"curve": curve}}}}
    assert table.readings(found, record) == {"iwae_100@10": -2.0}
