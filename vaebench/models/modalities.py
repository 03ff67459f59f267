"""Items of several parts, such as a picture and its caption: encoder, decoder and p(x|z)."""

import copy
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from vaebench.models.likelihoods import Likelihood
from vaebench.models.observation import Observation
from vaebench.models.tokens import Tokens


@dataclass(frozen=True)
class Form:
    """What a part is.

    Attributes:
        kind: ``pictures`` or ``tokens``.
        shape: (C, H, W) of a picture, (T, V) of a sequence.
        levels: L or V.
        real: Whether the values of a picture are stored as real numbers.
    """

    kind: Literal["pictures", "tokens"]
    shape: tuple[int, ...]
    levels: int
    real: bool = False

    @property
    def size(self) -> int:
        """The numbers that the part comes to in an item."""
        return self.shape[0] if self.kind == "tokens" else math.prod(self.shape)

    @property
    def dtype(self) -> torch.dtype:
        """What the part is stored as: uint8, float32, or int32 of tokens."""
        if self.kind == "tokens":
            return torch.int32
        return torch.float32 if self.real else torch.uint8

    def unflatten(self, x: Tensor) -> Tensor:
        """The part (..., C, H, W) or (..., T) from its numbers (..., size) in an item."""
        return x if self.kind == "tokens" else x.unflatten(-1, self.shape)

    def flatten(self, x: Tensor) -> Tensor:
        """The numbers (N, size) of N parts."""
        return x if self.kind == "tokens" else x.flatten(-3)


@dataclass(frozen=True)
class Layout:
    """Where the parts of an item stand in its S numbers: one behind the other.

    Attributes:
        forms: What each part is, by name.

    Example:
        >>> grey, words = Form("pictures", (1, 2, 2), 2), Form("tokens", (3, 9), 9)
        >>> both = Layout({"picture": grey, "text": words})
        >>> both.size, both.names, both.split(torch.ones(5, 7))["text"].dtype
        (7, ('picture', 'text'), torch.int64)
    """

    forms: Mapping[str, Form]

    @property
    def names(self) -> tuple[str, ...]:
        """The parts."""
        return tuple(self.forms)

    @property
    def size(self) -> int:
        """S."""
        return sum(form.size for form in self.forms.values())

    @property
    def dtype(self) -> torch.dtype:
        """What items are stored as: float32, which holds any of the others, where parts differ."""
        found = {form.dtype for form in self.forms.values()}
        return found.pop() if len(found) == 1 else torch.float32

    def split(self, x: Tensor) -> dict[str, Tensor]:
        """The parts of observed items (B, S): pictures (B, C, H, W), tokens (B, T) as int64."""
        return {
            name: part.long() if self.forms[name].kind == "tokens" else part
            for name, part in self._apart(x).items()
        }

    def stored(self, x: Tensor) -> dict[str, Tensor]:
        """The parts of stored items (N, S) by name, each of its own dtype."""
        return {name: part.to(self.forms[name].dtype) for name, part in self._apart(x).items()}

    def joined(self, parts: Mapping[str, Tensor], dtype: torch.dtype | None = None) -> Tensor:
        """Items (N, S) from their parts, by default of the dtype of stored items."""
        dtype = dtype or self.dtype
        flat = [form.flatten(parts[name]).to(dtype) for name, form in self.forms.items()]
        return torch.cat(flat, -1)

    def _apart(self, x: Tensor) -> dict[str, Tensor]:
        sizes = [form.size for form in self.forms.values()]
        parts = zip(self.forms.items(), x.split(sizes, -1), strict=True)
        return {name: form.unflatten(part) for (name, form), part in parts}


