from dataclasses import replace
from pathlib import Path

import pytest

from tests.data.picture_files import write
from vaebench.config.cell import DEFAULT_PLUGINS
from vaebench.config.resources import Place
from vaebench.config.settings import Settings, from_dict, to_dict
from vaebench.config.yaml_files import read
from vaebench.errors import UserError
from vaebench.execution.plan import resolve
from vaebench.registry.catalogue import catalogue
from vaebench.runs.lock import claim, claimed

PLACE = Place(Path("nowhere"))


def plan(**changes):
    return [task.cell for task in resolve(replace(Settings(), **changes), PLACE)[1]]


def test_the_default_is_eight_cells_on_digits():
    found = plan()
    assert [cell.plugin for cell in found] == list(DEFAULT_PLUGINS)
    assert {cell.dataset for cell in found} == {"digits"}
    assert {cell.critic for cell in found} == {"patchgan"}


def test_a_relative_folder_is_the_same_run_from_everywhere(tmp_path, monkeypatch):
    write(tmp_path / "a,b", 24)
    asked = replace(
        Settings(),
        plugins=("gaussian",),
        dataset=("folder:a,b",),
        image_size=(8,),
        critic=("none",),
    )
    monkeypatch.chdir(tmp_path)
    settings, tasks, notes = resolve(asked, PLACE)
    path = f"folder:{tmp_path}/a,b"
    assert settings.dataset == (path,) and tasks[0].cell.dataset == path
    assert "24 pictures read" in notes[path][0]
    (tmp_path / "run").mkdir()
    claim(tmp_path / "run", settings)
    (tmp_path / "away").mkdir()
    monkeypatch.chdir(tmp_path / "away")
    again = from_dict(read(tmp_path / "run" / "config.yaml")[0], "config.yaml")
    assert again == settings and resolve(again, PLACE)[1] == tasks
    with pytest.raises(UserError, match="is not a folder"):
        resolve(asked, PLACE)


def test_a_run_of_a_relative_folder_goes_on_with_its_absolute_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("dataset: folder:pics\n")
    assert claimed(tmp_path / "run", replace(Settings(), dataset=(f"folder:{tmp_path}/pics",)))


def test_axes_multiply():
    found = plan(
        plugins=("gaussian", "gmm[components=2|3]"),
        seeds=(0, 1),
        critic=("patchgan", "none"),
        latent=(2, 5),
        backbone=("mlp", None),
    )
    assert len(found) == len({cell.id for cell in found}) == 3 * 2 * 2 * 2 * 2


def test_a_cells_name_is_a_safe_folder():
    for cell in plan(plugins=("gmm[components=2]",)):
        assert cell.id.startswith("gmm_components=2_-digits-s0-")
        assert "/" not in cell.id and len(cell.id) < 150


def test_whatever_changes_the_numbers_changes_the_name():
    base = plan(plugins=("gaussian",))[0]
    for change in (
        {"epochs": (41,)},
        {"lr": (1e-3,)},
        {"batch_size": (32,)},
        {"seeds": (1,)},
        {"critic_weight": (2.0,)},
        {"likelihood": ("gaussian",)},
        {"binarise": ("fixed",)},
        {"width": (4,)},
        {"kl_warmup": (3,)},
        {"kl_schedule": ("cyclical",)},
        {"free_bits": (0.1,)},
        {"optimiser": ("adamw",)},
        {"weight_decay": (0.1,)},
        {"clip_norm": (1.0,)},
        {"ema": (0.9,)},
        {"evaluate": "last"},
    ):
        assert plan(plugins=("gaussian",), **change)[0].id != base.id
    for change in ({"ais_images": 3}, {"metrics": ("elbo",)}, {"extractor": "mnist"}):
        assert plan(plugins=("gaussian",), **change)[0] == base
    assert plan(plugins=("gaussian",))[0].id == base.id


