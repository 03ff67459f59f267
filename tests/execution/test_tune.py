"""Tuning: the same trials whatever breaks it off, the best one chosen, test items never seen."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

from tests.cells import cell, digits, task
from vaebench.config.resources import Place
from vaebench.config.settings import Settings
from vaebench.config.space import Choice, Range
from vaebench.errors import UserError
from vaebench.execution import trial as trials_of
from vaebench.execution import tune
from vaebench.execution.driver import Where
from vaebench.execution.engines import Event
from vaebench.execution.search import Searched, Searches, Trial
from vaebench.execution.spaces import plan
from vaebench.runs import tuning
from vaebench.runs.lock import claim

PLACE = Place(root=Path("nowhere"), device="cpu")
SPACE = {
    "lr": Range(3e-4, 1e-2, log=True),
    "kl_warmup": Range(0, 10),
    "[kind]": Choice("a", "b", "c"),
    "[beta]": Range(0.5, 16.0, log=True),
}
SEARCHED = Searched(SPACE, {"lr": 2e-3, "kl_warmup": 0, "[kind]": "b", "[beta]": 4.0})
CRITERION = {"name": "iwae", "title": "L_8", "unit": "nats/image", "images": 200, "effort": {}}


def worth(settings):
    """A criterion that is known: best at lr 0.004 and beta 1."""
    lr, beta = torch.tensor(settings["lr"]), torch.tensor(settings["[beta]"])
    return -20.0 - ((lr / 4e-3).log() ** 2 + beta.log() ** 2).item()


def ended(settings, state="complete"):
    value = worth(settings) if state == "complete" else None
    rungs = {} if state == "failed" else {"3": worth(settings) - 1}
    return {"state": state, "value": value, "se": 0.1, "rungs": rungs, "reason": "", "seconds": 0.1}


def test_the_first_trial_has_the_defaults_and_others_are_in_the_space():
    assert tune.proposed(SEARCHED, [], 0) == SEARCHED.default
    before = []
    for number in range(12):
        settings = tune.proposed(SEARCHED, before, number)
        assert settings == tune.proposed(SEARCHED, before, number)
        assert settings.keys() == SPACE.keys()
        assert 3e-4 <= settings["lr"] <= 1e-2 and settings["kl_warmup"] in range(11)
        assert type(settings["kl_warmup"]) is int and settings["[kind]"] in "abc"
        state = ("complete", "pruned", "failed")[number % 5 % 3]
        before.append({"settings": settings, **ended(settings, state)})


@pytest.fixture
def searching(tmp_path, monkeypatch):
    """Run rounds of two variants with trials that take no time; `stop` breaks one off."""

    def run(trials, stop=None, fails=(), folder=tmp_path, spaces=SPACE):
        asked, done = [], 0

        def engine(function, calls, logs, jobs, limits, tries):
            nonlocal done
            for number, ((one, _), log) in enumerate(zip(calls, logs, strict=True)):
                if done == stop:
                    raise KeyboardInterrupt
                done += 1
                log.parent.mkdir(parents=True, exist_ok=True)
                log.write_text("Segmentation fault")
                asked.append(one)
                settings = {"lr": one.cell.lr, "[beta]": float(one.cell.plugin.split("=")[1][:-6])}
                if done not in fails:
                    yield Event(number, ("training", 1, 2))
                    yield Event(number, ended(settings))
                yield Event(number, exitcode=0 if done not in fails else -11)

        monkeypatch.setattr(tune.local, "run", engine)
        searched = replace_space(spaces)
        found = Searches({"u": searched, "v": searched, "w": "no density"}, CRITERION)
        first = {name: task(plugin=name, seed=1000, epochs=9) for name in "uv"}
        asks = tune.Search(trials)
        screen = Console(quiet=True)
        state = tune._begun(folder, asks, found, first, 1000, screen)
        tune._rounds(folder, state, found, first, asks, Where(jobs=1), PLACE, screen)
        return tuning.read(folder), asked

    def replace_space(spaces):
        return Searched(spaces, {name: SEARCHED.default[name] for name in spaces})

    return run


def test_a_search_that_is_killed_goes_on_with_the_same_trials(searching, tmp_path):
    whole, asked = searching(9, folder=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        searching(9, stop=7, folder=tmp_path / "cut")
    cut = tuning.read(tmp_path / "cut")
    assert sum(len(each["trials"]) for each in cut["variants"].values()) == 7
    again, rest = searching(9, folder=tmp_path / "cut")
    assert again == whole and len(rest) == len(asked) - 7
    assert {one.cell.seed for one in asked} == {1000}


def test_the_limits_of_a_trial_are_those_before_it(searching):
    _, asked = searching(6)
    assert [bool(one.limits) for one in asked if one.cell.plugin.startswith("u")] == (
        [False] * 4 + [True] * 2
    )
    assert asked[0].rungs == (3, 6)


def test_a_trial_that_dies_is_a_failed_one_and_the_search_goes_on(searching, tmp_path):
    state, _ = searching(4, fails=(3,))
    (dead,) = [t for s in state["variants"].values() for t in s["trials"] if t["state"] == "failed"]
    assert "exit code -11" in dead["reason"] and "Segmentation fault" in dead["reason"]
    assert all(len(search["trials"]) == 4 for search in state["variants"].values())
    logs = [path.name for path in tmp_path.glob("trials/*/*.txt")]
    assert logs == ["1.txt"] and state["left_out"] == {"w": "no density"}


def test_the_best_settings_are_found_where_they_are_known(searching):
    state, _ = searching(20)
    for name in "uv":
        settings = tune.best(state, name)
        assert 2e-3 < settings["lr"] < 8e-3 and 0.5 <= settings["[beta]"] < 2
        assert worth(settings) > worth(SEARCHED.default)
    assert tune.best(state, "w") is None


def test_more_trials_go_on_and_another_search_is_refused(searching):
    three, _ = searching(3)
    five, asked = searching(5)
    assert len(asked) == 4
    assert all(
        after["trials"][:3] == before["trials"]
        for before, after in zip(three["variants"].values(), five["variants"].values(), strict=True)
    )
    with pytest.raises(UserError, match="holds a search of 5 trials"):
        searching(4)
    with pytest.raises(UserError, match="another space of u"):
        searching(5, spaces={**SPACE, "lr": Range(1e-3, 1e-2)})


def test_what_cannot_be_added_to_a_search_leaves_its_folder_as_it_was(
    searching, tmp_path, monkeypatch
):
    from tests.execution.test_driver import planned

    settings = Settings(plugins=("u", "v"), seeds=(0, 1), epochs=(9,))
    claim(tmp_path, settings)
    searching(3)
    before = (tmp_path / "config.yaml").read_text()
    more = replace(settings, seeds=(0, 1, 1000))
    whole = planned(
        [cell(plugin=name, seed=seed, epochs=9) for name in "uv" for seed in more.seeds]
    )
    found = Searches(dict.fromkeys("uv", SEARCHED), CRITERION)
    monkeypatch.setattr(tune.driver, "prepared", lambda *_: (PLACE, replace(whole, settings=more)))
    monkeypatch.setattr(tune.local, "call", lambda *_: found)
    with pytest.raises(UserError, match="holds a search with another seed"):
        tune.tune(more, tune.Search(3), Where(out=tmp_path, jobs=1, quiet=True))
    assert (tmp_path / "config.yaml").read_text() == before


def test_a_damaged_search_is_not_begun_anew_unasked(searching, tmp_path):
    (tmp_path / tuning.NAME).write_text("{}")
    with pytest.raises(UserError, match="is damaged; remove it"):
        searching(2)


def test_what_cannot_work_is_refused(monkeypatch):
    with pytest.raises(UserError, match="--trials must be 2"):
        tune.Search(1).check()
    with pytest.raises(UserError, match="Did you mean 'ais'"):
        tune.Search(criterion="ai").check()
    monkeypatch.setattr(tune, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'vaebench\[tune\]'"):
        tune.Search().check()


def test_chosen_settings_are_run_beside_the_defaults_with_the_seeds_asked_for(tmp_path, searching):
    from tests.execution.test_driver import planned

    state, _ = searching(6)
    cells = [cell(plugin=name, seed=seed, epochs=9) for name in "uvw" for seed in (0, 1)]
    whole = tune._final(tmp_path, state, planned(cells))
    kinds = [tuning.read(tmp_path)["cells"][one.cell.id]["settings"] for one in whole.tasks]
    assert kinds == ["default", "tuned"] * 4 + ["default"] * 2
    tuned = {one.cell.plugin for one in whole.tasks} - {"u", "v", "w"}
    assert all("beta=" in name for name in tuned) and len(tuned) == 2


def asked(rungs=(), **changes):
    small = task(iw_samples=8, iw_images=50, **changes)
    return Trial(small.cell, small.evaluation, "iwae", Path("nowhere"), rungs, {})


def outcome(one):
    messages = []
    trials_of.run(one, PLACE, messages.append)
    return {key: value for key, value in messages[-1].items() if key != "seconds"}


class Sealed:
    """A split that nobody may look at."""

    def __getattribute__(self, name):
        raise AssertionError(f"the test items were read: {name}")

    def __len__(self):
        raise AssertionError("the test items were counted")


def test_test_items_are_never_looked_at(monkeypatch):
    sealed = replace(digits(), test=Sealed())
    expected = outcome(asked(rungs=(1,)))
    monkeypatch.setattr(trials_of, "read", lambda cell, place: sealed)
    assert outcome(asked(rungs=(1,))) == expected
    assert expected["state"] == "complete" and expected["value"] < 0
    with pytest.raises(AssertionError, match="test items were read"):
        len(sealed.test.pixels)


def test_what_is_measured_are_validation_items(monkeypatch):
    images = digits()
    before = outcome(asked())
    reversed_ = replace(images.validation, pixels=images.validation.pixels.flip(0))
    monkeypatch.setattr(
        trials_of, "read", lambda cell, place: replace(images, validation=reversed_)
    )
    assert outcome(asked())["value"] != before["value"]


def test_measuring_on_the_way_changes_nothing():
    plain, measured = outcome(asked(plugin="vampprior")), outcome(asked((1,), plugin="vampprior"))
    assert measured.pop("rungs").keys() == {"1"} and plain.pop("rungs") == {}
    assert measured == plain


def test_a_model_is_trained_on_as_it_was_before_it_was_measured(monkeypatch):
    measured = trials_of.measured

    def disturbing(*given):
        torch.rand(1)
        return measured(*given)

    one = asked((1,))
    resolved = trials_of.resolve(one.cell, PLACE, one.run)
    model = resolved.model.train()
    model.encoder.eval()
    next(model.posterior.parameters()).requires_grad_(False)

    def state():
        modes = [module.training for module in model.modules()]
        return modes, [each.requires_grad for each in model.parameters()]

    before, random = state(), torch.get_rng_state()
    assert {True, False} == set(before[0]) == set(before[1])
    monkeypatch.setattr(trials_of, "measured", disturbing)
    rungs = {}
    trials_of._rung(1, one, resolved, PLACE, rungs)
    assert rungs.keys() == {"1"} and state() == before
    assert torch.equal(torch.get_rng_state(), random)


def test_a_trial_below_the_limit_is_stopped_and_one_that_breaks_is_failed():
    stopped = outcome(asked((1,))._replace(limits={1: 0.0}))
    assert (stopped["state"], stopped["value"]) == ("pruned", None) and "1" in stopped["rungs"]
    assert outcome(asked((1,))._replace(limits={1: -1e9}))["state"] == "complete"
    broken = outcome(asked(plugin="gmm[components=0]"))
    assert broken["state"] == "failed" and "component" in broken["reason"]


def planning(*plugins, spaces=(), criterion="iwae", **changes):
    tasks = [task(plugin=name, epochs=20, **changes) for name in plugins]
    return plan(tasks, spaces, criterion, PLACE)


def test_each_variant_has_the_shared_space_and_its_own_options():
    found = planning("gaussian", "beta-vae", "beta-vae[beta=2.0]", "autoencoder").found
    assert [*found["gaussian"].space] == ["lr", "kl_warmup"]
    assert [*found["beta-vae"].space] == ["lr", "kl_warmup", "[beta]"]
    assert found["beta-vae"].default["[beta]"] == 4.0
    assert "[beta]" not in found["beta-vae[beta=2.0]"].space
    assert "without a density" in found["autoencoder"]


def test_what_is_asked_for_replaces_what_is_declared():
    spaces = ("lr=off", "kl_warmup=off", "beta-vae[beta=1..8]", "iwae[samples=4|8]")
    found = planning("beta-vae", "iwae", spaces=spaces).found
    assert found["beta-vae"].space == {"[beta]": Range(1.0, 8.0, log=True)}
    assert found["iwae"].space == {"[samples]": Choice(4, 8)}


@pytest.mark.parametrize(
    ("spaces", "reason"),
    [
        (("gmm[components=2|4]",), "gmm, which is not tuned here"),
        (("gaussian[beta=1..2]",), "the option beta of gaussian, which has samples"),
        (("gaussian[samples=2..8]",), "leaves out the default 1"),
        (("lr=off", "kl_warmup=off"), "Nothing of gaussian is searched"),
    ],
)
def test_spaces_that_are_none_are_refused(spaces, reason):
    with pytest.raises(UserError, match=reason):
        planning("gaussian", spaces=spaces)


def test_variants_without_the_criterion_cannot_be_tuned_alone():
    with pytest.raises(UserError, match="No variant can be tuned by --criterion ais"):
        planning("autoencoder", criterion="ais")
