"""Data sets, backbones and likelihoods by name, whoever brings them."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from vaebench.config.names import absolute, parse, spell, spelled
from vaebench.data import conditions, heldout
from vaebench.data.dataset import Dataset, bounded, fewer, permuted
from vaebench.data.images import Images, Request, Source, negative
from vaebench.data.modalities import Modalities
from vaebench.data.remarks import remarks
from vaebench.data.sets import Sets, grouped
from vaebench.data.text import Text
from vaebench.data.validation import check, explained
from vaebench.data.views import viewed
from vaebench.errors import UserError, unknown
from vaebench.models.backbones import Backbone
from vaebench.models.likelihoods import Likelihood
from vaebench.models.samplers import Sampler
from vaebench.registry.catalogue import catalogue
from vaebench.registry.options import chosen, keywords

#: The options that every data set has.
_OURS = ("without", "train", "sets", "views", *conditions.OPTIONS)


def backbone(name: str) -> Backbone:
    """The backbone of that name; UserError if there is none."""
    found: Backbone = catalogue().thing("backbones", name)
    return found


def parts(name: str) -> tuple[str, str]:
    """A data set's name and the path behind it: of ``mnist[without=9]``, ``folder:PATH``, ….

    The name may be one of a package, as in ``package:name:PATH``.
    """
    key, _, path = spelled(name)[0].partition(":")
    inner, _, rest = path.partition(":")
    plugins = catalogue().plugins.values()
    if any(p.distribution == key and inner in p.facts.get("datasets", ()) for p in plugins):
        return f"{key}:{inner}", rest
    return key, path


def located(name: str) -> str:
    """A data set's name with the absolute path, which names the same pictures in every folder.

    Options are in alphabetical order.

    Raises:
        UserError: There is no such data set, or it has no such option.
    """
    key, path = parts(name)
    return spell(f"{key}:{absolute(path)}" if path else key, options(name))


def options(name: str) -> dict[str, Any]:
    """The options of a spelled data set; UserError where it has none of that name or kind.

    Every one has ``without``, the class that is left out, ``train``, the number of training items,
    ``sets``, the images of a set, ``views``, the images of an item, and those of `conditions`,
    beside what its reader takes.
    """
    taken, ours = _options(name)
    return taken | ours


def _options(name: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The options of a spelled data set that its reader takes, and those that every one has."""
    key, given = spelled(name)
    known = catalogue().facts("datasets", parts(key)[0])["options"] if given else {}
    values = chosen(key, given, dict.fromkeys(_OURS) | known)
    ours = {each: values.pop(each) for each in values.keys() - known.keys()}
    conditions.check(key, ours)
    return values, ours


def likelihood(spelled: str, levels: int) -> Likelihood:
    """The observation model spelled ``bernoulli``, ``gaussian[scale=0.1]``, …, for L levels.

    Raises:
        UserError: It does not exist, or has no such option, or its constructor fails.
    """
    name, options = parse(spelled)
    kind = catalogue().thing("likelihoods", name)
    values = chosen(name, options, keywords(kind, 1))
    with explained(f"The likelihood {spelled!r}"):
        return kind(levels, **values)


def samplers(names: Iterable[str]) -> tuple[str, ...]:
    """Names of samplers with their options in alphabetical order; ``prior`` stays as it is.

    Raises:
        UserError: One does not exist, or has no such option.
    """
    found = []
    for each in names:
        name, given = parse(each)
        if name != "prior":
            owner = catalogue().canonical("samplers", name)
            facts = catalogue().facts("samplers", name)
            each = spell(owner, chosen(name, given, facts["options"]))
        elif given:
            raise unknown("option of prior:", next(iter(given)), ())
        found.append(each)
    return tuple(dict.fromkeys(found))


def sampler(spelled: str) -> Sampler:
    """The sampler spelled ``gmm[components=10]``, its options set; UserError if there is none."""
    name, given = parse(spelled)
    found = catalogue().thing("samplers", name)
    return partial(found, **chosen(name, given, keywords(found, 1)))


def source(name: str) -> Source:
    """The source of a data set: ``mnist``, ``mnist[without=9]``, ``folder:PATH`` and the like.

    UserError where there is none, or it needs a path and none stands there.
    """
    key, path = parts(name)
    found: Source = catalogue().thing("datasets", key)
    if found.path and not path:
        raise UserError(f"{key} does not say which one: write --dataset {key}:{found.path}.")
    return found


def load(name: str, request: Request) -> Dataset:
    """Read a data set, the items of each split in random order, held-out ones up to 20,000 each.

    Raises:
        UserError: It is missing, damaged, too small or not what it must be.
    """
    found = source(name)
    if path := parts(located(name))[1]:
        request = Request(Path(path), request.download, request.size)
    what = f"The data set {name!r}"
    taken, ours = _options(name)
    with explained(what):
        images = found.read(request, **taken)
    check(what, images)
    _check_size(name, images, request.size)
    if found.inverted:
        images = _each(images, lambda split: negative(split, images.levels))
    if not found.shuffled:
        images = _each(images, permuted)
    if (label := ours.pop("without", None)) is not None:
        images = heldout.without(what, images, label)
        check(what, images)
    if (count := ours.pop("train", None)) is not None:
        images = fewer(what, images, int(count))
        check(what, images)
    images = replace(images, notes=(*images.notes, *remarks(images)))
    if (elements := ours.pop("sets", None)) is not None:
        images = grouped(what, images, int(elements))
        check(what, images)
    if (views := ours.pop("views", None)) is not None:
        images = viewed(what, images, int(views))
        check(what, images)
    images = conditions.conditioned(what, images, ours)
    if isinstance(images, Text | Sets | Modalities) and (label is not None or images.given):
        # What is known is the probability of an item of any class.
        images = replace(images, log_prob=None)
    check(what, images)
    return bounded(images)


def _check_size(name: str, images: Dataset, size: int | None) -> None:
    if size is None:
        return
    if isinstance(images, Modalities):
        for part in images.like.values():
            if isinstance(part, Images):
                _check_size(name, part, size)
        return
    if not isinstance(images, Images | Sets):
        raise UserError(f"{name} has no pictures: leave out --image-size.")
    height, width = images.shape[-2:]
    if (height, width) != (size, size):
        raise UserError(f"{name} comes in {height}×{width} only; leave out --image-size.")


def _each(images: Dataset, change: Callable[[Any], Any]) -> Dataset:
    """The data set with each of its splits changed, one after the other to save memory."""
    images = replace(images, train=change(images.train))
    images = replace(images, validation=change(images.validation))
    return replace(images, test=change(images.test))
