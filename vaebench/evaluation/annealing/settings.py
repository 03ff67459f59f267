"""How an annealing run is made."""

from dataclasses import dataclass, replace

from vaebench.evaluation.annealing.kernels import KERNELS, Kernel

STARTS = ("laplace", "laplace-diagonal", "proposal", "prior")
SCHEDULES = ("speed", "sigmoid", "linear")


@dataclass(frozen=True)
class Settings:
    """What `ais` takes besides images and model, and explains.

    Raises:
        ValueError: A setting is out of range or unknown.
    """

    start: str = "laplace"
    kernel: str | Kernel = "hais"
    chains: int = 16
    steps: int | None = None
    target: float = 0.05
    budget: int = 6000
    schedule: str = "speed"
    resample: bool = False
    compile: bool = False

    def __post_init__(self) -> None:
        if self.chains < 1:
            raise ValueError(f"chains is at least 1, not {self.chains}.")
        if self.steps is not None and self.steps < 1:
            raise ValueError(f"steps is at least 1, not {self.steps}.")
        if not (self.target > 0 and self.budget > 0):
            raise ValueError(f"target and budget are positive, not {self.target}, {self.budget}.")
        if isinstance(self.kernel, str):
            _known("kernel", self.kernel, tuple(KERNELS))
        _known("start", self.start, STARTS)
        _known("schedule", self.schedule, SCHEDULES)

    @property
    def moves(self) -> Kernel:
        """The kernel."""
        kernel = KERNELS[self.kernel] if isinstance(self.kernel, str) else self.kernel
        return replace(kernel, compiled=kernel.compiled or self.compile)

    @property
    def pilot_moves(self) -> int:
        """Moves of the pilot: 36 leapfrogs behind a fitted start, a quarter of the run else."""
        leapfrogs = self.moves.leapfrogs
        if self.start != "prior":
            return max(12, 36 // leapfrogs)
        return max(12, (self.steps or self.budget // (leapfrogs * self.chains)) // 4)


def _known(setting: str, value: str, names: tuple[str, ...]) -> None:
    if value not in names:
        raise ValueError(f"{setting} is one of {', '.join(names)}, not {value!r}.")
