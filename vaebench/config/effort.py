"""How much effort AIS gets where nothing is asked for."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

#: Images, and gradients of the decoder for each.
USUAL = {"ais_images": 64, "ais_budget": 6000}
#: Larger pictures, in values (784 are 28 × 28), get the effort of their training with so many
#: epochs: one gradient of the decoder for each image of each, which takes a third of the time.
_SMALL, _EPOCHS = 784, 40
#: What they get at least: a mean of fewer images enters no verdict, and fewer gradients than these
#: do not do for a pilot and a run behind it.
_LEAST = {"ais_images": 16, "ais_budget": 1500}


def chosen(shape: Sequence[int] | None, train: int | None) -> dict[str, int]:
    """The effort for pictures of a shape (C, H, W), of which so many are for training.

    It depends on nothing else, so that numbers do not depend on the machine.
    """
    if not shape or not train or math.prod(shape) <= _SMALL:
        return dict(USUAL)
    room = _EPOCHS * train
    budget = min(max(room // USUAL["ais_images"], _LEAST["ais_budget"]), USUAL["ais_budget"])
    images = min(max(room // budget, _LEAST["ais_images"]), USUAL["ais_images"])
    return {"ais_images": images, "ais_budget": budget}


def filled(
    asked: Mapping[str, Any], shape: Sequence[int] | None, train: int | None
) -> dict[str, Any]:
    """The settings that are asked for, with the effort that is chosen in place of None."""
    found = chosen(shape, train)
    return {
        name: found[name] if value is None and name in found else value
        for name, value in asked.items()
    }
