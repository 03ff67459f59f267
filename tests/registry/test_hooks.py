"""What strangers bring beside variants: found, listed, trained with, and refused where wrong."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

import vaebench
from tests.cli.test_commands import SMALL
from tests.registry.test_catalogue import installed as installed  # a fixture
from vaebench import report as vaebench_report
from vaebench.cli.app import main
from vaebench.config.resources import Place
from vaebench.config.settings import Settings
from vaebench.data.images import Request
from vaebench.errors import UserError
from vaebench.evaluation.metrics.select import select, wanted
from vaebench.execution import plan
from vaebench.execution.run_cell import run as run_cell
from vaebench.registry import lookup
from vaebench.registry.catalogue import catalogue

STRANGER = """
import torch
from torch import nn
from torch.distributions import Cauchy, Independent
from vaebench import Backbone, Images, Likelihood, Request, Source, Split, hookimpl
from vaebench import Measurement, Metric

class Encoder(nn.Module):
    def __init__(self, shape, width):
        super().__init__()
        self.features = width
        self.layers = nn.Sequential(nn.Flatten(), nn.LazyLinear(width), nn.Tanh())
        self.layers(torch.zeros(2, *shape))

    def forward(self, x):
        return self.layers(x)

def build(shape, latent, width):
    decoder = nn.Sequential(
        nn.Linear(latent, shape[0] * shape[1] * shape[2]), nn.Unflatten(-1, shape)
    )
    return Encoder(shape, width), decoder

def read(request):
    noise = torch.Generator().manual_seed(0)
    def split(count):
        return Split(torch.randint(4, (count, 1, 6, 9), generator=noise).to(torch.uint8))
    return Images(split(64), split(32), split(32), levels=4)

@hookimpl
def vaebench_datasets():
    return {"noise": Source("grey noise", "64 train, 32 validation, 32 test", read,
                            backbone="shallow", extractor="digits", latent=2)}

@hookimpl
def vaebench_backbones():
    return {"shallow": Backbone("one layer each way", build, width=lambda shape: 12)}

class Wide(Likelihood):
    title = "Cauchy densities"
    takes = "real"
    outputs = 2

    def __init__(self, levels, spread=0.1):
        super().__init__(levels)
        self.spread = torch.nn.Parameter(torch.tensor(spread))

    def forward(self, output):
        self.location, raw = self.split(output)
        return Independent(Cauchy(self.location, self.spread * raw.exp()), 3)

    def mean(self, output):
        return self.split(output)[0].sigmoid()

@hookimpl
def vaebench_likelihoods():
    return {"wide": Wide}

def brightness(subject):
    gaps = (subject.reconstructions - subject.pictures).mean(dim=(1, 2, 3)).abs()
    return Measurement.mean(gaps)

@hookimpl
def vaebench_metrics():
    return [
        Metric(name="brightness", title="Error of brightness", unit="grey value", better="lower",
               description="Mean grey values held together.", compute=brightness,
               head="bright", place=15, group="light"),
        Metric(name="broken", title="Broken", unit="nats", description="Never a number.",
               compute=lambda subject: 1 / 0, group="light"),
        Metric(name="elbo", title="Their ELBO", unit="nats", description="Another number.",
               compute=lambda subject: Measurement(7.0, 1)),
    ]
