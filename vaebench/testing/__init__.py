"""The conformance kit: is a variant what it says it is?

`checks()` gives the laws as callables, `parametrize_with_checks` runs them in an author's own
tests, `run` examines a variant for the command line.
"""

from collections.abc import Callable, Sequence
from typing import Any

from vaebench.models.variant import Variant
from vaebench.testing.laws import (
    bounds,
    chains,
    closed_forms,
    conditions,
    conduct,
    density,
    gradient,
    objective,
    rivals,
    robustness,
)
from vaebench.testing.report import Check, KitWarning
from vaebench.testing.runner import Result, declarations, examine

__all__ = ["Check", "KitWarning", "Result", "checks", "parametrize_with_checks", "run"]
CHECKS = (
    conduct.name,
    robustness.sizes,
    robustness.shapes,
    robustness.finite,
    density.support,
    density.own_support,
    density.normalised,
    density.sampler,
    closed_forms.moments,
    conduct.ways_to_draw,
    closed_forms.kl,
    chains.blocks,
    chains.rates,
    gradient.gradient,
    gradient.parameter_gradient,
    gradient.training_gradient,
    gradient.decoder_gradient,
    objective.objective,
    objective.monotone,
    objective.rescaled,
    objective.additive,
    objective.batch_size,
    bounds.evidence,
    bounds.kl_weight,
    bounds.rises,
    bounds.linear_gaussian,
    bounds.prior_matters,
    conduct.parameters,
    rivals.rival,
    conditions.given,
    conditions.together,
    conditions.strata,
    conditions.memory,
    robustness.dtypes,
    robustness.precision,
    robustness.devices,
    conduct.copies,
    conduct.checkpoints,
    conduct.seeds,
    conduct.torch_globals,
)


def checks() -> list[Check]:
    """All checks: callables check(variant) that raise AssertionError where a law is broken."""
    return list(CHECKS)


def run(
    variant: Variant, seed: int = 0, progress: Callable[[str, int, int], None] | None = None
) -> list[Result]:
    """Examine a variant and say of every check how it went.

    Args:
        variant: What to examine.
        seed: Of the random numbers; the same seed gives the same verdicts.
        progress: Told before each check its name, how many are done, and of how many.
    """
    return examine(variant, checks(), seed, progress)


def parametrize_with_checks(variants: Sequence[Variant]) -> Callable[[Callable[..., Any]], Any]:
    """Decorate a test(variant, check) to run it for every variant and check; needs pytest.

    Checks of a law among the variant's `deviations` may fail; that one of them does is tested too.

    Example:
        >>> @parametrize_with_checks([Variant("gaussian", Gaussian)])  # doctest: +SKIP
        ... def test_conforms(variant, check):
        ...     check(variant)
    """
    import pytest

    cases = []
    for variant in variants:
        for check in checks():
            reason = variant.deviations.get(check.law)
            marks = [pytest.mark.xfail(reason=reason, strict=False)] if reason else []
            cases.append(
                pytest.param(variant, check, marks=marks, id=f"{variant.name}-{check.name}")
            )
        last = declarations(checks())
        cases.append(pytest.param(variant, last, id=f"{variant.name}-{last.name}"))
    return pytest.mark.parametrize(("variant", "check"), cases)
