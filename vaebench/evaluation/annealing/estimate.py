"""An estimate of log p(x) from the weights of chains, with what is needed to believe it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vaebench.evaluation.annealing.signs import Signs
from vaebench.evaluation.annealing.weights import mean_weight_error


@dataclass(frozen=True)
class Estimate:
    """The log-likelihood of B images, with what is needed to believe it.

    Attributes:
        log_likelihood: Estimates of log p(x) (B,), nats, float64; exp of them is unbiased, so
            that they are low rather than high.
        se: Standard errors over the chains (B,), nats, as wide as Student's t for so few.
        log_weights: Of each chain (C, B), nats.
        ess: Effective number of chains (B,), at most C.
        acceptance: Mean probability of acceptance (B,).
        steps: Steps from the start to the posterior (B,).
        evaluations: Gradients of the decoder spent on each image (B,), all of them.
        pilot_evaluations: Of these, the ones spent on fitting the start and on the pilots (B,).
        uncovered: The share of the posterior, as the chains tell it, that lies where the Gaussians
            at which they start have holes (B,); 0 where they start otherwise.
        signs: What the search for the posterior told of its shape.
    """

    log_likelihood: Tensor
    se: Tensor
    log_weights: Tensor
    ess: Tensor
    acceptance: Tensor
    steps: Tensor
    evaluations: Tensor
    pilot_evaluations: Tensor
    uncovered: Tensor
    signs: Signs

    def _reasons(self) -> dict[str, Tensor]:
        return {**self._others(), **self._shape()}

    def _shape(self) -> dict[str, Tensor]:
        """Reasons that a wider start can do away with."""
        doubt, alone = ~self.signs.confirmed, ~self.signs.agree(self.log_likelihood)
        bent, hole = self.signs.bent & alone & doubt, (self.uncovered > 0.25) & doubt
        return {
            "the posterior is bent, unlike the Gaussians where the chains start": bent,
            "a quarter of the posterior is where hardly any chain starts": hole,
        }

    def _others(self) -> dict[str, Tensor]:
        chains = len(self.log_weights)
        alone = ~self.signs.agree(self.log_likelihood)
        many = self.signs.many & ~self.signs.complete(self.log_likelihood)
        return {
            f"fewer than a quarter of the {chains} chains are effective": self.ess < chains / 4,
            "fewer than a fifth of the moves are accepted": self.acceptance < 0.2,
            "the standard error is above .25 nats": self.se > 0.25,
            "three or more modes were found, and there may be others": many & alone,
            "a search from the prior leads to a mode that was not found": self.signs.strange,
        }

    @property
    def open(self) -> Tensor:
        """Whether nothing but its shape speaks against it, which a search from the prior knows."""
        shape, others = (
            torch.stack(list(r.values())).any(0) for r in (self._shape(), self._others())
        )
        return shape & ~others & self.signs.known

    @property
    def mean_se(self) -> float:
        """Standard error of the mean over images that is due to the sampler, nats."""
        return mean_weight_error(self.log_weights).square().sum().sqrt().item() / len(self.se)

    @property
    def trusted(self) -> Tensor:
        """Whether nothing speaks against the estimate (B,).

        That is its effective number, acceptance and standard error; that the start covers the
        places where chains end, and those to which a search from the prior leads; and the shape of
        the posterior: where it has three or more modes, or is bent as rings and funnels are, such
        a search has to confirm the estimate.
        """
        return ~torch.stack(list(self._reasons().values())).any(0)

    @property
    def warnings(self) -> list[str]:
        """One sentence that says how many estimates are not to be trusted and why, or none."""
        counts = {reason: int(which.sum()) for reason, which in self._reasons().items()}
        why = ", ".join(f"{reason} ({count})" for reason, count in counts.items() if count)
        if not why:
            return []
        return [
            f"{int((~self.trusted).sum())} of {len(self.se)} log-likelihoods are not to be "
            f"trusted: {why}; ask for more steps or a larger budget."
        ]

    def take(self, images: Tensor) -> "Estimate":
        """The estimates of some of the images."""
        signs, values = self.signs.take(images), dict(vars(self))
        del values["signs"]
        return Estimate(**{k: v[..., images] for k, v in values.items()}, signs=signs)


def side_by_side(parts: Sequence[Estimate]) -> Estimate:
    """The estimates of all images after one another."""
    names = [name for name in vars(parts[0]) if name != "signs"]
    values = {name: torch.cat([vars(part)[name] for part in parts], -1) for name in names}
    return Estimate(**values, signs=Signs.together([part.signs for part in parts]))
