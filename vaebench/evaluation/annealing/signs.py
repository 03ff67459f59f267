"""What the search for the posterior tells of its shape, and what that means for the estimate."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

MOST_MODES = 8  # that a search keeps
_MANY = 3  # modes from which on there may be others
_BENT = 0.0  # curvature under which the posterior is not log-concave where it counts
_HARDLY = 0.15  # under which it is so little that parts of it may be where it is not
_BENT_LENGTH = 1.2  # thermodynamic length above which that is more than a kink, as two modes are
_STRONGLY_BENT = -3.0  # curvature under which it is in any case
_LONG = 1.3  # thermodynamic length above which no Gaussian fits well
_TOO_LONG = 3.0  # above which it is nothing like one
_AGREE = 0.5  # nats between estimates that agree
_SURE = 0.25  # nats of standard error up to which a pilot from the prior is an estimate by itself
_VAGUE = 1.0  # from which on it is one of nothing
BEYOND = 2.0  # standard errors by which a pilot is larger than by chance
#: Nats by which log p(x, u) - log q(u) exceeds log p(x) where a start q has a hole: draws of q come
#: there 400 times more rarely than those of the posterior.
HOLE = 6.0


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
        rival_error: Standard error of that (B,), nats.
        known: Whether a search from the prior leads to modes that the start covers, and nowhere
            else that counts (B,).
        strange: Whether it leads to a mode that the start does not cover (B,).
        confirmed: Whether chains from a wider start say what the others said (B,).
    """

    modes: Tensor
    curvature: Tensor
    length: Tensor
    evidence: Tensor
    rival: Tensor
    rival_error: Tensor
    known: Tensor
    strange: Tensor
    confirmed: Tensor

    @classmethod
    def none(cls, like: Tensor) -> "Signs":
        """Nothing that is known, for B images."""
        one, never = torch.ones_like(like), torch.full_like(like, -torch.inf)
        no = torch.zeros_like(like, dtype=torch.bool)
        return cls(one.long(), one, 0 * one, never, never, -never, no, no, no)

    @classmethod
    def together(cls, parts: "Sequence[Signs]") -> "Signs":
        """Those of all images after one another."""
        return cls(
            *(torch.cat(each) for each in zip(*(vars(p).values() for p in parts), strict=True))
        )

    def take(self, images: Tensor) -> "Signs":
        """Those of some of the images."""
        return Signs(*(value[images] for value in vars(self).values()))

    def with_rival(self, images: Tensor, value: Tensor, error: Tensor) -> "Signs":
        """These signs with what a pilot from the prior found of some of the images."""
        rival, rival_error = self.rival.clone(), self.rival_error.clone()
        rival[images], rival_error[images] = value, error
        return replace(self, rival=rival, rival_error=rival_error)

    @property
    def many(self) -> Tensor:
        """Whether there are so many modes that there may be others (B,)."""
        return self.modes >= _MANY

    @property
    def bent(self) -> Tensor:
        """Whether the posterior is unlike any Gaussian, or may be (B,)."""
        return self._bent(_HARDLY)

    def _bent(self, least: float) -> Tensor:
        more = (self.length > _BENT_LENGTH) | (self.modes > 1)
        bent = (self.curvature < least) & more | (self.curvature < _STRONGLY_BENT)
        return bent | (self.length > _TOO_LONG)

    @property
    def odd(self) -> Tensor:
        """Whether a pilot from the prior is called for (B,)."""
        return self.many | self._bent(_BENT) | (self.length > _LONG)

    def agree(self, log_likelihood: Tensor) -> Tensor:
        """Whether the pilot from the prior is sure of an estimate, or both pilots agree (B,).

        The latter says little where more modes were found than are kept, and nothing where one
        chain has nearly all the weight.
        """
        near = (self.rival - log_likelihood).abs() < _AGREE
        both = near & (self.rival_error < _VAGUE)
        both &= (self.evidence - log_likelihood).abs() < _AGREE
        return near & (self.rival_error < _SURE) | both & (self.modes < MOST_MODES)

    def complete(self, log_likelihood: Tensor) -> Tensor:
        """Whether a search from the prior leads to known modes only, and finds no more (B,)."""
        no_more = self.rival < log_likelihood + _AGREE
        return self.known & no_more & (self.modes < MOST_MODES)