class EachPart(nn.Module):
    """Items (B, S) to the features of their parts side by side, (B, F_1 + … + F_M).

    Args:
        layout: Where the parts stand.
        encoders: Of each part, with F_m as its attribute `features`.

    Attributes:
        sizes: (F_1, …, F_M).
    """

    def __init__(self, layout: Layout, encoders: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.layout = layout
        self.parts = nn.ModuleDict(encoders)
        sizes: list[Any] = [encoder.features for encoder in encoders.values()]
        self.sizes: tuple[int, ...] = tuple(sizes)
        self.features = sum(self.sizes)

    def forward(self, x: Tensor) -> Tensor:
        """Items to features."""
        parts = self.layout.split(x)
        return torch.cat([encoder(parts[name]) for name, encoder in self.parts.items()], -1)


class EachDecoder(nn.Module):
    """Latents (N, D) to what the decoder of each part says, by name.

    Args:
        parts: What sees the latents and one part, by name.

    Attributes:
        reads: The dimensions of z that each part is told, by name; all of them where it is None.
    """

    def __init__(self, parts: Mapping[str, Observation]) -> None:
        super().__init__()
        self.parts = nn.ModuleDict(parts)
        self.reads: Mapping[str, Sequence[int]] | None = None

    def told(self, name: str, z: Tensor) -> Tensor:
        """The dimensions (N, D') of z (N, D) that a part is told."""
        return z if self.reads is None else z[..., list(self.reads[name])]

    def forward(
        self, z: Tensor, x: Mapping[str, Tensor], only: Collection[str]
    ) -> dict[str, Tensor]:
        """Outputs (N, …) of the parts `only`, of the parts x (N, …) where a decoder reads these."""
        asked = {name: part for name, part in self.parts.items() if name in only}
        return {n: part.outputs(self.told(n, z), x.get(n)) for n, part in asked.items()}  # type: ignore[operator]


class Joint:
    """How the parts of items are observed; it stands where other items have their likelihood.

    Args:
        layout: Where the parts stand.
        parts: The likelihood of each part, by name.
    """

    takes = "parts"
    levels = 2
    outputs = 1

    def __init__(self, layout: Layout, parts: Mapping[str, Likelihood]) -> None:
        self.layout = layout
        self.parts = dict(parts)


class Modalities(Observation):
    r"""Items x (B, S) of M parts: :math:`\sum_m \log p(x_m | z)`.

    Args:
        layout: Where the parts stand.
        parts: What sees the latents and one part, by name, in the order of the layout.

    Attributes:
        only: The parts that are scored; all of them unless `seeing` has chosen.

    Example:
        >>> from vaebench.models.likelihoods import Bernoulli
        >>> from vaebench.models.observation import Pixels
        >>> layout = Layout(dict.fromkeys("ab", Form("pictures", (1, 2, 2), 2)))
        >>> def part():
        ...     decoder = nn.Sequential(nn.Linear(3, 4), nn.Unflatten(-1, (1, 2, 2)))
        ...     return Pixels(decoder, Bernoulli(2))
        >>> both = Modalities(layout, {"a": part(), "b": part()})
        >>> z, x = torch.zeros(6, 5, 3), torch.ones(5, 8)
        >>> both.log_prob(z, x).shape, both.each(both.outputs(z, x), x).shape
        (torch.Size([6, 5]), torch.Size([2, 6, 5]))
    """

    def __init__(self, layout: Layout, parts: Mapping[str, Observation]) -> None:
        super().__init__()
        self.layout = layout
        self.decoder = EachDecoder(parts)
        self.only: tuple[str, ...] = layout.names

    @property
    def parts(self) -> dict[str, Any]:
        """What sees the latents and one part, by name."""
        return dict(self.decoder.parts.items())

    @property
    def likelihood(self) -> Joint:
        """How the parts are observed."""
        return Joint(self.layout, {name: part.likelihood for name, part in self.parts.items()})

    def tell(self, reads: Sequence[Sequence[int]] | None) -> None:
        """Have the decoder of each part read some dimensions of z, all of them if None."""
        names = self.layout.names
        self.decoder.reads = None if reads is None else dict(zip(names, reads, strict=True))

    @property
    def rows(self) -> int:
        """What the parts take together."""
        found: int = sum(part.rows for part in self.parts.values())
        return found

    def seeing(self, only: Iterable[str | int]) -> "Modalities":
        """The same networks, of which only some parts are scored: log p(x_S|z).

        Args:
            only: Names of parts, or their numbers from 0 on.
        """
        found, chosen = copy.copy(self), list(only)
        names = self.layout.names
        found.only = tuple(n for i, n in enumerate(names) if n in chosen or i in chosen)
        return found

    def outputs(self, z: Tensor, x: Tensor | None = None) -> Any:
        """What each decoder says (..., …), by name, for latents (..., B, D), of items x (B, S)."""
        read = {}
        if x is not None:
            given = self.layout.split(x)
            for name, part in self.parts.items():
                if isinstance(part, Tokens):
                    read[name] = given[name].expand(*z.shape[:-1], -1).flatten(0, -2)
        made = self.decoder(z.flatten(0, -2), read, self.only)
        return {name: each.unflatten(0, z.shape[:-1]) for name, each in made.items()}

    def alone(self, z: Tensor) -> Tensor:
        """What all decoders say for latents (N, D) alone, side by side (N, …)."""
        made = [p.alone(self.decoder.told(name, z)).flatten(1) for name, p in self.parts.items()]
        return torch.cat(made, -1)

    def each(self, outputs: Any, x: Tensor) -> Tensor:
        """log p(x_m|z) (M', ..., B) in nats of each part that is scored."""
        given, parts = self.layout.split(x), self.parts
        return torch.stack([parts[name].score(outputs[name], given[name]) for name in self.only])

    def score(self, outputs: Any, x: Tensor) -> Tensor:
        """log p(x|z) (..., B) in nats, summed over the parts that are scored."""
        return self.each(outputs, x).sum(0)

    def expected(self, outputs: Any) -> Any:
        """The expected pictures (..., C, H, W) in [0, 1], by name; none of sequences."""
        parts, forms = self.parts, self.layout.forms
        shown = [name for name in outputs if forms[name].kind == "pictures"]
        return {name: parts[name].expected(outputs[name]) for name in shown}

    def mean(self, z: Tensor) -> Any:
        """The expected pictures in [0, 1] for latents (..., D), by name; none of sequences."""
        forms = self.layout.forms
        return {
            name: part.mean(self.decoder.told(name, z))
            for name, part in self.parts.items()
            if forms[name].kind == "pictures"
        }

    def sample(self, z: Tensor) -> Tensor:
        """Draws of whole items x (..., S) for latents (..., D)."""
        drawn = {n: part.sample(self.decoder.told(n, z)) for n, part in self.parts.items()}
        return self.layout.joined(drawn, z.dtype)
