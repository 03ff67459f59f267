"""Settings from a YAML file: what is wrong is named with its line."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaebench.config import settings as module
from vaebench.config.cell import SETTINGS
from vaebench.config.settings import Settings, from_dict, run_name, to_dict
from vaebench.config.yaml_files import dump, read
from vaebench.errors import UserError


def load(tmp_path, text):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    return from_dict(read(path)[0], str(path), read(path)[1])


def test_a_value_or_a_list_of_values(tmp_path):
    found = load(tmp_path, "epochs: 3\nlr: [1, 0.1]\nplugins: gaussian\nwidth: null\n")
    assert found == Settings(plugins=("gaussian",), epochs=(3,), lr=(1.0, 0.1))
    assert from_dict(to_dict(found), "here") == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs: 3\n\nepoch: 3\n", r"line 3: 'epoch'.*Did you mean 'epochs'"),
        ("epochs: 3\nlr: fast\n", "line 2: lr cannot be 'fast'"),
        ("latent: [2, x]\n", "line 1: latent cannot be"),
        ("lr: .nan\n", "line 1: lr cannot be nan"),
        ("seeds: 0\nepochs: 0\n", "line 2: --epochs must be 1 or more"),
        ("seeds: 0\nevaluate: first\n", "line 2: .*--evaluate"),
        ("critic_weight: -1\n", "line 1: --critic-weight must not be negative"),
        ("kl_warmup: 3\nepochs: [9, 3]\n", "line 1: --kl-warmup must end"),
        ("epochs: 3\nlr: 1\nepochs: 4\n", "line 3: epochs is set already in line 1"),
        ("epochs: 3\nlr: [1\nseeds: 0\n", "line 3 is not YAML"),
        ("epochs: 3\nlr: !!python/object:os.system x\n", "line 2 is not YAML"),
        ("- epochs\n", "holds no settings"),
        ("", "holds no settings"),
        ("budget: hours\n", "line 1: No budget 'hours'"),
        ("budget: seconds\n", "line 1: --budget seconds and --seconds N go together"),
        ("seconds: 3\n", "line 1: --budget seconds and --seconds N go together"),
        ("budget: seconds\nseconds: 0\n", "line 2: --seconds must be positive"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        load(tmp_path, text)


def test_aliases_that_explode_are_refused_or_cheap(tmp_path):
    rows = [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9)]
    with pytest.raises(UserError, match="line 1"):
        load(tmp_path, "\n".join(["a0: &a0 [x]", *rows]))


def test_a_flag_is_named_as_it_was_given(tmp_path):
    for lines in ({}, {"epochs": 1}):
        with pytest.raises(UserError, match=r"^--critic-weight cannot be nan; it"):
            from_dict({"epochs": 3, "critic_weight": [float("nan")]}, "here", lines)
    with pytest.raises(UserError, match=r"The recipe .*missing\.yaml cannot be read"):
        read(tmp_path / "missing.yaml", "The recipe")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lr: 1e-3", {"lr": (1e-3,)}),
        ("lr: [1e-3, 2E-3, +.5, 5.]", {"lr": (1e-3, 2e-3, 0.5, 5.0)}),
        ("lr: 1", {"lr": (1.0,)}),
        ("seeds: 0..4", {"seeds": (0, 1, 2, 3, 4)}),
        ("seeds: [0..1, 7]", {"seeds": (0, 1, 7)}),
        ("seeds: 0,2", {"seeds": (0, 2)}),
        ("batch_size: 010", {"batch_size": (10,)}),
        ("batch_size: 08", {"batch_size": (8,)}),
        ("batch_size: '16'", {"batch_size": (16,)}),
        ("batch_size: 1_000", {"batch_size": (1000,)}),
        ("plugins: gaussian, iwae", {"plugins": ("gaussian", "iwae")}),
        ("plugins: 'gmm[components=2,samples=3], iwae'",
         {"plugins": ("gmm[components=2,samples=3]", "iwae")}),
        ("dataset: ['folder:a,b']", {"dataset": ("folder:a,b",)}),
        ("latent: ~\nwidth:\nimage_size: Null", {}),
        ("extractor: '007'", {"extractor": "007"}),
        ("extractor: 2020-01-01", {"extractor": "2020-01-01"}),
        ("plugins: [no, on, y]", {"plugins": ("no", "on", "y")}),
        ("epochs: &n 3\nwidth: *n", {"epochs": (3,), "width": (3,)}),
        ("<<: {epochs: 3, lr: 1}\nlr: 2", {"epochs": (3,), "lr": (2.0,)}),
        ("epochs: !!int '3'\nextractor: !!str 3", {"epochs": (3,), "extractor": "3"}),
    ],
)  # fmt: skip
def test_yaml_means_what_the_command_line_means(tmp_path, text, expected):
    assert load(tmp_path, text) == Settings(**expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("batch_size: 1:30", "line 1: batch_size cannot be '1:30'"),
        ("batch_size: 0o7", "line 1: batch_size cannot be '0o7'"),
        ("batch_size: 0x10", "line 1: batch_size cannot be '0x10'"),
        ("epochs: 1e1", "line 1: epochs cannot be 10.0"),
        ("epochs: 2020-01-01", "line 1: epochs cannot be '2020-01-01'"),
        ("epochs: yes", "line 1: epochs cannot be 'yes'"),
        ("epochs: true", "line 1: epochs cannot be True"),
        ("epochs: null", "line 1: epochs cannot be None"),
        ("seeds: 4..0", "line 1: seeds cannot be '4..0'; it takes whole numbers: 0,1,2 or 0..4"),
        ("seeds: -1", "line 1: --seeds must not be negative"),
        ("critic: no", "line 1: No critic 'no'. Did you mean 'none'"),
        ("critic: false", "line 1: critic cannot be False"),
        ("plugins: 1e3", "line 1: plugins cannot be 1000.0; it takes names"),
        ("lr: 1 5", "line 1: lr cannot be '1 5'"),
        ("lr: 9" + "9" * 400, "line 1: lr cannot be 999"),
        ("epochs: " + "9" * 5000, "line 1 is not YAML: '999"),
        ("seeds: 0\nepochs: !!int 0o7", "line 2 is not YAML: '0o7' cannot be read as int"),
        ("epochs: !!bool 3", "line 1 is not YAML: '3' cannot be read as bool"),
        ("epochs: !!timestamp x", "line 1 is not YAML: could not determine a constructor"),
        ("seeds: 0\nlr: {a: 1, a: 2}", "line 2: a is set already in line 2"),
        ("lr:\n  a: 1\n  a: 2", "line 3: a is set already in line 2"),
        ("epochs: 3\n'epochs': 4", "line 2: epochs is set already in line 1"),
        ("a: &a {epochs: x}\n<<: *a", "line 1: epochs cannot be 'x'"),
        ("seeds: 0\n<<: {\n epochs: x}", "line 3: epochs cannot be 'x'"),
        ("3: 4", "line 1: '3'"),
        ("epochs: 3\n---\nepochs: 4", "line 2 is not YAML"),
        ("lr_schedule: cosin", "line 1: No learning-rate schedule 'cosin'. Did you mean 'cosine'"),
        ("binarise: [dynamic, none, fix]", "line 1: No binarisation 'fix'. Did you mean 'fixed'"),
    ],
)
def test_what_yaml_cannot_mean_is_refused_with_its_line(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        load(tmp_path, text)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"lr": (1e-5, 1e22), "seeds": (0, 1), "latent": (None, 3)},
        {"plugins": ("no",), "extractor": "010", "dataset": ("1e3", "null", "folder:ä b#: c")},
        {"dataset": ("folder:a,b",), "plugins": ("gmm[components=2,samples=3]",)},
        {"metrics": ("elbo", "kl"), "seconds": 2.5, "budget": ("seconds",)},
    ],
)
def test_settings_survive_their_file(tmp_path, changes):
    settings = Settings(**changes)
    assert load(tmp_path, dump(settings)) == settings


TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)


@hypothesis.settings(deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=3, unique=True), TEXTS, st.floats(1e-300, 1e300))
def test_any_texts_and_numbers_survive_their_file(names, extractor, number):
    settings = Settings(dataset=tuple(names), extractor=extractor, lr=(number,))
    with TemporaryDirectory() as folder:
        (Path(folder) / "config.yaml").write_text(dump(settings), "utf-8")
        found, lines = read(Path(folder) / "config.yaml")
    assert from_dict(found, "here", lines) == settings


@hypothesis.settings(deadline=None)
@given(st.text("01.:-+e_xo,[]{}&*!|>'\"%@`# ~nulyesofftrue\n\t", max_size=20))
def test_any_value_is_read_or_refused_in_one_sentence(text):
    with TemporaryDirectory() as folder:
        (Path(folder) / "config.yaml").write_text(f"lr: {text}\n")
        try:
            found, lines = read(Path(folder) / "config.yaml")
            assert from_dict(found, "here", lines).lr
        except UserError as error:
            assert str(error).endswith((".", "?")) and "\n" not in str(error)


def test_a_long_value_is_cut_in_its_error(tmp_path):
    rows = [f"- &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 40)]
    with pytest.raises(UserError, match="lr cannot be") as error:
        load(tmp_path, "\n".join(["lr:", "- &a0 [x]", *rows]))
    assert len(str(error.value)) < 300
    with pytest.raises(UserError, match="lr cannot be 'xxx") as error:
        load(tmp_path, "lr: " + "x" * 10_000)
    assert len(str(error.value)) < 300


def test_a_file_without_end_is_refused():
    with pytest.raises(UserError, match="/dev/zero is larger than 1 MiB"):
        read(Path("/dev/zero"))


def test_a_text_of_the_command_line_is_named_as_it_was_typed():
    for typed, said in (
        ({"seeds": "zero"}, "--seeds cannot be zero; it takes whole numbers: 0,1,2 or 0..4."),
        ({"plugins": " ,"}, "--plugins cannot be empty; it takes names."),
        ({"ais_images": "many"}, "--ais-images cannot be many; it takes whole numbers."),
    ):
        with pytest.raises(UserError) as error:
            from_dict(typed, "the command line", {})
        assert str(error.value) == said


def test_the_name_of_a_run_never_changes():
    assert run_name(Settings()) == "14b9e0c7"
    assert run_name(Settings(lr=(1e-3, 2e-3), seeds=(0, 1))) == "84e86b39"


def test_a_setting_that_is_added_renames_no_older_run(monkeypatch):
    (seconds,) = [s for s in SETTINGS if s.name == "seconds"]
    for default, absent in (("adamw", "adam"), (None, "adam")):
        added = replace(seconds, name="optimiser", asked="evaluate", default=default, absent=absent)
        rest = tuple(s for s in SETTINGS if s.name != "evaluate")
        monkeypatch.setattr(module, "SETTINGS", rest)
        older = run_name(Settings())
        monkeypatch.setattr(module, "SETTINGS", (*rest, added))
        assert run_name(Settings(evaluate=absent if default else None)) == older
        assert run_name(Settings(evaluate="sgd")) != older
        assert run_name(Settings(evaluate="adamw")) != older
