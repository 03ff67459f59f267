"""Convolutional DRAW: a picture is written in steps onto a canvas, each with latents of its own."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaebench import Chain, Gaussian, Posterior, Shared, Variant, hookimpl

#: What a convolutional memory holds: its output and its cell, each (N, width, h, w).
State = tuple[Tensor, Tensor]
#: What RNN_d holds after some steps: its state, and the canvas (N, M·C, H, W).
Written = tuple[State | None, Tensor]


class Grid:
    """How pictures (C, H, W) are laid onto maps (h, w): 8 fields or fewer along the short side.

    A field is a square of an even number of pixels; pictures that are no multiple of it are padded
    on the right and below.

    Args:
        shape: (C, H, W).
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.shape = tuple(shape)
        *_, height, width = shape
        self.field = 2
        while min(height, width) > 8 * self.field:
            self.field *= 2
        self.sides = -(-height // self.field), -(-width // self.field)

    def down(self, channels: int, width: int) -> nn.Sequential:
        """Pictures (N, channels, H, W) to maps (N, width, h, w)."""
        below, right = (
            fields * self.field - side
            for fields, side in zip(self.sides, self.shape[1:], strict=True)
        )
        reach = 2 * self.field
        return nn.Sequential(
            nn.ZeroPad2d((0, right, 0, below)),
            nn.Conv2d(channels, width, reach, self.field, self.field // 2),
            nn.Tanh(),
        )

    def up(self, width: int, channels: int) -> nn.Module:
        """Maps (N, width, h, w) to pictures (N, channels, h·field, w·field), to be `cut`."""
        return nn.ConvTranspose2d(width, channels, 2 * self.field, self.field, self.field // 2)

    def cut(self, pictures: Tensor) -> Tensor:
        """Pictures (N, channels, H, W), without what was padded."""
        return pictures[..., : self.shape[1], : self.shape[2]]


class Memory(nn.Module):
    """A convolutional LSTM.

    Args:
        given: Channels of its input.
        width: Channels of its output and of its cell.

    References:
        Shi et al. 2015, Convolutional LSTM Network, arXiv 1506.04214, eq. 3; without peepholes.
    """

    def __init__(self, given: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.gates = nn.Conv2d(given + width, 4 * width, 3, padding=1)

    def forward(self, x: Tensor, state: State | None) -> State:
        """An input (N, given, h, w) and the state before, None for zeros, to the state after."""
        if state is None:
            blank = x.new_zeros(len(x), self.width, *x.shape[2:])
            state = blank, blank
        output, cell = state
        keep, write, show, new = self.gates(torch.cat([x, output], 1)).chunk(4, 1)
        cell = (keep + 1).sigmoid() * cell + write.sigmoid() * new.tanh()
        return show.sigmoid() * cell.tanh(), cell


class Reader(nn.Module):
    """RNN_e; as an encoder its first step, before which no latent is known.

    It maps images (B, C, H, W) to features (B, F): the output of that step, and, where more steps
    follow, its cell and the image itself.

    Args:
        grid: The lay of the maps.
        width: Channels of the maps.
        steps: T.
        outputs: M.
        expected: From a canvas (N, M·C, H, W) to the expected picture (N, C, H, W).
    """

    def __init__(
        self,
        grid: Grid,
        width: int,
        steps: int,
        outputs: int,
        expected: Callable[[Tensor], Tensor],
    ) -> None:
        super().__init__()
        self.grid, self.expected, self.outputs, self.more = grid, expected, outputs, steps > 1
        self.look = grid.down(2 * grid.shape[0], width)
        self.memory = Memory(2 * width if self.more else width, width)
        self.lay = (width, *grid.sides)
        self.maps = width * grid.sides[0] * grid.sides[1]
        self.pixels = grid.shape[0] * grid.shape[1] * grid.shape[2]
        self.features = 2 * self.maps + self.pixels if self.more else self.maps

    def step(self, x: Tensor, canvas: Tensor, below: Tensor | None, state: State | None) -> State:
        """RNN_e of the image, its error on the canvas, and the output of RNN_d."""
        seen = self.look(torch.cat([x, x - self.expected(canvas)], 1))
        if self.more:
            seen = torch.cat([seen, torch.zeros_like(seen) if below is None else below], 1)
        found: State = self.memory(seen, state)
        return found

    def forward(self, x: Tensor) -> Tensor:
        """Images to features."""
        channels, *sides = x.shape[1:]
        canvas = x.new_zeros(len(x), self.outputs * channels, *sides)
        output, cell = self.step(x, canvas, None, None)
        parts = [output, cell, x] if self.more else [output]
        return torch.cat([part.flatten(1) for part in parts], 1)

    def parts(self, h: Tensor) -> tuple[Tensor, State]:
        """Images and states after the first step, from features (N, F or more)."""
        output, cell, x = h[:, : self.features].split([self.maps, self.maps, self.pixels], -1)
        return x.unflatten(-1, self.grid.shape), (
            output.unflatten(-1, self.lay),
            cell.unflatten(-1, self.lay),
        )


class Writer(nn.Module):
    """RNN_d with its canvas; as a decoder all of its steps, latents (N, D + G) to outputs.

    Args:
        grid: The lay of the maps.
        width: Channels of the maps.
        sizes: The latent dimensions of each step.
        outputs: M.
        given: G, the numbers of a condition, which each step is told.
    """

    def __init__(self, grid: Grid, width: int, sizes: list[int], outputs: int, given: int) -> None:
        super().__init__()
        self.grid, self.sizes, self.given = grid, sizes, given
        self.canvas = (outputs * grid.shape[0], *grid.shape[1:])
        self.lay = (width, *grid.sides)
        maps = width * grid.sides[0] * grid.sides[1]
        self.read = nn.ModuleList(nn.Linear(size + given, maps) for size in sizes)
        self.look = grid.down(self.canvas[0], width)
        self.memory = Memory(2 * width, width)
        self.paint = grid.up(width, self.canvas[0])

    def step(self, t: int, z: Tensor, y: Tensor, written: Written | None) -> Written:
        """What is written after latents z (N, size) of step t, from 0 on, and conditions (N, G)."""
        state, canvas = written or (None, z.new_zeros(len(z), *self.canvas))
        told = self.read[t](torch.cat([z, y], -1)).unflatten(-1, self.lay)
        state = self.memory(torch.cat([told, self.look(canvas)], 1), state)
        return state, canvas + self.grid.cut(self.paint(state[0]))

    def forward(self, z: Tensor) -> Tensor:
        """Latents and conditions to the canvas after all steps."""
        *parts, y = z.split([*self.sizes, self.given], -1)
        written: Written | None = None
        for t, part in enumerate(parts):
            written = self.step(t, part, y, written)
        assert written is not None
        return written[1]


def sizes_of(features: int, steps: int) -> list[int]:
    """The latent dimensions of each step: even shares, a remainder going to the last ones.

    Raises:
        ValueError: There are fewer dimensions than steps, or no step.
    """
    if not 1 <= steps <= features:
        raise ValueError(f"There are from 1 to D = {features} steps, not {steps}.")
    return [(features + t) // steps for t in range(steps)]


def networks(
    features: int,
    steps: int = 4,
    channels: int = 16,
    *,
    shape: tuple[int, int, int],
    outputs: int,
    expected: Callable[[Tensor], Tensor],
    given: int,
) -> tuple[nn.Module, nn.Module]:
    """A reader and a writer of pictures (C, H, W), for T steps with maps of so many channels.

    Raises:
        ValueError: There are fewer latent dimensions than steps, or no step or channel.
    """
    if channels < 1:
        raise ValueError(f"Maps have one channel or more, not {channels}.")
    sizes, grid = sizes_of(features, steps), Grid(shape)
    reader = Reader(grid, channels, steps, outputs, expected)
    return reader, Writer(grid, channels, sizes, outputs, given)


class _Unrolled:
    """States after each of some latents, kept while the same ones are asked for again."""

    def __init__(self, step: Callable[[int, Tensor, Any], Any]) -> None:
        self.step = step
        self.latents: list[Tensor] = []
        self.states: list[Any] = []

    def __call__(self, latents: tuple[Tensor, ...]) -> Any:
        """The state after latents (..., size), of which there is one or more."""
        known = 0
        for one, other in zip(self.latents, latents, strict=False):
            if one is not other:
                break
            known += 1
        del self.latents[known:], self.states[known:]
        for t, z in enumerate(latents[known:], known):
            self.states.append(self.step(t, z, self.states[-1] if t else None))
            self.latents.append(z)
        return self.states[len(latents) - 1]


class Steps(Chain):
    """A chain whose laws are costly: those at one z are found once, and draws come with theirs."""

    _last: tuple[Tensor, int, bool, dict[str, Distribution]] | None = None

    def at(self, z: Tensor) -> dict[str, Distribution]:
        """The distribution of each block given the blocks before it in z (..., D)."""
        now = z._version, torch.is_grad_enabled()
        if self._last is None or self._last[0] is not z or self._last[1:3] != now:
            self._last = (z, *now, super().at(z))
        return self._last[3]

    def rsample_and_log_prob(self, shape: torch.Size) -> tuple[Tensor, Tensor]:
        """Draws z (*shape, *batch, D) and log q(z) (*shape, *batch) in nats."""
        lead, total = shape + self.batch_shape, torch.zeros(())

        def draw(_: int, law: Distribution) -> Tensor:
            nonlocal total
            z = law.rsample(lead[: len(lead) - len(law.batch_shape)])
            total = total.to(z.device) + law.log_prob(z)
            return z

        return self._built(lead, draw), total.expand(lead)

    def expand(
        self, batch_shape: list[int] | tuple[int, ...], _instance: Distribution | None = None
    ) -> "Steps":
        """The same distribution with a larger batch shape."""
        laws = {name: (size, self._laws[name]) for name, size in self.sizes.items()}
        return Steps(laws, torch.Size(batch_shape))


class ConvDraw(Posterior):
    r"""Latents z_1, …, z_T of steps that read a picture and write it onto a canvas r_0 = 0, …, r_T.

    Step t reads the picture x and what the canvas lacks of it, h^e_t = RNN_e(x, x - E[x|r_{t-1}],
    h^e_{t-1}, h^d_{t-1}), draws z_t ~ q(z_t|h^e_t), whose prior p(z_t|h^d_{t-1}) is N(0, I) at the
    first step, and writes: h^d_t = RNN_d(z_t, r_{t-1}, h^d_{t-1}), r_t = r_{t-1} + W h^d_t. The
    picture's law is that of the outputs r_T, so that q and p are chains of T blocks. The memories
    are convolutional; the latents of a step are a vector, which linear layers read from the maps
    and write to them. The steps share the D dimensions evenly.

    Args:
        features: D, the number of latent dimensions of all steps together.
        context: F + G, the features of the reader, and the numbers of a condition.
        steps: T; with 1 it is the diagonal Gaussian on the same networks.
        encoder: The reader.
        decoder: The writer.
        given: G.

    Raises:
        ValueError: There are fewer dimensions than steps, or no step.

    References:
        Gregor et al. 2016, Towards Conceptual Compression, arXiv 1604.08772, sec. 2; there the
        latents of a step are maps.
    """

    def __init__(
        self,
        features: int,
        context: int,
        steps: int = 4,
        *,
        encoder: Shared,
        decoder: Shared,
        given: int,
    ) -> None:
        super().__init__(features, context)
        self.sizes = sizes_of(features, steps)
        self.reader, self.writer, self.given = encoder, decoder, given
        self.maps: int = encoder.network.maps  # type: ignore[assignment]
        self.q = nn.ModuleList(Gaussian(size, self.maps + given) for size in self.sizes)
        self.p = nn.ModuleList(Gaussian(size, self.maps + given) for size in self.sizes[1:])

    def _chain(self, laws: Sequence[Callable[..., Distribution]], batch: torch.Size) -> Chain:
        blocks = zip(self.sizes, laws, strict=True)
        return Steps({f"z{t}": block for t, block in enumerate(blocks, 1)}, batch)

    def _write(self, y: Tensor, t: int, z: Tensor, written: Written | None) -> Written:
        writer: Any = self.writer.network
        count = z.shape[:-1].numel()
        conditions = y.expand(*z.shape[:-1], self.given).reshape(count, self.given)
        found: Written = writer.step(t, z.reshape(count, -1), conditions, written)
        return found

    def _read(
        self, h: Tensor, t: int, z: Tensor, before: tuple[Written, State] | None
    ) -> tuple[Written, State]:
        reader: Any = self.reader.network
        x, first = reader.parts(h.expand(*z.shape[:-1], -1).reshape(-1, h.shape[-1]))
        written, state = before or (None, first)
        written = self._write(self._condition(h), t, z, written)
        assert written[0] is not None
        return written, reader.step(x, written[1], written[0][0], state)

    def _condition(self, h: Tensor) -> Tensor:
        return h[..., h.shape[-1] - self.given :]

    def _told(self, maps: Tensor, y: Tensor, lead: torch.Size) -> Tensor:
        """Maps of leading shape `lead`, and conditions, as a head reads them."""
        return torch.cat([maps.reshape(*lead, self.maps), y.expand(*lead, self.given)], -1)

    def _inferred(self, h: Tensor, read: _Unrolled, t: int, *before: Tensor) -> Distribution:
        lead, maps = h.shape[:-1], h[..., : self.maps]
        if before:
            lead, maps = before[-1].shape[:-1], read(before)[1][0]
        law: Distribution = self.q[t](self._told(maps, self._condition(h), lead))
        return law

    def _expected(self, y: Tensor, written: _Unrolled, t: int, *before: Tensor) -> Distribution:
        (output, _), _ = written(before)
        law: Distribution = self.p[t](self._told(output, y, before[-1].shape[:-1]))
        return law

    def forward(self, h: Tensor) -> Distribution:
        """Features h (B, F + G) to a chain of steps."""
        read = _Unrolled(partial(self._read, h))
        laws = [partial(self._inferred, h, read, t) for t in range(len(self.sizes))]
        return self._chain(laws, h.shape[:-1])

    def prior(self, given: Tensor | None = None) -> Distribution:
        """The chain of the steps' priors, given conditions (B, G) if any."""
        y = self._zeros[:0] if given is None else given  # type: ignore[index]
        first: Any = self.q[0]
        written = _Unrolled(partial(self._write, y))
        later = [partial(self._expected, y, written, t) for t in range(len(self.p))]
        return self._chain([first.prior, *later], y.shape[:-1])


@hookimpl
def vaebench_variants() -> list[Variant]:
    """Four steps, trained with the ELBO."""
    return [
        Variant(
            "convdraw",
            ConvDraw,
            reference="Gregor et al. 2016, arXiv 1604.08772",
            family="posteriors",
            description="Steps that read what a canvas lacks of the picture and write it, "
            "Π q(z_t|x, z_<t) against Π p(z_t|z_<t), on recurrent convolutions of their own.",
            networks=networks,
        )
    ]
