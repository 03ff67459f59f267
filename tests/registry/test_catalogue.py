import sys

import pytest

from vaebench import Choice, Gaussian, Range, Variant, elbo
from vaebench.errors import UserError
from vaebench.registry.catalogue import Catalogue, Plugin, catalogue
from vaebench.registry.options import configure, options


class Shifted(Gaussian):
    """A Gaussian with options of every type."""

    def __init__(self, features, context, width: int = 3, rate: float = 0.5, on: bool = False):
        super().__init__(features, context)
        self.options = width, rate, on


def scaled(draw, weight: float = 1.0):
    return weight * elbo(draw)


VARIANT = Variant("shifted", Shifted, scaled, samples=2)


def package(root, name, code, entry=None):
    """Lay out an installed package as pip would, with an entry point of the same name."""
    (root / f"{name}_module.py").write_text(code)
    info = root / f"{name}-1.0.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[vaebench]\n{entry or name} = {name}_module\n")


GOOD = """
from vaebench import Gaussian, Variant, hookimpl

@hookimpl
def vaebench_variants():
    return [Variant({names})]
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Install strangers' packages for one test."""
    monkeypatch.syspath_prepend(tmp_path)
    catalogue.cache_clear()

    def install(name, code, entry=None):
        package(tmp_path, name, code, entry)
        monkeypatch.delitem(sys.modules, f"{name}_module", raising=False)
        return catalogue()

    yield install
    catalogue.cache_clear()


def variants(*names):
    return GOOD.format(names="), Variant(".join(f"{name!r}, Gaussian" for name in names))


def test_the_eight_of_the_default_run_are_installed():
    from vaebench.config.cell import DEFAULT_PLUGINS

    found = catalogue()
    assert set(DEFAULT_PLUGINS) <= set(found.names())
    assert not found.broken


def test_a_strangers_plugin_is_found_with_its_package(installed):
    found = installed("stranger", variants("theirs", "others"))
    assert found.plugins["stranger"].package == "stranger 1.0"
    assert found.select(["stranger"]) == ["theirs", "others"]
    assert found.select(["theirs", "gaussian", "theirs"]) == ["theirs", "gaussian"]
    assert set(found.select(["all"])) >= {"theirs", "gaussian", "vmf"}


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import nothing_like_this", "nothing_like_this"),
        ("raise RuntimeError('boom')", "RuntimeError: boom"),
        ("raise SystemExit(3)", "SystemExit"),
        ("def (", "SyntaxError"),
        ("x = 1", "adds nothing"),
        (variants("theirs").replace("vaebench_variants", "vaebench_variant"), "vaebench_variant"),
        ("vaebench_interface = 2" + variants("theirs"), "version 2 of the plugin interface"),
        (variants("../theirs"), "not of the form"),
        (variants("<b>"), "not of the form"),
        (variants("theirs").replace("[Variant", "['x', Variant"), "not a Variant"),
        (variants("theirs").replace("return [", "raise ValueError('in hook'); ["), "in hook"),
    ],
)
def test_a_broken_plugin_leaves_the_others_alone(installed, code, reason):
    found = installed("broken", code)
    assert reason in found.broken["broken"]
    assert "gaussian" in found.names()
    assert found.select(["broken", "gaussian"]) == ["broken", "gaussian"]
    with pytest.raises(UserError, match="cannot be loaded"):
        found.variant("broken")


def test_a_strangers_gaussian_leaves_the_built_in_one_alone(installed):
    found = installed("rival", variants("gaussian"), entry="gaussian")
    assert found.plugins["gaussian"].distribution == "vaebench"
    assert found.plugins["rival:gaussian"].package == "rival 1.0"
    assert found.select(["gaussian[samples=2]", "rival:gaussian", "rival:gaussian[samples=2]"]) == [
        "gaussian[samples=2]",
        "rival:gaussian",
        "rival:gaussian[samples=2]",
    ]
    assert found.variant("gaussian").reference and not found.variant("rival:gaussian").reference
    assert found.variant("rival:gaussian[samples=2]").name == "rival:gaussian[samples=2]"
    assert found.owner("rival:gaussian").name == "rival:gaussian"
    assert {"gaussian", "rival:gaussian"} <= set(found.select(["all"]))


def test_two_strangers_with_one_name_are_told_apart_by_their_packages(installed):
    installed("one", variants("theirs"))
    catalogue.cache_clear()
    found = installed("two", variants("theirs"))
    with pytest.raises(UserError, match=r"'one' \(one 1\.0\) and 'two'.*write one:theirs or two:"):
        found.select(["theirs"])
    assert found.select(["one", "two:theirs"]) == ["one:theirs", "two:theirs"]


def test_the_environment_restricts_what_is_loaded(monkeypatch):
    catalogue.cache_clear()
    monkeypatch.setenv("VAEBENCH_PLUGINS", "gaussian,iwae")
    assert set(catalogue().plugins) == {"gaussian", "iwae", "vaebench"}
    catalogue.cache_clear()


def test_an_unknown_variant_is_refused_with_the_closest_name():
    with pytest.raises(UserError, match="Did you mean 'gaussian'"):
        catalogue().variant("gausian")


