"""What the search for the posterior tells of its shape, and what that means for the estimate."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

MOST_MODES = 8  # that a search keeps
_MANY = 3  # modes from which on there may be others
_BENT = 0.0  # curvature under which the posterior is not log-concave where it counts
_BENT_LENGTH = 1.2  # thermodynamic length above which that is more than a kink, as two modes are
_STRONGLY_BENT = -3.0  # curvature under which it is in any case
_LONG = 1.3  # thermodynamic length above which no Gaussian fits well
_TOO_LONG = 3.0  # above which it is nothing like one
_AGREE = 0.5  # nats between estimates that agree


@dataclass(frozen=True)
class Signs:
    """Of B images.

    Attributes:
        modes: Number of modes found (B,).
        curvature: The least average curvature of -log p(x, u) under the Gaussians that were fitted
            to the best mode (B,), relative to theirs: 1 for a Gaussian, negative for rings and
            funnels.
        length: Thermodynamic length from the Gaussians to the posterior (B,).
        evidence: log p(x) by the pilot from there (B,), nats.
        rival: log p(x) by a pilot from the prior (B,), nats, -inf where there was none.
    """

    modes: Tensor
    curvature: Tensor
    length: Tensor
    evidence: Tensor
    rival: Tensor

    @classmethod
    def none(cls, like: Tensor) -> "Signs":
        """Nothing that is known, for B images."""
        one, never = torch.ones_like(like), torch.full_like(like, -torch.inf)
        return cls(one.long(), one, 0 * one, never, never)

    @classmethod
    def together(cls, parts: "Sequence[Signs]") -> "Signs":
        """Those of all images after one another."""
        return cls(
            *(torch.cat(each) for each in zip(*(vars(p).values() for p in parts), strict=True))
        )

    def take(self, images: Tensor) -> "Signs":
        """Those of some of the images."""
        return Signs(*(value[images] for value in vars(self).values()))

    @property
    def many(self) -> Tensor:
        """Whether there are so many modes that there may be others (B,)."""
        return self.modes >= _MANY

    @property
    def bent(self) -> Tensor:
        """Whether the posterior is unlike any Gaussian (B,)."""
        more = (self.length > _BENT_LENGTH) | (self.modes > 1)
        bent = (self.curvature < _BENT) & more | (self.curvature < _STRONGLY_BENT)
        return bent | (self.length > _TOO_LONG)

    @property
    def odd(self) -> Tensor:
        """Whether a pilot from the prior is called for (B,)."""
        return self.many | self.bent | (self.length > _LONG)

    def agree(self, log_likelihood: Tensor) -> Tensor:
        """Whether both pilots agree with an estimate, and all modes are known (B,)."""
        both = torch.stack([self.evidence, self.rival])
        return ((both - log_likelihood).abs() < _AGREE).all(0) & (self.modes < MOST_MODES)
