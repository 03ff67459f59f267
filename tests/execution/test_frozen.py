"""The decoder of a trained cell is frozen: it does not move, and its run needs the cell no more."""

import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from torch.distributions import MultivariateNormal

from tests.cells import cell, digits
from tests.finished import train
from vaebench import Gaussian, Variant
from vaebench.cli.app import main
from vaebench.config.resources import Place
from vaebench.config.settings import from_dict
from vaebench.data.batches import observed
from vaebench.errors import UserError
from vaebench.execution import frozen, run_cell
from vaebench.execution.driver import Where
from vaebench.execution.engines.ray import compute
from vaebench.execution.plan import resolve
from vaebench.execution.restore import restore
from vaebench.execution.verify import verify
from vaebench.models.distributions import alike
from vaebench.runs import files, records
from vaebench.runs.frozen import asked, carried, found, keep, told
from vaebench.training.build import build
from vaebench.training.checkpoint import Keeper
from vaebench.training.fit import fit

PLACE = Place(Path("nowhere"), "cpu")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """The folder of a trained cell."""
    run = tmp_path_factory.mktemp("source")
    return run / "cells" / train(run, epochs=3)


def planned(source, **values):
    values = {"plugins": "gaussian", "epochs": 2, "decoder_of": str(source)} | values
    return resolve(from_dict(told(values, []), "here"), PLACE)


def decoder(folder):
    weights = load_file(folder / "model.safetensors")
    return {name: value for name, value in weights.items() if name.startswith("observation")}


def run_into(run, task):
    folder = run / "cells" / task.cell.id
    record = run_cell.run(task, PLACE, folder, lambda progress: None)
    assert record["status"] == "done", record["reason"]
    return folder


def little(task):
    return task._replace(evaluation=replace(task.evaluation, metrics=("elbo",)))


def test_the_decoder_stays_to_the_bit_and_the_posterior_is_trained(source, tmp_path):
    _, (task,), _ = planned(source, ema=0.9, weight_decay=0.1, optimiser="adamw", clip_norm=1.0)
    keep(tmp_path, asked(str(source)))
    folder = run_into(tmp_path, little(task))
    before, after = decoder(source), decoder(folder)
    assert before and before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    history = (folder / "history.csv").read_text().splitlines()
    column = history[0].split(",").index("valid_elbo")
    first, last = (float(row.split(",")[column]) for row in (history[1], history[-1]))
    assert last > first + 0.1
    assert records.one(tmp_path, folder.name)["config"]["decoder_of"] == task.cell.decoder_of


