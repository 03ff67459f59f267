"""One cell in the terminal. No torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vaebench.config import command as commands
from vaebench.config.names import shown
from vaebench.runs import files
from vaebench.runs.schema import MetricRecord, Record

#: Units of what is told of a training by number.
_UNITS = {"seconds": " s", "peak_memory": " MiB"}


def show(run: Path, record: Record) -> None:
    """Print a cell's status, settings, metrics, timings, log if it failed, and its command."""
    screen = Console(highlight=False)
    screen.print(Text(f"{record['cell']}: {record['status']} {record['reason']}".rstrip(), "bold"))
    variant = record["variant"]
    if variant:
        words = (variant.get(key) for key in ("package", "objective", "reference"))
        screen.print(Text(" · ".join(str(word) for word in words if word)))
    if variant.get("networks"):
        screen.print(Text(f"Brings its own networks: {variant['networks']}", "yellow"))
    for law, why in variant.get("deviations", {}).items():
        screen.print(Text(f"Breaks the law “{law}”: {why}", "yellow"))
    if record["metrics"]:
        screen.print(_metrics(record["metrics"]))
    for title in ("config", "data", "train", "timings", "versions", "hardware"):
        if record[title]:
            head = "timings in s" if title == "timings" else title
            screen.print(Text(f"{head}: ", "bold").append(_pairs(record[title]), "not bold"))
    said = files.tail(run, record["cell"]) if record["status"] == "failed" else ""
    if said:
        screen.print(Text("How it ended:", "bold"))
        screen.print(Text(said))
    command = commands.command(record["config"] | record["evaluation"], record["data"])
    if command:
        screen.print(Text("To repeat it:", "bold"))
        screen.print(Text(command), soft_wrap=True)


def _pairs(section: Mapping[str, Any]) -> str:
    """What there is of a section, with units where its name has none."""
    known = {key: shown(value) for key, value in section.items() if value is not None}
    return "  ".join(f"{key} {value}{_UNITS.get(key, '')}" for key, value in known.items())


def _metrics(metrics: dict[str, MetricRecord]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for head in ("metric", "value", "±", "unit"):
        table.add_column(head, justify="right" if head in ("value", "±") else "left")
    for metric in metrics.values():
        value, se = metric["value"], metric["se"]
        table.add_row(
            Text(metric["title"]),
            "n/a" if value is None else f"{value:.5g}",
            "" if se is None else f"{se:.2g}",
            Text((value is None and metric["reason"]) or metric["unit"]),
        )
    return table
