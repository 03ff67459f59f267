"""Vector quantisation: each piece of the code is the nearest of K learned vectors."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, constraints

from vaebench import Draw, Posterior, Variant, hookimpl


class Atoms(constraints.Constraint):
    """Vectors (..., D) whose pieces are all in the books (P, K, d), to the last digit."""

    is_discrete = True
    event_dim = 1

    def __init__(self, books: Tensor) -> None:
        self.books = books

    def check(self, value: Tensor) -> Tensor:
        """Which of the vectors are (...)."""
        return found(self.books, value).any(-1).all(-1)


def found(books: Tensor, value: Tensor) -> Tensor:
    """Which entries (..., P, K) of books (P, K, d) the pieces of value (..., P d) are."""
    pieces = value.unflatten(-1, (books.shape[0], 1, books.shape[-1]))
    return (pieces == books).all(-1)


class Catalogue(Distribution):
    """Independent pieces, each an entry of its book with probability softmax(logits).

    `log_prob` is the logarithm of a probability, not of a density.

    Args:
        logits: Unnormalised log-probabilities (P, K).
        books: Entries (P, K, d).
    """

    arg_constraints: ClassVar = {}

    def __init__(self, logits: Tensor, books: Tensor) -> None:
        self.logits, self.books = logits, books
        event = torch.Size((books.shape[0] * books.shape[-1],))
        super().__init__(torch.Size(), event, validate_args=False)

    @property
    def support(self) -> constraints.Constraint:
        """The K^P vectors."""
        return Atoms(self.books)

    def sample(self, sample_shape: list[int] | tuple[int, ...] = ()) -> Tensor:
        """Draws (..., D)."""
        with torch.no_grad():
            index = Categorical(logits=self.logits, validate_args=False).sample(sample_shape)
            return self.books[torch.arange(len(self.books), device=index.device), index].flatten(-2)

    def log_prob(self, value: Tensor) -> Tensor:
        """log-probability (...) of value (..., D), nats; -∞ of what is no vector of the books."""
        each = self.logits.log_softmax(-1).masked_fill(~found(self.books, value), -torch.inf)
        return each.logsumexp(-1).sum(-1)


class Quantised(Distribution):
    """All mass on the entries `nearest` (B, D) to where the encoder points, `before` (B, D)."""

    arg_constraints: ClassVar = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, before: Tensor, nearest: Tensor) -> None:
        self.before, self.nearest = before, nearest
        super().__init__(before.shape[:-1], before.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The entries, with the gradient of what points to them."""
        # The difference is 0 to the last digit, which leaves the entries as they are.
        return self.nearest.detach() + (self.before - self.before.detach())

    @property
    def variance(self) -> Tensor:
        """Zero, (B, D)."""
        return torch.zeros_like(self.before)

    def rsample(self, sample_shape: list[int] | tuple[int, ...] = ()) -> Tensor:
        """The entries, once for each draw."""
        return self.mean.expand(self._extended_shape(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """Raise NotImplementedError: a point mass has no density."""
        raise NotImplementedError("A point mass has no density.")


class VectorQuantised(Posterior):
    """z = (e_1, …, e_P), where e_p is the entry of book p nearest to the encoder's piece p.

    The decoder's gradient goes straight through to the encoder's pieces. The prior has one learned
    probability for each entry of each book; it starts uniform, as in the paper, and is learned with
    the rest, of which nothing depends on it.

    Args:
        features: D, the number of latent dimensions.
        context: F, the number of encoder features.
        entries: K, in each book.
        piece: d, the dimensions of an entry; P = D / d.

    Raises:
        ValueError: D is not a multiple of d, or a book has no entry.
    """

    def __init__(self, features: int, context: int, entries: int = 32, piece: int = 2) -> None:
        super().__init__(features, context)
        if entries < 1 or piece < 1 or features % piece:
            raise ValueError(
                f"vq has books of entries >= 1 and a latent size that is a multiple of piece, not "
                f"{entries} entries and pieces of {piece} in {features}."
            )
        self.head = nn.Linear(context, features)
        self.books = nn.Parameter(torch.randn(features // piece, entries, piece))
        self.logits = nn.Parameter(torch.zeros(features // piece, entries))

    def forward(self, h: Tensor) -> Distribution:
        """Features h (B, F) to a point mass on entries."""
        before = self.head(h)
        pieces = before.unflatten(-1, (len(self.books), -1)).transpose(0, 1)
        index = torch.cdist(pieces, self.books).argmin(-1)
        nearest = self.books.gather(1, index[..., None].expand(*index.shape, pieces.shape[-1]))
        return Quantised(before, nearest.transpose(0, 1).flatten(-2))

    def prior(self) -> Distribution:
        """The learned probabilities of the entries."""
        return Catalogue(self.logits, self.books.detach())


def coded(draw: Draw) -> Tensor:
    """log p(x|z) + log p(z) (B,) nats at the one code z: a bound on log p(x), of which z is a term.

    Where the prior is uniform, -log p(z) = P log K.
    """
    return draw.mean(draw.log_px + draw.kl_weight * draw.log_pz)


def quantisation(draw: Draw, commitment: float = 0.25) -> Tensor:
    """Squared distance (B,) of entries to pieces, and `commitment` times that of pieces to entries.

    References:
        van den Oord et al. 2017, Neural Discrete Representation Learning, arXiv 1711.00937, eq. 3.
    """
    before, nearest = draw.q.before, draw.q.nearest  # type: ignore[attr-defined]
    book = (before.detach() - nearest).square().sum(-1)
    return book + commitment * (before - nearest.detach()).square().sum(-1)


@hookimpl
def vaebench_variants() -> list[Variant]:
    """Books of 32 entries for pairs of dimensions."""
    return [
        Variant(
            "vq",
            VectorQuantised,
            objective=coded,
            penalties={"quantisation": quantisation},
            deviations={
                "density": "codes are vectors of a finite set: they have probabilities alone",
                "gradient": "the decoder's gradient goes straight through the choice of an entry",
                "training_gradient": "the same, in the objective",
            },
            reference="van den Oord et al. 2017, arXiv 1711.00937",
            family="autoencoders",
            description="Pieces of the code replaced by the nearest of K learned vectors, with a "
            "straight-through gradient and learned probabilities of the vectors as prior.",
        )
    ]