def test_options_come_from_factory_objective_and_samples():
    assert options(VARIANT) == {
        "width": 3,
        "rate": 0.5,
        "on": False,
        "weight": 1.0,
        "samples": 2,
    }
    found = configure(VARIANT, {"width": "8", "on": "true", "weight": "0.5", "samples": "4"})
    assert found.name == "shifted[on=true,samples=4,weight=0.5,width=8]"
    assert found.samples == 4
    assert found.posterior(2, 5).options == (8, 0.5, True)
    assert found.objective.keywords == {"weight": 0.5}


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"widht": "8"}, "Did you mean 'width'"),
        ({"width": "8.5"}, "type int"),
        ({"rate": "fast"}, "type float"),
        ({"on": "maybe"}, "true or false"),
        ({"samples": "0"}, "1 or more"),
    ],
)
def test_options_that_cannot_work_are_refused(chosen, message):
    with pytest.raises(UserError, match=message):
        configure(VARIANT, chosen)


def test_a_catalogue_is_plain_data():
    facts = {"options": {"samples": 1}}
    one = Plugin("p", "package", "package 1", "", {"variants": {"first": facts, "second": facts}})
    found = Catalogue({"p": one}, {"bad": "reason"})
    assert found.names() == ["first", "second"]
    assert found.select(["p", "bad"]) == ["first", "second", "bad"]
    assert found.select(["package:first[samples=3]"]) == ["first[samples=3]"]


FEATURES = """
from torch import nn

from vaebench import hookimpl

class Halves(nn.Module):
    def __init__(self, weight):
        super().__init__()
        self.register_buffer("weight", weight)
        self.head = nn.Linear(32, 3)
        nn.init.zeros_(self.head.weight), nn.init.zeros_(self.head.bias)

    def forward(self, images):
        return images.flatten(1)[:, ::2] * self.weight

def load(weights, download):
    import torch
    return Halves(torch.tensor(FACTOR))

@hookimpl
def vaebench_features():
    return {"NAME": load}
"""


def features(factor, name="halves"):
    return FEATURES.replace("FACTOR", str(factor)).replace("NAME", name)


def test_a_strangers_features_carry_a_hash_of_their_weights(installed):
    import torch

    from vaebench.evaluation.features.extractor import chosen, extractor

    found = installed("fourier", features(2.0))
    assert found.extractors() == ["halves"] and not found.plugins["fourier"].facts["variants"]
    assert "fourier" not in found.select(["all"])
    own = extractor("halves", known=chosen("halves"))
    images = torch.rand(5, 1, 8, 8)
    torch.testing.assert_close(own(images), 2 * images.flatten(1)[:, ::2])
    assert own.logits(own(images)).shape == (5, 3)
    again = extractor("halves", known=chosen("halves"))
    assert own.identity == again.identity != extractor("digits").identity
    own.network.weight.mul_(2)
    installed_again(installed, features(3.0))
    other = extractor("halves", known=chosen("halves"))
    assert other.sha256 != own.sha256


def installed_again(installed, code):
    catalogue.cache_clear()
    return installed("fourier", code)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (features(1.0, "../x"), "not of the form"),
        (
            features(1.0).replace('"NAME": load', '"halves": 3').replace(": load}", ": 3}"),
            "not a function",
        ),
        (features(1.0).replace("hookimpl\n", "hookimpl\n") + "\nraise ValueError('late')", "late"),
    ],
)
def test_broken_features_break_their_plugin_alone(installed, code, reason):
    found = installed("fourier", code)
    assert reason in found.broken["fourier"]


def test_a_feature_extractor_that_is_no_module_is_explained(installed):
    from vaebench.evaluation.features.extractor import chosen, extractor

    installed("fourier", features(1.0).replace("Halves(torch.tensor(1.0))", "None"))
    with pytest.raises(UserError, match=r"'halves' is not a torch.nn.Module: None"):
        extractor("halves", known=chosen("halves"))


SPACES = """
from vaebench import Choice, Gaussian, Range, Variant, hookimpl

@hookimpl
def vaebench_variants():
    mine = Variant("mine", Gaussian, search={{"samples": Choice(1, 2)}})
    return [mine, Variant("other", Gaussian)]

@hookimpl
def vaebench_search_spaces():
    return {spaces}
"""


def test_a_stranger_declares_spaces_as_the_built_in_plugins_do(installed):
    spaces = '{"mine": {"samples": Range(1, 8)}, "other": {"samples": Range(1, 4)}}'
    found = installed("spaced", SPACES.format(spaces=spaces))
    assert found.search("mine") == {"samples": Choice(1, 2)}
    assert found.search("other") == {"samples": Range(1, 4)}
    assert found.search_facts("mine") == {"samples": "1|2"}
    assert found.search_facts("other") == {"samples": "1..4"}
    assert found.search("gaussian") == found.search_facts("gaussian") == {}
    assert found.search("beta-vae") == {"beta": Range(0.5, 16.0, log=True)}


def test_spaces_of_options_that_there_are_not_are_a_sentence(installed):
    found = installed("spaced", SPACES.format(spaces='{"other": {"beta": Range(1, 8)}}'))
    with pytest.raises(UserError, match="'other' has a search space of 'beta', and its options"):
        found.search("other")


def test_the_spaces_that_come_with_vaebench_are_of_options_that_there_are():
    found = catalogue()
    names = found.brought("spaces")
    assert "beta-vae" in names
    assert all(found.search(name).keys() == found.search_facts(name).keys() for name in names)
