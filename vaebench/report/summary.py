"""A table in a sentence or two, claiming no more than its intervals allow."""

import math
from collections.abc import Iterator, Mapping, Sequence

from vaebench.report.cautions import sentences
from vaebench.report.columns import Column, headlines
from vaebench.report.sheet import Block, Sheet
from vaebench.statistics.comparisons import Verdict
from vaebench.statistics.intervals import Difference

#: Costs by column, in words, and the ratio from which on they are told.
_SPENT = {"decoder_passes": "decoder passes", "seconds": "training time"}
_MUCH = 1.5
#: Names that a sentence has room for.
_NAMED = 8


def summary(sheet: Sheet, block: Block) -> list[str]:
    """Who wins on likelihood and on the quality of samples, and how far that can be trusted."""
    found = [(column.title, sentence(column, block)) for column in headlines(sheet.columns)]
    return [f"{title}: {text}" for title, text in found if text] + remarks(block)


def remarks(block: Block) -> list[str]:
    """What holds for all metrics of a block, failures first."""
    found = [*_incomplete(block), *sentences(block.cautions)]
    return found + [text for text in [_one_seed(block)] if text]


def told(block: Block, columns: Sequence[Column]) -> tuple[list[str], list[str]]:
    """The remarks that concern what a reader sees first, and those on other columns."""
    names = {column.name for column in columns if column.key}
    here = [c for c in block.cautions if not c.columns or names & set(c.columns)]
    rest = [c for c in block.cautions if c not in here]
    first = [*_incomplete(block), *sentences(here), _one_seed(block)]
    return [text for text in first if text], sentences(rest)


def _one_seed(block: Block) -> str:
    """What one seed of each row cannot say."""
    if block.seeds == 1 and sum(bool(row.entries) for row in block.rows) > 1:
        return (
            "With one seed this compares the trained models, not the methods: "
            "another training run may come out differently."
        )
    return ""


def _incomplete(block: Block) -> Iterator[str]:
    """Which rows lack cells."""
    cells = sum(len(row.cells) for row in block.rows)
    if failed := sum(row.failed for row in block.rows):
        names = _all([row.label for row in block.rows if row.failed])
        yield f"{failed} of {cells} cells failed ({names})."
    if unfinished := sum(row.unfinished for row in block.rows):
        names = _all([row.label for row in block.rows if row.unfinished])
        verb = "is" if unfinished == 1 else "are"
        yield f"{unfinished} of {cells} planned cells {verb} not finished ({names})."


def signs(block: Block) -> str:
    """What the marks of a block's numbers are, in a line; empty where it has none."""
    if not block.seeds:
        return ""
    if block.seeds == 1:
        error, best = "standard error on the test images", "◇ trained model ahead of all others"
    else:
        error = f"half the 95 % interval over {block.seeds} seeds"
        best = "★ best, all others significantly worse"
    parts = [f"± {error}"]
    if sum(bool(row.entries) for row in block.rows) > 1:
        parts += [best, "= not told from the best", "? interval too wide to tell"]
    return " · ".join(parts)


def caption(block: Block, columns: Sequence[Column], best: str) -> str:
    """How to read the numbers of a block in some columns; empty where it has none.

    Args:
        block: The rows.
        columns: What is shown of them.
        best: How a best value is marked, such as ``in bold``.
    """
    if not block.seeds:
        return ""
    error = "the standard error of the estimate on the test images"
    if block.seeds > 1:
        error = f"half the 95 % interval over {block.seeds} seeds (of one seed: {error})"
    else:
        error = f"{error}; with one seed (n = 1) there is no interval over training runs"
    text = (
        f"± is {error}. A best value is {best} where every other row is significantly worse; “=” "
        "marks rows that cannot be told from the best, “?” those that may be worse and whose "
        "intervals are too wide to tell. In a table of equal rows, one is called worse by chance "
        "at most one time in twenty, for each metric."
    )
    if block.seeds == 1:
        text = (
            f"± is {error}. ◇ marks a trained model that is ahead of every other by more than the "
            "error of the estimate, “=” those that cannot be told from the best, “?” those whose "
            "interval is too wide to tell: statements about these models, not about the variants."
        )
    return " ".join(filter(None, (_frozen(block), _images(block, columns), text)))


def _frozen(block: Block) -> str:
    """That all rows have one decoder, if they do."""
    source = block.settings.get("decoder_of")
    if not isinstance(source, str) or not source:
        return ""
    return (
        f"The decoder is that of {source.partition('@')[0]}, frozen: log p(x) is the same for all "
        "rows, and what their ELBOs are below it compares posteriors."
    )


def _images(block: Block, columns: Sequence[Column]) -> str:
    """Which test images the likelihoods are means over, where that is not all of them for all."""
    bounds = [c for c in columns if c.role in ("likelihood", "elbo")]
    over = {column.title: block.images.get(column.name, "") for column in bounds}
    kinds = set(filter(None, over.values()))
    if len(kinds) < 2 and not any("first" in kind or " to " in kind for kind in kinds):
        return ""
    (title, images), *rest = ((title, images) for title, images in over.items() if images)
    text = f"{title} is a mean over {_the(images)}"
    text += "".join(f" and {title} over {_the(images)}" for title, images in rest)
    if len(kinds) < 2:
        return f"{text}."
    return f"{text}: do not compare these two columns; inference_gap does on the same images."


