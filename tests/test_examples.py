"""The examples in the docstrings of public names run, and print what they say."""

import doctest
import inspect
from importlib import import_module

import pytest

import vaebench

CLASSES = (
    "Backbone",
    "Draw",
    "Gaussian",
    "Images",
    "Likelihood",
    "Measurement",
    "Metric",
    "Posterior",
    "Rival",
    "Source",
    "Variant",
)


@pytest.mark.parametrize("name", CLASSES)
def test_the_example_of_a_public_class_runs(name):
    found = getattr(vaebench, name)
    module = import_module(found.__module__)
    (test,) = [
        one
        for one in doctest.DocTestFinder(recurse=False).find(found, name, module)
        if one.examples
    ]
    assert inspect.isclass(found) and doctest.DocTestRunner().run(test).failed == 0
