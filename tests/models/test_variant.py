"""Functions of a variant are given what they name and nothing else."""

import pytest

from vaebench import Gaussian, Variant, elbo
from vaebench.models.variant import informed
from vaebench.registry.options import configure, options


def of_all(features, context, *, items):
    made = Gaussian(features, context)
    made.items = items
    return made


def counted(draw, price=2.0, *, items):
    return items * price


def test_who_names_the_number_of_images_is_given_it():
    variant = informed(Variant("a", of_all, counted, penalties={"b": counted, "c": elbo}), items=7)
    assert variant.posterior(2, 3).items == 7
    assert variant.objective(None) == variant.penalties["b"](None) == 14
    assert variant.penalties["c"] is elbo


def test_an_option_of_that_name_is_an_option():
    def own(draw, items: int = 3):
        return items

    variant = Variant("a", Gaussian, own)
    assert options(variant)["items"] == 3
    assert informed(variant, items=7).objective(None) == 3
    assert configure(variant, {"items": "5"}).objective(None) == 5


def test_what_is_given_is_no_option():
    variant = Variant("a", of_all, counted)
    assert set(options(variant)) == {"price", "samples"}
    chosen = informed(configure(variant, {"price": "3"}), items=7)
    assert chosen.objective(None) == 21


def test_nobody_is_given_what_is_not_known():
    def strange(draw, *, colour):
        return colour

    with pytest.raises(TypeError, match="colour"):
        informed(Variant("a", Gaussian, strange), items=7).objective(None)
