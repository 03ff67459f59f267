"""What a plugin registers: a posterior, its objective, and what it declares about both."""

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from torch import Tensor, nn

from vaebench.config.space import Space
from vaebench.models.objectives import elbo
from vaebench.models.posterior import Posterior
from vaebench.models.rival import Rival

#: What a law in `Variant.deviations` takes from the evaluation when it is broken.
LAWS = {
    "bound": "the training value is not a bound on log p(x) and is not called ELBO",
    "support": "q leaves the support of the prior: no ELBO",
    "density": "q has no density: no ELBO, no importance weights",
    "likelihood": "prior and decoder are not a model of the data: no likelihood, no samples",
}
#: What a function of a variant is given, where it names it as a keyword without a default.
FACTS = {
    "items": "N, the number of training images",
    "context": "F, the number of encoder features, G of a condition among them",
    "given": "G, the numbers that the condition of an item comes to; 0 without one",
    "classes": "the number of classes whose labels are given or may be seen in training; or 0",
    "labelled": "the number of training images whose labels training may see",
    "elements": "n, the number of images of a set; 0 where items are no sets",
    "members": "of sets, the number of training images that a class has on average; else 0",
    "parts": "(F_1, …, F_M), the features of each part of an item, side by side; () without parts",
    "shape": "(C, H, W), the shape of an image, or (n, C, H, W) of a set",
    "outputs": "M, the numbers that the likelihood takes for each value of a pixel",
    "expected": "the function from a decoder's outputs (..., M·C, H, W) to the expected picture",
    "score": "the function from outputs (K, B, M·C, H, W) and images (B, C, H, W) to log p(x|z)",
    "encoder": "the encoder that all variants share, or the variant's own, as a `Shared`",
    "decoder": "the decoder that all variants share, or the variant's own, as a `Shared`",
}
#: Those that there are before networks are built.
BEFORE = {
    name: FACTS[name] for name in FACTS if name not in ("context", "parts", "encoder", "decoder")
}
#: What a data set may lack that a variant cannot do without, in the words of a remedy.
NEEDS = {
    "labels": "labels that training may see, as those of mnist[labels=100]",
    "pictures": "pictures, as those of mnist",
    "elements": "sets of images, as those of mnist[sets=5]",
    "parts": "items of several parts, as those of linear[kind=parts]",
}


@dataclass(frozen=True)
class Variant:
    """A posterior trained with an objective: one row of the table.

    Attributes:
        name: The name on the command line and in tables.
        posterior: Factory ``(features D, context F, **options) -> Posterior``.
        objective: Maps a Draw to (B,) nats, to be maximised. Its keyword parameters, like the
            factory's and the penalties', are options of the variant. A function that names
            one of `FACTS` as a keyword without a default is given it: N, the number of training
            images, as `items`, their `shape`, F as `context`, the shared `encoder` or `decoder`.
        samples: K, the number of draws in training.
        penalties: Named terms, each mapping a Draw to (B,) nats, subtracted from the objective.
        rival: Factory ``(features D, **options) -> Rival`` of a second player on the codes, whose
            term is subtracted from the objective; None without one.
        networks: Factory ``(features D, **options) -> (encoder, decoder)`` of networks of its own
            in place of the backbone's: images (B, C, H, W) to features (B, F), F being the
            encoder's attribute `features`, and latents (N, D + G) to outputs (N, M·C, H, W). It may
            name the `FACTS` that are known by then. Tables mark the row; None for the backbone.
        deviations: Laws that the variant is known to break, each with the reason.
        needs: Those of `NEEDS` that it cannot do without: it is left out on data sets that lack
            one.
        reference: The paper, with its arXiv number or DOI.
        family: What it is a member of, in the plural; `vaebench list` groups variants by it.
        description: A sentence on what it does, with its formula, for people.
        search: Options that `vaebench tune` tries other values of, each with its `Range` or
            `Choice`, which holds the default. Leave out those that change what the variant costs.

    Example:
        >>> from vaebench import Gaussian, iwae
        >>> Variant("iwae", Gaussian, iwae, samples=8, reference="Burda et al. 2016").samples
        8
    """

    name: str
    posterior: Callable[..., Posterior]
    objective: Callable[..., Tensor] = elbo
    samples: int = 1
    penalties: Mapping[str, Callable[..., Tensor]] = field(default_factory=dict)
    deviations: Mapping[str, str] = field(default_factory=dict)
    reference: str = ""
    family: str = ""
    description: str = ""
    rival: Callable[..., Rival] | None = None
    needs: Collection[str] = ()
    networks: Callable[..., tuple[nn.Module, nn.Module]] | None = None
    search: Mapping[str, Space] = field(default_factory=dict)


def informed(variant: Variant, **facts: Any) -> Variant:
    """The variant whose functions have been given what they name of `FACTS`."""
    return replace(
        variant,
        posterior=given(variant.posterior, facts),
        objective=given(variant.objective, facts),
        penalties={name: given(term, facts) for name, term in variant.penalties.items()},
        rival=variant.rival and given(variant.rival, facts),
        networks=variant.networks and given(variant.networks, facts),
    )


def given(function: Any, facts: Mapping[str, Any]) -> Any:
    """The function with those facts that it names as keywords without a default."""
    mine = {name: facts[name] for name in asked(function) if name in facts}
    return partial(function, **mine) if mine else function


def asked(function: Any) -> list[str]:
    """What a function takes by keyword alone, without a default."""
    return [
        p.name
        for p in inspect.signature(function).parameters.values()
        if p.kind is p.KEYWORD_ONLY and p.default is p.empty
    ]
