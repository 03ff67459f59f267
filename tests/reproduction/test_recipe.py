import re
from pathlib import Path

import pytest

from tests.reproduction.conftest import OWN
from vaebench.config.settings import Settings
from vaebench.errors import UserError
from vaebench.reproduction import recipe
from vaebench.reproduction.table import published


@pytest.mark.parametrize("name", recipe.names())
def test_every_recipe_can_be_planned(name):
    found = recipe.load(name)
    said = published(found)
    known = {(p.line, str(p.x)) for p in found.points}
    assert {(line, x) for line, x, _ in said} <= known | {(None, None)}
    assert {measure for _, _, measure in said} <= set(found.measures)
    for budget in found.budgets:
        runs = found.runs(budget)
        assert runs and all(isinstance(run, Settings) for run in runs)
        assert found.budgets[budget].says
        cells = sum(len(r.plugins) * len(r.latent) * len(r.critic) * len(r.dataset) for r in runs)
        wanted = {
            (plugin, latent, critic, dataset)
            for point in found.planned(budget)
            for asked in [found.cells(point, budget)]
            for plugin in asked.plugins
            for latent in asked.latent
            for critic in asked.critic
            for dataset in asked.dataset
        }
        assert cells == len(wanted)


def test_the_named_recipes_are_there():
    assert {
        *("iwae-table1", "iwae-two-layers", "svae-table1", "iaf-table1", "wu-table1"),
        *("evae-table1", "gamix-ablation", "tighter-bounds", "vampprior-table1"),
    } <= set(recipe.names())


def test_points_that_differ_in_one_setting_share_a_run(own):
    (run,) = recipe.load(str(own)).runs("short")
    assert run.plugins == ("gaussian", "iwae")
    assert run.latent == (2, 3)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("title: Own", "titel: Own", "Did you mean 'title'"),
        ("title: Own", "", "'title'|title"),
        ("latent: 2}", "latent: two}", "latent cannot be 'two'"),
        ("short:", "brief:", "No budget 'brief'"),
        ("lines:", "line:", "lines"),
    ],
)
def test_what_cannot_be_understood_is_named(own, old, new, says):
    own.write_text(OWN.replace(old, new))
    with pytest.raises(UserError, match=says):
        recipe.load(str(own))


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(UserError, match="Did you mean 'iwae-table1'"):
        recipe.load("iwae-table2")


def test_published_numbers_lie_beside_the_recipe(own):
    assert published(recipe.load(str(own)))["A", "2", "ELBO"].value == -30
    (own.parent / "published.csv").write_text("recipe,line\nown,A\n")
    with pytest.raises(UserError, match="columns recipe, line"):
        published(recipe.load(str(own)))


def test_the_documented_recipe_can_be_planned(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "reproductions.md").read_text()
    (text,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "mine.yaml").write_text(text)
    (run,) = recipe.load(str(tmp_path / "mine.yaml")).runs("short")
    assert run.seeds == (0, 1)