def _the(images: str) -> str:
    return f"the {images}" if images.startswith("first") else images


def leader(column: Column, block: Block) -> tuple[str, str] | None:
    """The row with the best value that a verdict may rest on, and the value with its unit.

    None where the metric has no direction, or fewer than two rows have it.
    """
    out = {each.label for each in block.cautions if each.concerns(column.name)}
    entries = {r.label: r.entries.get(column.name) for r in block.rows if r.label not in out}
    values = {name: e.value for name, e in entries.items() if e and e.value is not None}
    if len(values) < 2 or column.better is None:
        return None
    found = block.verdicts.get(column.name)
    best = found.best if found else _extreme(values, column.better)
    return best, f"{column.format(values[best])} {column.suffix}".strip()


def sentence(column: Column, block: Block) -> str:
    """The verdict on one metric; empty where fewer than two rows have it."""
    leading = leader(column, block)
    if leading is None:
        return ""
    best, value = leading
    found = block.verdicts.get(column.name)
    if found is None:
        return f"{best} has the best value ({value}), but nothing says how sure that is."
    if found.seeds == 1:
        return f"{_of_models(column, found, value)} {spent(found, block)}".strip()
    if not found.ties:
        rival = min(found.differences, key=lambda name: abs(found.differences[name].mean))
        gap = found.differences[rival]
        text = (
            f"{best} is best with {value}, {_gap(column, gap)} better than {rival} "
            f"({_kind(found)} over {gap.method})."
        )
        return f"{text} {spent(found, block)}".strip()
    if len(found.ties) == len(found.differences):
        return (
            f"{best} has the best value ({value}), but none of the others differs from it "
            "significantly."
        )
    text = (
        f"{_all(found.ties)} cannot be told from {best}, which has the best value ({value}); the "
        f"others are significantly worse than {best}."
    )
    if unsure := found.unsure:
        verb = "is" if len(unsure) == 1 else "are"
        text += f" That {_all(unsure)} {verb} not ruled out is due to a wide interval."
    return text


def undecided(column: Column, block: Block) -> str:
    """Why there is no verdict on a metric with a direction that rows have; empty where that is not
    so."""
    have = [
        r.label for r in block.rows if (e := r.entries.get(column.name)) and e.value is not None
    ]
    kept = {each.label for each in block.cautions if each.concerns(column.name)} & set(have)
    if column.better is None or len(have) < 2 or len(have) - len(kept) > 1:
        return ""
    return f"No verdict: {_all(sorted(kept))} must not enter one, for the reasons below."


def spent(found: Verdict, block: Block) -> str:
    """What the best row cost in times of the next best one, where that is much."""
    rival = min(found.differences, key=lambda name: abs(found.differences[name].mean))
    costs = {row.label: row.entries for row in block.rows if row.label in (found.best, rival)}
    parts = []
    for name, words in _SPENT.items():
        values = [costs[label].get(name) for label in (found.best, rival)]
        mine, other = (entry.value if entry else None for entry in values)
        if mine and other and mine >= _MUCH * other:
            parts.append(f"{mine / other:.2g} × the {words}")
    return f"It took {' and '.join(parts)} of {rival}." if parts else ""


def _of_models(column: Column, found: Verdict, value: str) -> str:
    """What one seed of each variant allows to say."""
    if not found.models:
        text = f"The trained model of {found.best} has the best value ({value})"
        return f"{text}, but the test images tell it from no other."
    rival = min(found.models, key=lambda name: abs(found.differences[name].mean))
    gap = found.differences[rival]
    ahead = f"{_gap(column, gap)} ahead of that of {rival} ({_kind(found)} over {gap.method})"
    if len(found.leading) == 1:
        return f"The trained model of {found.best} has the best value ({value}), {ahead}."
    others = _all([name for name in found.differences if name not in found.models])
    return (
        f"The trained model of {found.best} has the best value ({value}), not told from that of "
        f"{others}; it is {ahead}."
    )


def _kind(found: Verdict) -> str:
    """What the intervals of the differences are."""
    many = len(found.differences) + 1
    return "95 % interval" if many == 2 else f"95 % interval, widened for {many} rows,"


def _extreme(values: Mapping[str, float], better: str) -> str:
    return (max if better == "higher" else min)(values, key=lambda name: values[name])


def _gap(column: Column, gap: Difference) -> str:
    """The size of a difference and its margin."""
    decimals = digits(column, gap)
    return f"{abs(gap.mean):.{decimals}f} ± {gap.margin:.{decimals}f}"


def digits(column: Column, gap: Difference) -> int:
    """Decimals of a difference: the column's, and one digit of the margin or more."""
    if gap.margin > 0:
        return min(max(column.digits, -math.floor(math.log10(gap.margin))), 9)
    return column.digits


def _all(names: Sequence[str]) -> str:
    if len(names) > _NAMED:
        return f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED} others"
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
