"""Shows on the terminal how far a run is."""

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from vaebench.config.cell import Task
from vaebench.errors import short
from vaebench.runs.schema import Record


class Display:
    """A bar for the run and one for each running cell; in a log, a line for each finished cell."""

    def __init__(self, screen: Console, tasks: list[Task]) -> None:
        self.screen = screen
        self.cells = [task.cell for task in tasks]
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f} {task.fields[stage]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=screen,
            transient=True,
            disable=not screen.is_terminal,
        )
        self.whole = self.bars.add_task("cells", total=len(tasks), stage="")
        self.running: dict[int, TaskID] = {}

    def __enter__(self) -> "Display":
        self.bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.bars.stop()

    def progress(self, task: int, stage: str, done: int, total: int) -> None:
        """Show how many steps of a stage a cell has done."""
        if task not in self.running:
            cell = self.cells[task]
            text = f"{cell.plugin} on {cell.dataset}, seed {cell.seed}".replace("[", r"\[")
            self.running[task] = self.bars.add_task(text, total=total, stage=stage)
        self.bars.update(self.running[task], completed=done, total=total, stage=stage)

    def done(self, task: int, record: Record) -> None:
        """Show how a cell ended."""
        if task in self.running:
            self.bars.remove_task(self.running[task])
        self.bars.advance(self.whole)
        seconds = record["timings"].get("total")
        text = f"{record['status']:6} {record['cell']}"
        text += f"  {seconds:.0f} s" if seconds is not None else ""
        text += f"  {short(record['reason'])}" if record["reason"] else ""
        if record["halted"]:
            text += f"  measuring was broken off: {short(record['halted'])}"
        self.bars.console.print(text, markup=False, highlight=False, soft_wrap=True)
