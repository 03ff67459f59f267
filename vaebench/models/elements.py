"""Sets: an encoder of their elements, and p(x|z) with a code of the set and one of each element."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaebench.models.chain import Chain
from vaebench.models.likelihoods import Likelihood
from vaebench.models.observation import Observation, Pixels


def shares(features: int, elements: int) -> tuple[int, int]:
    """C and E of z = (c, z_1, …, z_n), all T dimensions of which are shared out.

    E is T / (n + 1), rounded down, and C the rest.

    Args:
        features: T.
        elements: n.

    Example:
        >>> shares(features=96, elements=5), shares(features=25, elements=5)
        ((16, 16), (5, 4))
    """
    own = features // (elements + 1)
    return features - elements * own, own


def dimensions(latent: int, elements: int) -> int:
    """T of z = (c, z_1, …, z_n) where the decoder of an element is told C + E numbers.

    Half of them are c, one more where their number is odd.

    Args:
        latent: C + E.
        elements: n.

    Example:
        >>> dimensions(latent=32, elements=5), shares(dimensions(9, 5), 5)
        (96, (5, 4))
    """
    return latent + (elements - 1) * (latent // 2)


class EachElement(nn.Module):
    """Sets (B, n, C, H, W), of any number n of elements, to what an encoder says of these.

    Args:
        encoder: Pictures (N, C, H, W) to features (N, F), with F as its attribute `features`.
        pooled: Whether the features are averaged over the elements to (B, F), which no order
            changes; otherwise those of all elements follow each other, (B, n·F).

    Example:
        >>> encoder = nn.Flatten()
        >>> encoder.features = 4
        >>> sets = torch.arange(24.0).reshape(3, 2, 1, 2, 2)
        >>> [EachElement(encoder, pooled)(sets).shape for pooled in (True, False)]
        [torch.Size([3, 4]), torch.Size([3, 8])]
    """

    def __init__(self, encoder: nn.Module, pooled: bool) -> None:
        super().__init__()
        self.encoder = encoder
        self.pooled = pooled
        self.features: Any = encoder.features

    def forward(self, x: Tensor) -> Tensor:
        """Sets to features."""
        return self.joined(self.encoder(x.flatten(0, 1)).unflatten(0, x.shape[:2]))

    def joined(self, h: Tensor) -> Tensor:
        """Features of elements (B, n, F) as those of sets."""
        return h.mean(1) if self.pooled else h.flatten(1)


class Elements(Observation):
    r"""Sets x (B, n, C, H, W): :math:`\sum_i \log p(x_i | c, z_i)` for z = (c, z_1, …, z_n).

    Without dimensions of their own the elements are independent given the code c = z of the set.
    Of a set of fewer elements, m < n, the first m codes are used.

    Args:
        part: What sees c and z_i, side by side, and one element.
        elements: n.
        shared: C, the dimensions of c.
        own: E, the dimensions of each z_i.

    Example:
        >>> from vaebench.models.likelihoods import Bernoulli
        >>> decoder = nn.Sequential(nn.Linear(3, 4), nn.Unflatten(-1, (1, 2, 2)))
        >>> sets = Elements(Pixels(decoder, Bernoulli(2)), elements=5, shared=2, own=1)
        >>> sets.log_prob(torch.zeros(6, 8, 7), torch.ones(8, 5, 1, 2, 2)).shape
        torch.Size([6, 8])
    """

    def __init__(self, part: Pixels, elements: int, shared: int, own: int = 0) -> None:
        super().__init__()
        self.part = part
        self.elements = elements
        self.shared = shared
        self.own = own

    @property
    def decoder(self) -> nn.Module:
        """The decoder of an element."""
        return self.part.decoder

    @property
    def likelihood(self) -> Likelihood:
        """What its outputs say of the pixels."""
        return self.part.likelihood

    @property
    def rows(self) -> int:
        """n times what an element takes."""
        return self.elements * self.part.rows

    def outputs(self, z: Tensor, x: Tensor | None = None) -> Tensor:
        """Outputs (..., B, m, M·C, H, W) for latents (..., B, T), m = 1 where all are the same."""
        if not self.own:
            return self.part.outputs(z).unsqueeze(-4)
        c, others = z[..., : self.shared], z[..., self.shared :]
        each = others.unflatten(-1, (self.elements, self.own))
        if x is not None:
            each = each[..., : x.shape[1], :]
        of_set = c.unsqueeze(-2).expand(*each.shape[:-1], -1)
        return self.part.outputs(torch.cat([of_set, each], -1))

    def of_set(self, law: Distribution) -> Distribution:
        """What q or p says of c alone, (..., C) of z (..., T).

        Raises:
            NotImplementedError: Elements have codes of their own, and the law is no chain that
                begins with c.
        """
        if not self.own:
            return law
        if isinstance(law, Chain) and next(iter(law.sizes.values())) == self.shared:
            return law.first
        raise NotImplementedError("The law is no chain that begins with the code of the set.")

    def alone(self, z: Tensor) -> Tensor:
        """Outputs (N, M·C, H, W) of an element, for its codes (N, C + E)."""
        return self.part.outputs(z)

    def score(self, outputs: Tensor, x: Tensor) -> Tensor:
        """log p(x|z) (..., B) in nats, summed over the elements of each set."""
        return self.part.score(self._for_each(outputs, x.shape[1]), x).sum(-1)

    def expected(self, outputs: Tensor) -> Tensor:
        """Decoder means (..., n, C, H, W) in [0, 1]."""
        return self.part.expected(self._for_each(outputs, self.elements))

    def drawn(self, outputs: Tensor) -> Tensor:
        """Draws of x (..., n, C, H, W)."""
        return self.part.drawn(self._for_each(outputs, self.elements))

    def _for_each(self, outputs: Tensor, count: int) -> Tensor:
        """Outputs (..., count, M·C, H, W), repeated where all elements have the same."""
        if outputs.shape[-4] == count:
            return outputs
        return outputs.expand(*outputs.shape[:-4], count, *outputs.shape[-3:])
