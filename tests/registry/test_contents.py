"""What hooks return is checked field by field, and a mistake is a sentence."""

import enum
import json
import math
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vaebench import Backbone, Choice, Gaussian, Range, Source, Variant, elbo, hookimpl
from vaebench.errors import UserError
from vaebench.registry.contents import read
from vaebench.registry.options import options


class Plugin:
    """A plugin that returns what it is given."""

    def __init__(self, **answers):
        for hook, answer in answers.items():
            function = hookimpl(specname=hook)(lambda answer=answer: answer)
            setattr(self, hook, function)


def variants(*given_):
    return read("mine", Plugin(vaebench_variants=list(given_))).things["variants"]


class Colour(enum.Enum):
    RED = 1


class Many(Gaussian):
    def __init__(self, features, context, mode=Colour.RED, rate=math.inf, depth=(1, 2), **more):
        super().__init__(features, context)


class Wanting(Gaussian):
    def __init__(self, features, context, width):
        super().__init__(features, context)


class Sub(Variant):
    """A stranger's own kind of variant."""


def test_sound_variants_are_read_whatever_carries_them():
    found = variants(Sub("a", Gaussian), Variant("b", Many))
    assert set(found) == {"a", "b"} and type(found["a"]) is Variant
    assert options(found["b"]) == {"rate": math.inf, "samples": 1}
    module = Plugin(vaebench_variants=(Variant(name, Gaussian) for name in "cd"))
    contents = read("mine", module)
    assert set(contents.things["variants"]) == {"c", "d"}
    json.dumps(contents.facts())


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"posterior": None}, "posterior=None"),
        ({"reference": 5}, "reference=5"),
        ({"objective": "elbo"}, "objective='elbo'"),
        ({"samples": 0}, "samples=0"),
        ({"samples": True}, "samples=True"),
        ({"samples": 2.0}, "samples=2.0"),
        ({"penalties": [elbo]}, "penalties="),
        ({"penalties": {"x": 3}}, "penalties="),
        ({"deviations": ("bound",)}, "deviations="),
        ({"deviations": {"bound": None}}, "deviations="),
        ({"posterior": Wanting}, "'width'"),
        ({"objective": lambda: 3}, "objective that cannot be called with"),
        ({"objective": lambda draw, *, weight: 3}, "'weight'"),
        ({"rival": "critic"}, "rival='critic'"),
        ({"rival": lambda: 3}, "rival that cannot be called with (features)"),
        ({"rival": lambda features, *, colour: 3}, "'colour'"),
        ({"networks": "mlp"}, "networks='mlp', which is not a function or class, or None"),
        ({"networks": lambda: 3}, "pair of networks that cannot be called with (features)"),
        ({"networks": lambda features, *, encoder: 3}, "'encoder'"),
        ({"search": [4]}, "search=[4], which is not a dict of Range or Choice"),
        ({"search": {"rate": (1, 8)}}, "not a dict of Range or Choice"),
        ({"search": {"rate": Range(1, 8)}}, "'rate', and its options are samples"),
        ({"search": {"samples": Range(2, 8)}}, "leaves out the default 1"),
        ({"search": {"samples": Range(8, 1)}}, "smaller number to a larger one"),
        ({"search": {"samples": Choice(1)}}, "less than two values"),
        ({"name": 5}, "name 5"),
        ({"name": None}, "name None"),
        ({"name": "all"}, "'all'"),
        ({"name": "default"}, "'default'"),
        ({"name": "a b"}, "not of the form"),
    ],
)
def test_a_wrong_field_is_a_sentence_with_its_value(wrong, reason):
    with pytest.raises(UserError) as refused:
        variants(Variant(**{"name": "mine", "posterior": Gaussian, **wrong}))
    assert reason in str(refused.value) and "\n" not in str(refused.value)


def test_two_of_one_name_are_refused():
    with pytest.raises(UserError, match="two of the name 'a'"):
        variants(Variant("a", Gaussian), Variant("a", Gaussian, samples=2))


@pytest.mark.parametrize("answer", [Variant("a", Gaussian), 3, "ab", {"a": Gaussian}])
def test_what_is_not_a_list_of_variants_is_refused(answer):
    with pytest.raises(UserError, match="vaebench_variants returns"):
        read("mine", Plugin(vaebench_variants=answer))


@pytest.mark.parametrize(
    ("hook", "thing", "reason"),
    [
        ("vaebench_datasets", Source("t", "s", read, latent=0), "latent=0"),
        ("vaebench_datasets", Source("t", None, read), "split=None"),
        ("vaebench_datasets", Source("t", "s", None), "read=None"),
        ("vaebench_datasets", "mnist", "not a Source"),
        ("vaebench_backbones", Backbone("t", None, len), "build=None"),
        ("vaebench_backbones", Backbone("t", len, 200), "width=200"),
        ("vaebench_features", 3, "not a function"),
        ("vaebench_search_spaces", Range(1, 8), "not a dict of Range or Choice"),
        ("vaebench_search_spaces", {"beta": 3}, "not a dict of Range or Choice"),
    ],
)
def test_the_fields_of_all_else_are_checked_too(hook, thing, reason):
    with pytest.raises(UserError, match=reason):
        read("mine", Plugin(**{hook: {"mine": thing}}))


ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.binary(),
    st.sampled_from([Colour.RED, Colour, Gaussian, Many, Wanting, elbo, len, print, object(), {}]),
    st.dictionaries(st.text(), st.one_of(st.text(), st.just(elbo), st.none())),
    st.lists(st.integers()),
    st.dictionaries(st.just("samples"), st.builds(Range, st.floats(), st.integers())),
    st.dictionaries(st.just("samples"), st.lists(st.integers()).map(lambda some: Choice(*some))),
    st.builds(SimpleNamespace),
)


@pytest.mark.slow
@settings(max_examples=2000, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.fixed_dictionaries(
        {"name": st.one_of(st.just("mine"), ANYTHING), "posterior": ANYTHING},
        optional={
            name: ANYTHING
            for name in (
                "objective",
                "samples",
                "penalties",
                "deviations",
                "reference",
                "rival",
                "search",
            )
        },
    )
)
def test_any_fields_are_read_or_refused_in_a_sentence(values):
    try:
        contents = read("mine", Plugin(vaebench_variants=[Variant(**values)]))
    except UserError as error:
        assert str(error)
        return
    (facts,) = contents.facts()["variants"].values()
    assert json.loads(json.dumps(facts)).keys() == facts.keys()
