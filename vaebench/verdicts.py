"""Prints what the conformance kit found: the summary, then the first broken law in full."""

from typing import Any

from rich.console import Console
from rich.text import Text

GOOD = ("passed", "expected failure", "does not apply")
_WORDS = {"does not apply": "not applicable", "expected failure": "expected to fail"}
#: Figures of a broken law that are printed; `--json` has all of them.
_FIGURES = 6
#: Laws without which the figures of all others mean nothing.
_FORM = ("sizes", "shapes", "finite")
#: So many laws that end in the same error have one cause, and their hints say nothing about it.
_COMMON = 4


def show(screen: Console, results: list[dict[str, Any]]) -> None:
    """Print the results of one variant."""
    bad = [result for result in results if result["status"] not in GOOD]
    summary = ", ".join(
        f"{count} {_WORDS.get(status, status)}"
        for status in (*GOOD, "failed", "out of date")
        if (count := sum(result["status"] == status for result in results))
    )
    seconds = sum(result.get("seconds", 0.0) for result in results)
    style = "red" if bad else "green"
    screen.print(Text(f"{results[0]['variant']}: {summary} in {seconds:.1f} s", style=style))
    for status in ("does not apply", "expected failure"):
        _named(screen, [result for result in results if result["status"] == status])
    for result in results:
        for warning in result.get("warnings", ()):
            screen.print(Text(f"  warning ({result['check']}): {warning}", style="yellow"))
    groups = _by_error(bad)
    if len(groups) > 1:
        first = groups[0][0]["check"]
        screen.print(Text(f"  Look at {first} first: what fails below it may follow from it."))
    told = groups[:1] if groups and groups[0][0]["check"] in _FORM else groups
    for place, group in enumerate(told):
        _broken(screen, group, hint=place == 0)
    rest = [result["check"] for group in groups[len(told) :] for result in group]
    if rest:
        screen.print(Text(f"  Broken too: {', '.join(rest)}; --json has their figures."))


def _named(screen: Console, results: list[dict[str, Any]]) -> None:
    """One line for each reason, with the laws that it holds for."""
    reasons: dict[str, list[str]] = {}
    for result in results:
        declared = result["status"] == "expected failure"
        reason = f"declared under {result['law']!r}" if declared else result["message"]
        reasons.setdefault(reason, []).append(result["check"])
    for reason, names in reasons.items():
        word = _WORDS[results[0]["status"]]
        screen.print(Text(f"  {word}: {', '.join(names)} ({reason})", style="dim"))


def _by_error(bad: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Broken laws in order; those that end in one and the same error together."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for result in bad:
        error = str(result["message"]).partition("\n")[0]
        common = sum(str(other["message"]).startswith(f"{error}\n") for other in bad) >= _COMMON
        key = error if common and error.startswith("raised ") else result["check"]
        groups.setdefault(key, []).append(result)
    return list(groups.values())


def _broken(screen: Console, group: list[dict[str, Any]], hint: bool) -> None:
    lines = str(group[0]["message"]).splitlines()
    if len(group) > 1:
        names = ", ".join(result["check"] for result in group)
        screen.print(Text(f"  {len(group)} laws fail alike: {names}", style="bold"))
        screen.print(Text(f"    {lines[0]}"))
        if group[0]["check"] in _FORM:
            screen.print(Text(f"    {lines[-1]}"))
        return
    screen.print(Text(f"  {group[0]['check']}: {group[0]['status']}", style="bold"))
    figures, mistake = (lines[:-1], lines[-1]) if len(lines) > 1 else (lines, "")
    shown = _FIGURES if hint else 2
    for line in figures[:shown]:
        screen.print(Text(f"    {line}"))
    if len(figures) > shown:
        screen.print(Text(f"    … and {len(figures) - shown} more; --json has all of them"))
    if mistake:
        screen.print(Text(f"    {mistake}" if hint else f"    If it stays broken: {mistake}"))