def test_binarisation_follows_the_likelihood():
    assert plan()[0].binarise == "dynamic"
    assert plan(likelihood=("gaussian",))[0].binarise == "none"
    with pytest.raises(UserError, match="one of binary pixels"):
        plan(binarise=("none",))
    with pytest.raises(UserError, match="grey pixels"):
        plan(binarise=("fixed",), likelihood=("laplace",))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"plugins": ("gausian",)}, "Did you mean 'gaussian'"),
        ({"dataset": ("mnits",)}, "Did you mean 'mnist'"),
        ({"metrics": ("elob",)}, "Did you mean 'elbo'"),
        ({"backbone": ("resnet",)}, "Did you mean 'resnetv2'"),
        ({"critic": ("patchgam",)}, "Did you mean 'patchgan'"),
        ({"likelihood": ("bernouli",)}, "Did you mean 'bernoulli'"),
        ({"lr_schedule": ("cosin",)}, "Did you mean 'cosine'"),
        ({"binarise": ("dynamik",)}, "Did you mean 'dynamic'"),
        ({"epochs": (0,)}, "--epochs"),
        ({"latent": (0,)}, "--latent"),
        ({"kl_warmup": (40,)}, "--kl-warmup"),
        ({"kl_schedule": ("cyclic",)}, "Did you mean 'cyclical'"),
        ({"kl_schedule": ("cyclical",), "kl_warmup": (3,)}, "leave out --kl-warmup"),
        ({"kl_schedule": ("sigmoid",)}, "give --kl-warmup"),
        ({"optimiser": ("adams",)}, "Did you mean 'adam"),
        ({"optimiser": ("sgd[nesterov=true]",)}, "optimiser 'sgd.*Nesterov momentum requires"),
        ({"weight_decay": (-1.0,)}, "--weight-decay must not be negative"),
        ({"clip_norm": (-1.0,)}, "--clip-norm must not be negative"),
        ({"ema": (1.0,)}, "--ema must be less than 1"),
        ({"free_bits": (-0.1,)}, "--free-bits must not be negative"),
        ({"free_bits": (0.0, 0.1), "plugins": ("gaussian", "iwae")}, "no effect on iwae"),
        ({"free_bits": (0.1,), "plugins": ("autoencoder",)}, "no effect on autoencoder"),
        ({"evaluate": "first"}, "--evaluate"),
        ({"lr": (0.0,)}, "--lr"),
        ({"plugins": ("gmm[components=x]",)}, "type int"),
    ],
)
def test_what_cannot_work_is_refused_before_training(changes, message):
    with pytest.raises(UserError, match=message):
        plan(**changes)


def test_the_decay_is_the_optimisers_unless_it_is_given():
    cells = plan(plugins=("gaussian",), optimiser=("adam", "adamw"))
    assert [cell.weight_decay for cell in cells] == [0.0, 0.01]
    same, *others = plan(plugins=("gaussian",), optimiser=("adamw",), weight_decay=(0.01, 0.0))
    assert same.id == cells[1].id and others[0].id != same.id


def test_a_setting_of_training_that_asks_for_nothing_keeps_the_name():
    nothing = {"optimiser": ("adam",), "weight_decay": (0.0,), "clip_norm": (0.0,), "ema": (0.0,)}
    nothing |= {"kl_schedule": ("linear",), "free_bits": (0.0,)}
    assert plan(plugins=("gaussian",), **nothing) == plan(plugins=("gaussian",))


def test_alternatives_of_an_option_make_cells():
    cells = plan(plugins=("gaussian",), optimiser=("sgd[momentum=0|0.9]", "adam"))
    assert [cell.optimiser for cell in cells] == ["sgd[momentum=0]", "sgd[momentum=0.9]", "adam"]


