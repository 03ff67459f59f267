"""Settings from a YAML file: what is wrong is named with its line."""

import pytest

from vaebench.config.settings import Settings, from_dict, read, to_dict
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
        ("epochs: 3\nlr: [1\nseeds: 0\n", "line 3 is no YAML"),
        ("epochs: 3\nlr: !!python/object:os.system x\n", "line 2 is no YAML"),
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
