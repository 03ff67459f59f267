"""Divergences in closed form that are wrong."""

from collections.abc import Callable

from torch import Tensor
from torch.distributions import (
    Independent,
    Normal,
    kl_divergence,
    register_kl,
)

from tests.testing.zoo.base import caught_by, family
from vaebench import Posterior, Variant


def own(kind: type[Normal]) -> Callable[[int, int], Posterior]:
    return family(lambda m, s: Independent(kind(m, s, validate_args=False), 1))


def with_kl(formula: Callable[[Normal, Normal], Tensor]) -> Callable[[int, int], Posterior]:
    kind = type("Own", (Normal,), {})
    register_kl(kind, Normal)(formula)
    return own(kind)


def right_kl(q: Normal, p: Normal) -> Tensor:
    return kl_divergence(Normal(q.loc, q.scale), p)


@caught_by("kl")
def kl_with_deviation_for_variance() -> Variant:
    return Variant(
        "kl-with-deviation-for-variance",
        with_kl(lambda q, p: (q.scale + q.loc.square() - 1 - q.scale.log()) / 2),
    )


@caught_by("kl")
def kl_without_the_half() -> Variant:
    return Variant("kl-without-the-half", with_kl(lambda q, p: 2 * right_kl(q, p)))


@caught_by("kl")
def kl_two_per_cent_low() -> Variant:
    return Variant("kl-two-per-cent-low", with_kl(lambda q, p: 0.98 * right_kl(q, p)))


@caught_by("kl")
def kl_the_other_way_round() -> Variant:
    return Variant(
        "kl-the-other-way-round",
        with_kl(lambda q, p: kl_divergence(p, Normal(q.loc, q.scale))),
    )


@caught_by("kl")
def kl_with_the_sign_turned() -> Variant:
    return Variant("kl-with-the-sign-turned", with_kl(lambda q, p: -right_kl(q, p)))