"""
SETTINGS = Settings(
    plugins=("gaussian",),
    dataset=("noise",),
    critic=("none",),
    epochs=(2,),
    metrics=("elbo", "mse"),
)
PLACE = Place(root=Path("nowhere"), device="cpu")


def asked(**changes):
    (task,) = plan.resolve(replace(SETTINGS, **changes), PLACE)[1]
    return task


def planned(**changes):
    return asked(**changes).cell


def test_a_strangers_data_set_and_backbone_are_trained_with_and_loaded(installed, tmp_path):
    found = installed("strange", STRANGER)
    assert found.brought("datasets")["noise"].package == "strange 1.0"
    task = asked()
    cell = task.cell
    assert (cell.backbone, cell.width, cell.latent) == ("shallow", 12, 2)
    folder = tmp_path / "run" / "cells" / cell.id
    record = run_cell(task, PLACE, folder, lambda progress: None)
    assert record["status"] == "done", record["reason"]
    assert record["data"]["shape"] == [1, 6, 9]
    (tmp_path / "run" / "config.yaml").write_text("dataset: noise\n")
    model = vaebench.load(tmp_path / "run").model(cell.id)
    assert model.pictures(torch.zeros(5, 2)).shape == (5, 1, 6, 9)
    done = CliRunner().invoke(main, ["evaluate", str(folder), "--metrics", "elbo", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["elbo"]["value"] == pytest.approx(
        record["metrics"]["elbo"]["value"], rel=1e-5
    )


def test_a_strangers_likelihood_is_trained_with_sampled_and_loaded(installed, tmp_path):
    installed("strange", STRANGER)
    task = asked(likelihood=("wide[spread=0.2]",), metrics=("elbo", "mse", "ais"), ais_images=2)
    cell = task.cell
    assert (cell.likelihood, cell.binarise) == ("wide[spread=0.2]", "none")
    folder = tmp_path / "run" / "cells" / cell.id
    record = run_cell(task, PLACE, folder, lambda progress: None)
    assert record["status"] == "done", record["reason"]
    assert record["metrics"]["log_likelihood_ais"]["value"] is not None
    (tmp_path / "run" / "config.yaml").write_text("dataset: noise\n")
    model = vaebench.load(tmp_path / "run").model(cell.id)
    assert model.pictures(torch.zeros(5, 2)).shape == (5, 1, 6, 9)
    assert model.decode(torch.zeros(5, 2)).shape == (5, 2, 6, 9)
    assert model.likelihood.spread.item() != pytest.approx(0.2)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("    outputs = 2\n", "    outputs = 0\n", "outputs = 0"),
        ("raw.exp()), 3)", "raw.exp()), 2)", r"as log_prob \(3, 2, 1\); .* \(3, 2\)"),
        ("self.spread * raw.exp()", "raw", "fails with ValueError.*strange_module.py, line"),
        ("[0].sigmoid()", "[0]", r"mean what is not in \[0, 1\]"),
        ("return self.split(output)[0].sigmoid()", "return 3", "as mean int"),
        ("spread=0.1):", "spread=0.1):\n        1 / 0", "ZeroDivisionError"),
    ],
)
def test_likelihoods_that_do_not_fit_are_refused_before_training(installed, old, new, message):
    assert STRANGER.count(old) == 1
    installed("strange", STRANGER.replace(old, new))
    with pytest.raises(UserError, match=message) as refused:
        planned(likelihood=("wide",))
    assert "\n" not in str(refused.value)


def test_a_backbone_that_takes_pictures_of_any_channels_serves_every_likelihood(installed):
    installed("strange", STRANGER)
    for name in ("categorical", "logistic-mixture[components=2]", "gaussian[scale=pixel]"):
        assert planned(likelihood=(name,)).likelihood == name


def test_a_backbone_that_refuses_more_channels_is_told_what_it_was_asked_for(installed):
    fussy = STRANGER.replace("    decoder = nn", "    assert shape[0] in (1, 3)\n    decoder = nn")
    installed("strange", fussy)
    with pytest.raises(UserError, match=r"'shallow', asked for a decoder of shape \(4, 6, 9\)"):
        planned(likelihood=("categorical",))


def test_a_strangers_metric_stands_in_table_and_page(installed, tmp_path):
    installed("strange", STRANGER)
    names = ("elbo", "light", "strange:elbo")
    run = tmp_path / "run"
    for seed in (0, 1):
        task = asked(dataset=("digits",), backbone=("mlp",), metrics=names, seeds=(seed,))
        cell = task.cell
        record = run_cell(task, PLACE, run / "cells" / cell.id, lambda progress: None)
        assert record["status"] == "done", record["reason"]
        assert list(record["metrics"]) == [
            *("elbo", "distortion", "brightness", "broken", "strange.elbo")
        ]
        assert record["metrics"]["strange.elbo"]["value"] == 7.0
        assert record["metrics"]["elbo"]["value"] not in (None, 7.0)
        assert "ZeroDivisionError" in record["metrics"]["broken"]["reason"]
        assert "strange_module.py" in record["metrics"]["broken"]["reason"]
    (run / "config.yaml").write_text("dataset: digits\n")
    vaebench_report.write(run)
    head = next(x for x in (run / "table.md").read_text().splitlines() if x.startswith("| variant"))
    assert head.index("bright ↓") < head.index("ELBO") and "Their ELBO" not in head
    page = (run / "report.html").read_text()
    assert "Error of brightness" in page and "Their ELBO" in page
    assert "No variant has a value of Broken (ZeroDivisionError" in page
    assert len(vaebench.load(run).per_image.query("metric == 'brightness'")) == 2 * 400
    again = ["evaluate", str(run / "cells" / cell.id), "--metrics", "brightness", "--json"]
    done = CliRunner().invoke(main, again)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["brightness"]["value"] == pytest.approx(
        record["metrics"]["brightness"]["value"], rel=1e-5
    )


def test_a_strangers_metric_is_computed_where_it_is_asked_for(installed):
    bare = {"dataset": ("digits",), "backbone": ("mlp",)}
    before = planned(**bare, metrics=("default",))
    catalogue.cache_clear()
    found = installed("strange", STRANGER)
    assert planned(**bare, metrics=("default",)) == before
    for names in (("brightness",), ("light",), ("strange",), ("all",), ("default", "strange:elbo")):
        assert planned(**bare, metrics=names) == before, names
        code = found.plugins["strange"].code
        theirs = [each for _, each in wanted(asked(**bare, metrics=names).evaluation).values()]
        assert code in {each.code for each in theirs}, names
    assert [m.name for m in select(["strange"])] == ["brightness", "broken", "strange.elbo"]
    assert [m.name for m in select(["elbo"])] == ["elbo", "distortion"]
    with pytest.raises(UserError, match=r"No metric 'brightnes'\. Did you mean 'brightness'"):
        planned(metrics=("brightnes",))
    catalogue.cache_clear()
    installed("rings", "import nothing_like_this")
    with pytest.raises(UserError, match=r"'rings' cannot be loaded: .*nothing_like_this"):
        planned(metrics=("rings",))


def test_the_list_has_a_strangers_metrics(installed):
    installed("strange", STRANGER)
    text = CliRunner().invoke(main, ["list", "--metrics"], env={"COLUMNS": "200"}).output
    (line,) = (line for line in text.splitlines() if line.startswith("brightness "))
    assert "Mean grey values" in line and "Group light" in line and "strange 1.0" in line
    found = json.loads(CliRunner().invoke(main, ["list", "--metrics", "--json"]).stdout)["metrics"]
    one = next(each for each in found if each["name"] == "brightness")
    assert (one["from"], one["better"], one["default"]) == ("strange 1.0", "lower", False)


def test_the_code_of_a_plugged_data_set_or_backbone_is_part_of_a_cells_identity(installed):
    found = installed("strange", STRANGER)
    gaussian, stranger = found.owner("gaussian").code, found.plugins["strange"].code
    assert planned().code == f"{gaussian}+{stranger}+{stranger}"
    assert planned(backbone=("mlp",)).code == f"{gaussian}+{stranger}"
    assert planned(dataset=("digits",), backbone=("shallow",)).code == f"{gaussian}+{stranger}"
    assert planned(dataset=("digits",)).code == gaussian
    with_likelihood = planned(dataset=("digits",), likelihood=("wide",))
    assert with_likelihood.code == f"{gaussian}+{stranger}"
    before = planned(dataset=("digits",), backbone=("shallow",)).id
    (Path(sys.modules["strange_module"].__file__)).write_text(STRANGER + "\n# another version\n")
    catalogue.cache_clear()
    assert planned(dataset=("digits",), backbone=("shallow",)).id != before


def test_what_comes_with_vaebench_comes_through_the_same_hooks(monkeypatch):
    catalogue.cache_clear()
    monkeypatch.setenv("VAEBENCH_PLUGINS", "gaussian")
    found = catalogue()
    assert {"digits", "mnist", "folder"} <= found.brought("datasets").keys()
    assert {"resnetv2", "mlp"} <= found.brought("backbones").keys()
    assert {p.package for p in found.brought("backbones").values()} == {
        f"vaebench {vaebench.__version__}"
    }
    catalogue.cache_clear()


def test_the_list_says_whose_they_are(installed):
    installed("strange", STRANGER)
    assert (
        "noise (strange 1.0)" in CliRunner().invoke(main, ["list"], env={"COLUMNS": "300"}).output
    )
    for kind, name in (("datasets", "noise"), ("backbones", "shallow"), ("likelihoods", "wide")):
        text = CliRunner().invoke(main, ["list", kind], env={"COLUMNS": "120"}).output
        (line,) = (line for line in text.splitlines() if line.startswith(name + " "))
        assert "strange 1.0" in line
    found = json.loads(CliRunner().invoke(main, ["list", "--json"]).stdout)
    kinds = ("datasets", "backbones", "likelihoods")
    by_name = {one["name"]: one["from"] for kind in kinds for one in found[kind]}
    assert by_name["noise"] == by_name["shallow"] == by_name["wide"] == "strange 1.0"
    assert by_name["digits"] == by_name["mlp"] == f"vaebench {vaebench.__version__}"


def test_a_strangers_data_set_of_a_built_in_name_answers_to_its_package(installed):
    code = STRANGER.replace('"noise"', '"digits"').replace('"shallow":', '"mlp":')
    found = installed("rival", code)
    assert found.brought("datasets")["rival:digits"].package == "rival 1.0"
    assert lookup.source("digits").split != lookup.source("rival:digits").split
    assert lookup.parts("rival:digits:a/b") == ("rival:digits", "a/b")
    assert lookup.parts("folder:rival") == ("folder", "rival")
    assert lookup.located("rival:digits") == "rival:digits"
    assert lookup.located("rival:digits:a/b") == f"rival:digits:{Path.cwd()}/a/b"
    cell = planned(dataset=("rival:digits",), backbone=("rival:mlp",))
    assert cell.width == 12
    assert cell.code.count(found.plugins["rival"].code) == 2


def test_a_plugin_that_calls_itself_vaebench_takes_nothing_away(installed):
    found = installed("impostor", STRANGER, "vaebench")
    assert "taken" in found.broken["vaebench"]
    assert "digits" in found.brought("datasets")


def test_an_unknown_name_gets_the_closest_one_and_a_broken_plugin_its_reason(installed):
    installed("strange", STRANGER)
    with pytest.raises(UserError, match=r"No data set 'noize'\. Did you mean 'noise'"):
        lookup.source("noize")
    with pytest.raises(UserError, match=r"No backbone 'shalow'\. Did you mean 'shallow'"):
        planned(backbone=("shalow",))
    catalogue.cache_clear()
    installed("rings", "import nothing_like_this")
    with pytest.raises(UserError, match=r"'rings' cannot be loaded: .*nothing_like_this"):
        lookup.source("rings")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('{"noise": Source(', '{"../x": Source(', "not of the form"),
        ('return {"shallow"', 'return {"deep": build, "shallow"', "not a Backbone"),
        ('return {"shallow": ', 'return [build] or {"shallow": ', "not a dict"),
        ('return {"wide": Wide}', 'return {"wide": Wide(4)}', "not a class of Likelihood"),
        ('takes = "real"', 'takes = "bits"', "takes='bits', which is not one of binary, levels"),
        ('    return {"noise"', '    1 / 0\n    return {"noise"', "ZeroDivisionError"),
        ("place=15", "place='first'", "place='first', which is not a whole number or None"),
        ("place=15", "role='king'", "says role 'king'; it is one of None, 'likelihood'"),
        ('name="broken"', 'name="seed"', "has the name of a setting"),
        ('name="broken"', 'name="brightness"', "two of the name 'brightness'"),
        ("lambda subject: 1 / 0", "lambda: 1 / 0", "a function that cannot be called with"),
        ("    return [\n", "    return [\n3,", "returns 3, which is not a Metric"),
    ],
)
def test_a_broken_hook_breaks_its_plugin_alone(installed, old, new, reason):
    assert STRANGER.count(old) == 1
    code = STRANGER.replace(old, new)
    found = installed("strange", code)
    assert reason in found.broken["strange"]
    assert "digits" in found.brought("datasets")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("nn.Unflatten(-1, shape)", "nn.Identity()", r"decoder .* \(2, 2\) to \(2, 54\) instead"),
        ("self.features = width", "self.features = 7", r"encoder .* to \(2, 12\) instead of \(2,"),
        ("self.features = width", "self.size = 7", "None as its attribute `features`"),
        ("return Encoder(shape, width), decoder", "return decoder", "both torch.nn.Module"),
        ("nn.Linear(latent,", "nn.Linear(5,", "decoder .* fails with RuntimeError"),
        (
            "    decoder = nn",
            "    1 / 0\n    decoder = nn",
            "ZeroDivisionError.*strange_module.py, line 1",
        ),
        ("width=lambda shape: 12", "width=lambda shape: shape[7]", "IndexError"),
        ("nn.Tanh())", "nn.Tanh()).requires_grad_(False).div_(0)", "fails with"),
    ],
)
def test_networks_that_do_not_fit_are_refused_before_training(installed, old, new, message):
    assert STRANGER.count(old) == 1
    installed("strange", STRANGER.replace(old, new))
    with pytest.raises(UserError, match=message) as refused:
        planned()
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (".to(torch.uint8)", "", "uint8"),
        ("levels=4", "levels=3", "level 3 and says `levels=3`"),
        ("(count, 1, 6, 9)", "(count, 2, 6, 9)", "2 channels"),
        ("split(64), split(32), split(32)", "split(64), split(32), split(0)", "test split"),
        ("return Images(split(64), ", "return (split(64), ", "must return Images"),
        (", levels=4)", ", levels=4, splits=3)", "fails with TypeError"),
        ("to(torch.uint8))", "to(torch.uint8), torch.zeros(3))", "labels of shape"),
    ],
)
def test_pixels_that_are_none_are_refused(installed, old, new, message):
    assert STRANGER.count(old) == 1
    code = STRANGER.replace(old, new)
    if "Images" not in new and "Images" in old:
        code = code.replace(", levels=4", "")
    installed("strange", code)
    with pytest.raises(UserError, match=message) as refused:
        planned()
    assert "\n" not in str(refused.value)


def test_a_name_with_a_path_hands_the_path_to_the_reader(installed):
    seen = STRANGER.replace(
        "    noise = torch.Gen", "    assert request.root.name == 'here'\n    noise = torch.Gen"
    )
    installed("strange", seen)
    assert lookup.load("noise:somewhere/here", Request(Path("nowhere"))).levels == 4
    with pytest.raises(UserError, match="AssertionError"):
        lookup.load("noise", Request(Path("nowhere")))


@pytest.mark.slow
def test_the_whole_command_runs_on_them(installed, tmp_path, monkeypatch):
    installed("strange", STRANGER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    import subprocess

    done = subprocess.run(
        [sys.executable, "-m", "vaebench", "run", "--plugins", "gaussian", "--dataset", "noise",
         "--backbone", "shallow", *(a for a in SMALL if a not in ("--backbone", "mlp")),
         "--out", str(tmp_path / "run")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "report.html").exists()


def test_the_documented_data_set_and_backbone_are_planned_with(installed):
    from tests.test_docs import ROOT, blocks

    codes = blocks(ROOT / "docs" / "extending.md", "python")
    hooks = {
        "vaebench_datasets": "bars",
        "vaebench_backbones": "conv",
        "vaebench_likelihoods": "t",
        "vaebench_metrics": "brightness",
    }
    for hook, name in hooks.items():
        catalogue.cache_clear()
        found = installed(name, next(code for code in codes if f"def {hook}" in code))
        assert not found.broken
    cell = planned(dataset=("bars",), backbone=("conv",), width=(4,))
    assert (cell.likelihood, cell.binarise, cell.latent) == ("bernoulli", "dynamic", 8)
    assert len(cell.code.split("+")) == 3
    cell = planned(likelihood=("student[df=4.0]",), dataset=("bars",), width=(4,))
    assert (cell.likelihood, cell.binarise) == ("student[df=4.0]", "none")
    assert [metric.name for metric in select(["brightness"])] == ["brightness"]
