import json

import pytest
from click.testing import CliRunner

from vaebench.cli.app import main
from vaebench.evaluation.metrics.select import METRICS


def invoke(*arguments):
    found = CliRunner().invoke(main, list(arguments), env={"COLUMNS": "400"})
    assert found.exit_code == 0, found.output
    return found.output


def test_every_metric_is_explained_with_unit_and_direction():
    text = invoke("list", "--metrics")
    lines = {line.split()[0]: line for line in text.splitlines() if line.strip()}
    for metric in METRICS:
        line = lines[metric.name]
        assert metric.description in line and metric.unit in line
        assert (metric.better or "neither") in line.lower()
        assert ("Only when asked for" in line) == metric.costly
    assert "gaussian" not in text and "mnist" not in text


def test_the_whole_inventory_names_the_feature_extractors():
    found = json.loads(invoke("list", "--json"))
    assert {"digits", "mnist", "inception"} <= {one["name"] for one in found["features"]}
    assert json.loads(invoke("list", "--metrics", "--json")) == {"metrics": found["metrics"]}
    assert json.loads(invoke("list", "metrics", "--json")) == {"metrics": found["metrics"]}
    assert json.loads(invoke("list", "variants", "--json")) == {"plugins": found["plugins"]}


def test_the_list_is_short_and_has_every_name():
    found = json.loads(invoke("list", "--json"))
    text = CliRunner().invoke(main, ["list"], env={"COLUMNS": "80"}).output
    assert len(text.splitlines()) < 50
    words = set(text.replace(",", " ").split())
    for kind in ("datasets", "backbones", "likelihoods", "features"):
        assert {one["name"] for one in found[kind]} <= words
    assert {one["group"] for one in found["metrics"]} <= words
    assert {one["name"] for plugin in found["plugins"] for one in plugin["variants"]} <= words
    for title in ("Variants: posteriors", "Variants: objectives", "Data sets", "Metrics"):
        assert title in text


def test_each_kind_is_explained_by_itself():
    variants = invoke("list", "variants")
    assert "Variants: posteriors" in variants and "Kingma" in variants and "mnist" not in variants
    assert "Options beta=4, samples=1" in variants
    assert "Defaults" in invoke("list", "datasets")
    found = CliRunner().invoke(main, ["list", "metric"])
    assert found.exit_code == 2 and "'metrics'" in found.output


def test_variants_without_a_family_come_last(capsys):
    from vaebench.cli import inventory

    def variant(name, family):
        return {"name": name, "family": family, "description": "", "reference": ""} | {
            "options": {},
            "deviations": {},
        }

    variants = [variant("mine", ""), variant("theirs", "priors")]
    inventory.show({"plugins": [{"name": "p", "package": "q", "variants": variants}]})
    text = capsys.readouterr().out
    assert text.index("Variants: priors") < text.index("theirs") < text.index("Variants: others")
    assert text.index("Variants: others") < text.index("mine")


@pytest.mark.parametrize("asked", ["digit", "inceptoin"])
def test_an_extractor_that_does_not_exist_is_refused(asked, tmp_path):
    found = CliRunner().invoke(main, ["run", "--extractor", asked, "--out", str(tmp_path / "run")])
    assert found.exit_code == 2
    assert f"No feature extractor '{asked}'. Did you mean" in found.output
