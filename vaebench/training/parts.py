"""Which networks and likelihoods a cell takes, for each part where items have several."""

from typing import NamedTuple

from vaebench.data.dataset import Dataset
from vaebench.data.modalities import Modalities
from vaebench.models.backbones import Backbone
from vaebench.models.likelihoods import Likelihood
from vaebench.registry.lookup import backbone, likelihood

#: What a text beside pictures is modelled with, whose settings are those of pictures.
TEXT, TOKENS = "lstm", "tokens"
#: What real numbers are observed by where the cell's likelihood is one of other pictures.
NUMBERS = "gaussian"


class Choice(NamedTuple):
    """How a part is modelled: names of backbone and likelihood, and the networks' width."""

    backbone: str
    width: int
    likelihood: str

    @property
    def networks(self) -> Backbone:
        """The backbone."""
        return backbone(self.backbone)

    def observed(self, levels: int) -> Likelihood:
        """A new likelihood for L levels."""
        return likelihood(self.likelihood, levels)


def choices(images: Dataset, built_by: str, width: int, seen_as: str) -> dict[str, Choice]:
    """How each part of a data set is modelled, by name; one without parts has one, unnamed.

    Backbone, width and likelihood are those that are asked for where they fit the part. A text
    beside pictures has the networks `TEXT`, of their usual width, and real numbers beside other
    pictures the likelihood `NUMBERS`.

    Args:
        images: The data set.
        built_by: The backbone that is asked for.
        width: Of its networks.
        seen_as: The likelihood that is asked for.
    """
    asked = Choice(built_by, width, seen_as)
    if not isinstance(images, Modalities):
        return {"": asked}
    return {name: _choice(part, images, asked) for name, part in images.like.items()}


def _choice(part: Dataset, images: Modalities, asked: Choice) -> Choice:
    if part.kind != images.made_of:
        return Choice(TEXT, backbone(TEXT).width(part.shape), TOKENS)
    if part.real and asked.observed(images.levels).takes != "real":
        return asked._replace(likelihood=NUMBERS)
    return asked
