"""Sets: a statistic of the set beside codes of its elements, and a bound for whole classes."""

from functools import partial

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from vaebench import Chain, Draw, Gaussian, Posterior, Seen, Variant, hookimpl, shares


class Layer(nn.Module):
    """A diagonal Gaussian of `size` dimensions given vectors (..., G): linear and hidden units."""

    def __init__(self, size: int, given: int, width: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(given, width)
        self.head = Gaussian(size, given + width)

    def forward(self, given: Tensor) -> Distribution:
        """Vectors (..., G) to N(loc, diag scale²)."""
        return self.head(torch.cat([given, torch.tanh(self.hidden(given))], -1))


class Statistician(Posterior):
    r"""z = (c, z_1, …, z_n): a statistic c of the set, and a code of each element.

    p(c) = N(0, I) and p(z_i|c) is learned; q(c|X) sees the mean of the elements' features, so that
    their order changes nothing, and q(z_i|x_i, c) those of the element. All of them are diagonal
    Gaussians. Sets of other sizes have a q too: of m < n elements the codes z_{m+1}, …, z_n that
    are missing have p(z_i|c) for q.

    Args:
        features: T = C + n·E, the dimensions of c and of n codes.
        context: n·F, the features of all elements one after the other.
        width: Hidden units of each network.
        elements: n.

    Raises:
        ValueError: There are fewer dimensions than c and each element need.
    """

    def __init__(self, features: int, context: int, width: int = 128, *, elements: int) -> None:
        size, own = shares(features, elements)
        if own < 1 or width < 1:
            raise ValueError(
                f"c and {elements} codes need {elements + 1} dimensions or more, not {features}, "
                f"and networks a width of 1 or more, not {width}."
            )
        super().__init__(features, context)
        self.elements, self.size, self.own = elements, size, own
        self.told = context // elements
        self.of_set = Layer(size, self.told, width)
        self.of_element = Layer(own, self.told + size, width)
        self.element = Layer(own, size, width)

    def forward(self, h: Tensor) -> Distribution:
        """Features (B, m·F) of sets of m elements to q(c|X) Π q(z_i|x_i, c)."""
        each = self._each(h)
        return self._chain(each, each)

    def prior(self) -> Distribution:
        """p(c) Π p(z_i|c)."""
        laws = {"set": (self.size, self.of_set.head.prior)}
        return Chain(laws | {"elements": (self.elements * self.own, self._codes)})

    def _each(self, h: Tensor) -> Tensor:
        return h.unflatten(-1, (-1, self.told))

    def _chain(self, shown: Tensor, each: Tensor) -> Chain:
        """q(c|shown) Π q(z_i|x_i, c) for features (B, m', F) and (B, m, F)."""
        count = max(self.elements, each.shape[-2])
        laws = {
            "set": (self.size, partial(self.of_set, shown.mean(-2))),
            "elements": (count * self.own, partial(self._codes, each=each)),
        }
        return Chain(laws, each.shape[:1])

    def _codes(self, c: Tensor, each: Tensor | None = None) -> Distribution:
        """The codes (..., n·E) of elements with features (B, m, F), of others p(z_i|c)."""
        laws = []
        if each is not None:
            lead = torch.Size(torch.broadcast_shapes(c.shape[:-1], each.shape[:1]))
            lead = lead + each.shape[1:2]
            told = [each.expand(*lead, -1), c.unsqueeze(-2).expand(*lead, -1)]
            laws.append(self.of_element(torch.cat(told, -1)))
        if (rest := self.elements - (0 if each is None else each.shape[-2])) > 0:
            law = self.element(c.unsqueeze(-2))
            laws.append(law.expand((*c.shape[:-1], rest)))
        loc, scale = (
            torch.cat([getattr(law, what) for law in laws], -2).flatten(-2)
            for what in ("mean", "stddev")
        )
        return Independent(Normal(loc, scale, validate_args=False), 1)


class Homoencoder(Statistician):
    """The same, but that training infers c from some of the elements, as many as chance says."""

    def pair(self, h: Tensor, seen: Seen) -> tuple[Distribution, Distribution]:
        """q(c|D) Π q(z_i|x_i, c) for a random part D of the set, and the prior."""
        each = self._each(h)
        size = int(torch.randint(1, self.elements + 1, ()))
        shown = torch.randperm(self.elements, device=h.device)[:size]
        return self._chain(each[:, shown], each), self.prior()


def homoencoder(draw: Draw, *, elements: int, members: int) -> Tensor:
    r"""A bound on log p of a class of N images, of which it pays the set's share n/N, (B,) nats.

    .. math:: \sum_{i=1}^n E[\log p(x_i|c, z_i) - KL(q(z_i|x_i, c) \| p(z_i|c))]
        - \frac nN KL(q(c|D) \| p(c))

    Its mean over all elements and parts D of a class is n/N log p(class) or less.

    References:
        Hewitt et al. 2018, The Variational Homoencoder, arXiv 1807.08919, eq. 4.
    """
    rates = draw.rates
    return draw.mean(draw.log_px - rates["elements"] - elements / members * rates["set"])


@hookimpl
def vaebench_variants() -> list[Variant]:
    """The Neural Statistician."""
    return [
        Variant(
            "statistician",
            Statistician,
            needs={"elements"},
            reference="Edwards & Storkey 2017, arXiv 1606.02185",
            family="sets",
            description="A statistic c of the set and a code z_i of each element, q(c|X) Π "
            "q(z_i|x_i, c) against p(c) Π p(z_i|c).",
        )
    ]


class HomoencoderPlugin:
    """A plugin for itself."""

    @staticmethod
    @hookimpl
    def vaebench_variants() -> list[Variant]:
        """The Variational Homoencoder."""
        return [
            Variant(
                "homoencoder",
                Homoencoder,
                homoencoder,
                needs={"elements"},
                deviations={
                    "bound": "the KL of c is divided by the size of the class: a bound on log p of "
                    "whole classes, not of sets"
                },
                reference="Hewitt et al. 2018, arXiv 1807.08919",
                family="sets",
                description="Codes as of the Neural Statistician, c inferred from a random part of "
                "the set and its KL shared by all images of the class.",
            )
        ]
