"""Networks that a variant brings in place of the backbone's, and a variant tried without data."""

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaebench.compute.random import seeded
from vaebench.models.backbones import Backbone
from vaebench.models.draw import Draw
from vaebench.models.posterior import Posterior, prior_of
from vaebench.models.shared import Shared, stand_ins
from vaebench.models.variant import BEFORE, Variant, asked, given, informed


def brought(variant: Variant, features: int, **facts: Any) -> Backbone | None:
    """The networks of a variant's own for D = `features`, told those of `BEFORE` that it names.

    They come as a backbone, which builds them whatever it is asked for. None where the variant
    takes the backbone that there is.
    """
    if variant.networks is None:
        return None
    make = given(variant.networks, {name: facts[name] for name in BEFORE})
    title = f"the network pair of {variant.name}"
    return Backbone(title, lambda *_: make(features), lambda shape: 1)


def tried(variant: Variant, context: int) -> Variant:
    """The variant told `stand_ins`, where one of F = `context` features is tried alone.

    Of one that brings networks the posterior stands behind its own encoder: the features are the
    pixels of a picture.
    """
    facts = stand_ins(context)
    if "parts" in asked(variant.posterior):
        variant = replace(variant, posterior=_of_size(variant.posterior))
    if variant.networks is None:
        return informed(variant, **facts)

    @wraps(variant.posterior)
    def posterior(features: int, context: int, given: int = 0, **options: Any) -> Posterior:
        return _Behind(variant, features, context, facts | {"given": given}, options)

    def of_draws(term: Callable[..., Tensor]) -> Callable[..., Tensor]:
        @wraps(term)
        def told(draw: Draw, **options: Any) -> Tensor:
            own = _own(variant, draw.z.shape[-1], facts, draw.z.dtype)
            return term(draw, **{name: own.get(name, value) for name, value in options.items()})

        return told

    told = replace(
        variant,
        networks=None,
        objective=of_draws(variant.objective),
        penalties={name: of_draws(term) for name, term in variant.penalties.items()},
    )
    return replace(informed(told, **facts), posterior=posterior)


def _of_size(factory: Callable[..., Posterior]) -> Callable[..., Posterior]:
    """The factory of a posterior of two parts, asked for D of z, not for what a decoder is told."""

    @wraps(factory)
    def posterior(features: int, context: int, **options: Any) -> Posterior:
        for told in range(features, 0, -1):
            found = factory(told, context, **options)
            if found.features == features:
                return found
        raise ValueError(f"There is no z of {features} dimensions.")

    return posterior


def _own(variant: Variant, features: int, facts: dict[str, Any], dtype: torch.dtype) -> Any:
    """The variant's own networks for D = `features`, their weights always the same."""
    with seeded(0, "decoder"):
        networks: Any = brought(variant, features, **facts)
        pair = networks.build(facts["shape"], features, 1)
    return {n: Shared(part.to(dtype)) for n, part in zip(("encoder", "decoder"), pair, strict=True)}


class _Behind(Posterior):
    """A posterior behind its encoder, which sees the features (B, F) as pixels.

    The decoder, with weights that are always the same, is shared with whoever decodes: its
    parameters are not among this one's.
    """

    def __init__(
        self,
        variant: Variant,
        features: int,
        context: int,
        facts: dict[str, Any],
        options: dict[str, Any],
    ) -> None:
        super().__init__(features, context)
        self.shape, self.given = facts["shape"], facts["given"]
        networks: Any = brought(variant, features, **facts)
        self.encoder, _ = networks.build(self.shape, features, 1)
        self.decoder = _own(variant, features, facts, torch.get_default_dtype())["decoder"]
        seen: Any = self.encoder.features
        shared = {"encoder": Shared(self.encoder), "decoder": self.decoder}
        facts = facts | shared | {"context": seen + self.given}
        self.posterior = given(variant.posterior, facts)(features, seen + self.given, **options)

    def _apply(self, fn: Any, recurse: bool = True) -> "_Behind":
        self.decoder.network._apply(fn)
        super()._apply(fn, recurse)
        return self

    def forward(self, h: Tensor) -> Distribution:
        """Features (B, F), the last G of which are the condition too, to q."""
        seen = self.encoder(h.unflatten(-1, self.shape))
        y = h[..., h.shape[-1] - self.given :]
        return self.posterior(torch.cat([seen, y], -1))

    def prior(self, given: Tensor | None = None) -> Distribution:
        """The posterior's own prior."""
        return prior_of(self.posterior, given)