def test_a_fault_of_a_variant_costs_its_own_cells_with_free_bits_too(monkeypatch):
    def failing(features, context):
        raise ValueError("only even dimensions")

    variant = replace(catalogue().variant("gaussian"), posterior=failing)
    monkeypatch.setattr(type(catalogue()), "variant", lambda self, name: variant)
    assert len(plan(plugins=("gaussian",), free_bits=(0.1,))) == 1


def test_settings_survive_yaml():
    settings = replace(Settings(), latent=(None, 3), seeds=(0, 1), lr=(1e-3,))
    assert from_dict(to_dict(settings), "here") == settings


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epoch": 3}, "Did you mean 'epochs'"),
        ({"epochs": "many"}, "epochs cannot be 'many'"),
        ({"seeds": ["x"]}, "seeds cannot be"),
        ({"seeds": []}, "seeds cannot be"),
        ([1], "holds no settings"),
        ({"lr": None}, "lr cannot be"),
    ],
)
def test_a_config_with_a_mistake_is_refused(given, message):
    with pytest.raises(UserError, match=message):
        from_dict(given, "config.yaml")


def test_pictures_that_cannot_be_held_are_refused_before_they_are_read(monkeypatch):
    monkeypatch.setattr("vaebench.execution.plan.free", lambda: 8 * 2**30)
    with pytest.raises(UserError, match=r"64 pictures of 4000 × 4000 .* 61\.0 GiB, and 8\.0 GiB"):
        plan(dataset=("folder:/nowhere",), image_size=(4000,))
    monkeypatch.setattr("vaebench.execution.plan.free", lambda: None)
    with pytest.raises(UserError, match="is not a folder"):
        plan(dataset=("folder:/nowhere",), image_size=(4000,))


def test_without_weights_own_pictures_are_measured_on_thumbnails_which_is_said(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path / "hub"))
    write(tmp_path / "mine", 24)
    name = f"folder:{tmp_path}/mine"
    asked = replace(Settings(), plugins=("gaussian",), dataset=(name,), image_size=(8,))
    _, (task,), notes = resolve(asked, PLACE)
    assert task.evaluation.extractor == "thumbnail"
    assert "--fid-weights" in notes[name][-1] and "thumbnails" in notes[name][-1]
    _, (task,), notes = resolve(asked, replace(PLACE, download=True))
    assert task.evaluation.extractor == "inception" and "thumbnail" not in str(notes)
    _, _, notes = resolve(replace(asked, metrics=("elbo",)), PLACE)
    assert "thumbnail" not in str(notes)
    with pytest.raises(UserError, match="--fid-weights"):
        resolve(replace(asked, extractor="inception"), PLACE)


def test_a_variant_is_left_out_where_a_data_set_lacks_what_it_needs():
    settings, tasks, notes = resolve(replace(Settings(), plugins=("all",)), PLACE)
    assert "gaussian" in settings.plugins and not {"m2", "m1-m2"} & set(settings.plugins)
    assert {task.cell.plugin for task in tasks} == set(settings.plugins)
    assert any("m2" in note and "mnist[labels=100]" in note for note in notes["digits"])
    with pytest.raises(UserError, match=r"m2 needs labels .* mnist\[labels=100\]"):
        plan(plugins=("gaussian", "m2"))
    both = plan(plugins=("gaussian", "m2"), dataset=("digits", "digits[labels=100]"), latent=(12,))
    found = {(cell.plugin, cell.dataset) for cell in both}
    assert ("m2", "digits[labels=100]") in found and len(found) == 3


def test_networks_of_a_variants_own_are_for_pictures():
    settings, _, notes = resolve(replace(Settings(), plugins=("all",), dataset=("hmm",)), PLACE)
    assert "gaussian" in settings.plugins and "convdraw" not in settings.plugins
    assert any("convdraw" in note and "pictures" in note for note in notes["hmm"])
    with pytest.raises(UserError, match="convdraw needs pictures, as those of mnist"):
        plan(plugins=("gaussian", "convdraw"), dataset=("hmm",))