def test_a_frozen_decoder_is_as_in_evaluation_while_the_rest_trains(source):
    _, (task,), _ = planned(source)
    made = build(task.cell, Variant("g", Gaussian), digits())
    assert made.model.train().encoder.training and not made.model.observation.training
    assert not made.model.decoder.training
    assert not any(p.requires_grad for p in made.model.observation.parameters())
    assert all(p.requires_grad for p in made.model.posterior.parameters())
    trained = fit(made, lambda row, validated: None)
    assert trained.decoder_passes == 2 * (len(digits().train) // 64) * 64


def test_a_run_needs_the_cell_no_more(source, tmp_path):
    gone = tmp_path / "gone" / "cells" / source.name
    shutil.copytree(source, gone)
    run, moved = tmp_path / "run", tmp_path / "moved"
    settings, (task, other), _ = planned(gone, plugins="gaussian,full")
    keep(run, asked(str(gone)))
    shutil.rmtree(tmp_path / "gone")
    run_into(run, little(task))
    run.rename(moved)
    again = told({"plugins": "gaussian,full", "epochs": 2, "decoder_of": str(gone)}, [moved])
    assert resolve(from_dict(again, "here"), PLACE)[:2] == (settings, (task, other))
    assert found(settings.decoder_of, [moved]).run == moved / "decoder"
    run_into(moved, little(other))


@pytest.mark.slow
def test_its_cells_are_verified_without_the_cell_and_its_copy(source, tmp_path):
    _, (task,), _ = planned(source)
    keep(tmp_path, asked(str(source)))
    run_into(tmp_path, little(task))
    shutil.rmtree(tmp_path / "decoder")
    (checked,) = verify(tmp_path, [task.cell.id], Where(quiet=True, device="cpu"))
    assert checked.good and checked.count("same")


@pytest.mark.slow
def test_a_node_that_has_no_such_run_is_sent_what_it_needs(source, tmp_path):
    _, (task,), _ = planned(source)
    keep(tmp_path, asked(str(source)))
    sent = carried(tmp_path, task.cell.decoder_of)
    assert {Path(name).name for name in sent} == {"result.json", "model.safetensors"}
    there = run_cell_elsewhere(little(task), sent)
    assert there["result.json"]
    made = tmp_path / "made"
    files.write_bytes(made / "model.safetensors", there["model.safetensors"])
    assert all(torch.equal(decoder(source)[name], value) for name, value in decoder(made).items())
    assert carried(tmp_path, None) == {}


def run_cell_elsewhere(task, sent):
    from vaebench.execution.engines import Limits

    return compute(task, PLACE, Limits(), {}, sent)


def test_training_goes_on_after_a_kill_as_if_nothing_had_happened(source, tmp_path):
    _, (task,), _ = planned(source)
    keep(tmp_path, asked(str(source)))

    class Cut(Exception):
        pass

    def trained(path, steps):
        def until(draw):
            nonlocal steps
            steps -= torch.is_grad_enabled()
            if steps < 0:
                raise Cut
            return draw.log_px.mean(0) - draw.kl

        made = build(task.cell, Variant("until", Gaussian, until), digits())
        frozen.fill(made.model, tmp_path, task.cell)
        fit(made, lambda row, validated: None, Keeper(path, 0.0))
        return made.model.state_dict()

    whole = trained(tmp_path / "whole", math.inf)
    with pytest.raises(Cut):
        trained(tmp_path / "cut", 25)
    resumed = trained(tmp_path / "cut", math.inf)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_names_depend_on_weights_and_not_on_places(source, tmp_path):
    copy = tmp_path / "elsewhere" / "cells" / source.name
    shutil.copytree(source, copy)
    _, (one,), _ = planned(source)
    _, (other,), _ = planned(copy)
    assert one.cell.id == other.cell.id
    name, _, digest = one.cell.decoder_of.partition("@")
    assert name == source.name and len(digest) == 16
    plain = cell()
    assert "decoder_of" not in plain.record()
    assert plain.id != replace(plain, decoder_of="a@0").id != replace(plain, decoder_of="b@0").id


def test_the_generative_model_is_the_cell_s(source):
    settings, (task,), _ = planned(source)
    theirs = records.one(source.parents[1], source.name)["config"]
    for name in ("dataset", "backbone", "width", "latent", "likelihood", "binarise", "critic"):
        assert getattr(task.cell, name) == theirs[name]
    assert settings.dataset == ("digits",) and settings.decoder_of == task.cell.decoder_of
    same = planned(source, width=16, latent="3", critic="none")
    assert same[1] == (task,)


@pytest.mark.parametrize(
    ("asked_for", "said"),
    [
        ({"width": 32}, "--width 32 .* has 16; leave it out"),
        ({"latent": "2,3"}, "--latent 2,3 .* has 3"),
        ({"likelihood": "gaussian"}, "--likelihood gaussian .* bernoulli"),
        ({"image_size": 16}, "--image-size 16 .* none"),
        ({"critic": "patchgan"}, "critic trains the decoder"),
        ({"word_dropout": 0.5}, "--word-dropout"),
        ({"dataset": "digits[without=3]"}, "does not hold the data"),
        ({"plugins": "vmf"}, "No variant is left .*vmf, whose prior is another"),
    ],
)
def test_what_does_not_fit_the_decoder_is_refused(source, asked_for, said):
    with pytest.raises(UserError, match=said):
        planned(source, **asked_for)


def test_variants_with_another_prior_are_left_out_and_the_reason_is_said(source):
    names = "gaussian,vmf,vampprior,laplace,convdraw,epanechnikov-paper"
    settings, tasks, notes = planned(source, plugins=names)
    assert [task.cell.plugin for task in tasks] == ["gaussian", "laplace"]
    assert settings.plugins == ("gaussian", "laplace")
    said = " ".join(notes["digits"])
    assert "vmf, epanechnikov-paper, whose prior is another" in said
    assert "vampprior, whose prior is learned" in said and "convdraw, which bring" in said


def test_cells_that_cannot_be_frozen_are_refused(source, tmp_path):
    name = train(tmp_path, plugin="vampprior", epochs=1)
    with pytest.raises(UserError, match="vampprior learns its prior"):
        planned(tmp_path / "cells" / name)
    with pytest.raises(UserError, match="there is no such cell"):
        planned(tmp_path / "cells" / "nobody")
    with pytest.raises(UserError, match="is a run"):
        planned(tmp_path)
    wanted = f"{source}@{'0' * 16}"
    with pytest.raises(UserError, match="not those that are asked for"):
        planned(wanted)


def test_weights_that_were_altered_are_not_taken(source, tmp_path):
    copy = tmp_path / "cells" / source.name
    shutil.copytree(source, copy)
    content = bytearray((copy / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (copy / "model.safetensors").write_bytes(content)
    with pytest.raises(UserError, match="damaged"):
        planned(copy)
    run = tmp_path / "run"
    _, (task,), _ = planned(source)
    keep(run, asked(str(source)))
    kept = run / "decoder" / "cells" / source.name
    (kept / "model.safetensors").write_bytes(content)
    record = run_cell.run(task, PLACE, run / "cells" / task.cell.id, lambda progress: None)
    assert record["status"] == "failed" and "damaged" in record["reason"]
    keep(run, asked(str(source)))
    assert files.flaw(kept) is None


def test_priors_are_compared_as_distributions():
    class Same(Gaussian):
        def prior(self):
            return torch.distributions.MultivariateNormal(torch.zeros(3), torch.eye(3))

    class Wider(Gaussian):
        def prior(self):
            wide = torch.distributions.Normal(torch.zeros(3), 1.01)
            return torch.distributions.Independent(wide, 1)

    class Learned(Gaussian):
        def __init__(self, features, context):
            super().__init__(features, context)
            self.loc = torch.nn.Parameter(torch.zeros(features))

        def prior(self):
            return torch.distributions.Independent(torch.distributions.Normal(self.loc, 1.0), 1)

    normal = Gaussian(3, 4)
    assert alike(normal.prior(), Same(3, 4).prior())
    assert not alike(normal.prior(), Wider(3, 4).prior())
    assert not alike(normal.prior(), Gaussian(2, 4).prior())
    assert not frozen.learned(normal) and frozen.learned(Learned(3, 4))
    assert not frozen.learned(Learned(3, 4).requires_grad_(False))


@pytest.mark.slow
def test_one_command_trains_resumes_and_reads(source, tmp_path):
    out = str(tmp_path / "run")
    words = ["run", "gaussian", "--decoder-of", str(source), "--epochs", "1", "--metrics", "elbo"]
    words += ["--jobs", "1", "--device", "cpu", "--out", out, "-q"]
    made = CliRunner().invoke(main, words)
    assert made.exit_code == 0, made.output
    (name,) = [path.name for path in (tmp_path / "run" / "cells").iterdir()]
    record = records.one(tmp_path / "run", name)
    restored = restore(tmp_path / "run", record)
    before = decoder(source)
    weights = restored.model.state_dict()
    assert all(torch.equal(weights[key], value) for key, value in before.items())
    config = str(tmp_path / "run" / "config.yaml")
    again = CliRunner().invoke(main, ["run", "--config", config, "--out", out, "--jobs", "1", "-q"])
    assert again.exit_code == 0, again.output
    assert [path.name for path in (tmp_path / "run" / "cells").iterdir()] == [name]


@pytest.mark.slow
def test_gaps_under_a_linear_decoder_are_those_of_the_exact_posterior(tmp_path):
    """x ~ N(W z + b, I): log p(x) and the best diagonal Gaussian have closed forms."""
    words = {"backbone": "linear", "likelihood": "gaussian[scale=1.0]", "binarise": "none"}
    name = train(tmp_path, plugin="full", latent=6, epochs=1, lr=1e-4, **words)
    source = tmp_path / "cells" / name
    asked_for = {"plugins": "gaussian,full", "epochs": 40, "lr": 0.03}
    asked_for |= {"metrics": "elbo,ais,gaps", "critic": "none", "ais_images": 64}
    _, tasks, _ = planned(source, **asked_for)
    keep(tmp_path, asked(str(source)))
    found = {task.cell.plugin: run_into(tmp_path, task) for task in tasks}

    weights = decoder(source)
    w, b = (weights[f"observation.decoder.0.{part}"].double() for part in ("weight", "bias"))
    likelihood = restore(tmp_path, records.one(tmp_path, name)).model.likelihood
    x = observed(digits().test, likelihood, "test")[:64].flatten(1).double()
    covariance = w @ w.T + torch.eye(64, dtype=torch.float64)
    evidence = MultivariateNormal(b, covariance).log_prob(x).mean().item()
    precision = w.T @ w + torch.eye(6, dtype=torch.float64)
    log_det = torch.linalg.slogdet(precision).logabsdet
    best = {"gaussian": 0.5 * (precision.diagonal().log().sum() - log_det).item(), "full": 0.0}
    assert best["gaussian"] > 0.03
    for plugin, folder in found.items():
        metrics = records.one(tmp_path, folder.name)["metrics"]
        annealed = metrics["log_likelihood_ais"]
        noise = 4 * annealed["depends"]["sampler_se"] + 0.005
        assert annealed["value"] == pytest.approx(evidence, abs=noise), plugin
        gap = metrics["approximation_gap"]["value"]
        assert gap == pytest.approx(best[plugin], abs=0.02 + noise), plugin
    lost = records.one(tmp_path, found["full"].name)["metrics"]["amortisation_gap"]["value"]
    assert 0 <= lost < 0.05
