"""What a comparison leaves: table and sentences in the terminal, and as `compare.csv`, `.md` and `.png`."""

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev

import pandas as pd
from rich.console import Console
from rich.text import Text

from uae_cli.compare.statistics import LEVEL, least_p, seeds_needed
from uae_cli.compare.verdicts import EVERYWHERE, Cell, Comparison, Verdict, signed_span
from uae_cli.results import METRICS
from uae_cli.tables import NOTHING, default_console, print_grid, shown_as
from uae_cli.text import plural

TABLE, PAGE, FIGURE = "compare.csv", "compare.md", "compare.png"


def write_report(
    comparison: Comparison, folder: Path, *, title: str, command: str, facts: Sequence[str]
) -> None:
    """Print the comparison, and write its three files into the folder, which exists.

    Args:
        comparison: what was found.
        folder: of the files.
        title: of page and figure.
        command: that makes it again.
        facts: on the runs: device, commits, dates.
    """
    frame(comparison).to_csv(folder / TABLE, index=False)
    draw(comparison, folder / FIGURE, title)
    (folder / PAGE).write_text(page(comparison, title, command, facts), encoding="utf-8")
    show(comparison, default_console())


def frame(comparison: Comparison) -> pd.DataFrame:
    """A line for every verdict, numbers unrounded; over all cells there is no number of samples."""
    cells = {(cell.group, cell.n_train): cell for cell in comparison.cells}
    lines = []
    for verdict in comparison.verdicts:
        found, cell = verdict.found, cells.get((verdict.group, verdict.n_train or 0))
        values = list(cell.values[verdict.arm].values()) if cell else []
        base = list(cell.values[comparison.against].values()) if cell else []
        lines.append(
            {
                "group": verdict.group,
                "n_train": verdict.n_train,
                "arm": verdict.arm,
                "measure": comparison.measure,
                "value": fmean(values) if values else math.nan,
                "std": stdev(values) if len(values) > 1 else math.nan,
                "against": comparison.against,
                "base": fmean(base) if base else math.nan,
                "gain": found.mean,
                "low": found.low,
                "high": found.high,
                "unit": verdict.unit,
                "seeds": found.seeds,
                "p": found.p,
                "p_holm": verdict.p,
                "worth_samples": verdict.worth[1],
                "worth_low": verdict.worth[0],
                "worth_high": verdict.worth[2],
                "answer": verdict.word,
                "sentence": verdict.text,
            }
        )
    return pd.DataFrame(lines).astype({"n_train": "Int64"})


def show(comparison: Comparison, console: Console) -> None:
    """Print a table and a sentence per arm for every group, and what the numbers can't say."""
    for group in comparison.groups:
        console.print()
        console.print(Text(_heading(comparison, group), style="bold cyan"))
        print_grid(*_grid(comparison, group), console)
        for sentence in comparison.sentences(group):
            console.print(Text(f"  {sentence}"))
    console.print()
    for note in notes(comparison):
        console.print(Text(note, style="dim"))


def page(comparison: Comparison, title: str, command: str, facts: Sequence[str]) -> str:
    """The same as Markdown."""
    from tabulate import tabulate

    parts = [f"# {title}", f"![Gains with their intervals]({FIGURE})"]
    for group in comparison.groups:
        headings, lines = _grid(comparison, group)
        plain = [heading.replace("\n", " ") for heading in headings]
        parts += [
            f"## {_heading(comparison, group)}",
            "\n".join(f"- {s}" for s in comparison.sentences(group)),
        ]
        parts.append(tabulate(lines, plain, tablefmt="github", disable_numparse=True))
    parts += [*notes(comparison), " · ".join(facts), f"Made by\n\n```sh\n{command}\n```"]
    return "\n\n".join(parts) + "\n"


def draw(comparison: Comparison, path: Path, title: str) -> None:
    """Gains with their intervals, grouped by data and model."""
    from uae_cli.figures import GainLine, gain_intervals

    panels = {}
    for group in comparison.groups:
        own = [verdict for verdict in comparison.by_arm(group) if math.isfinite(verdict.found.mean)]
        sizes = {verdict.n_train for verdict in own}
        panels[group] = [
            GainLine(
                verdict.arm,
                "" if len(sizes) == 1 else f"n = {verdict.n_train:,}",
                verdict.found.mean,
                verdict.found.low,
                verdict.found.high,
                verdict.word in ("helps", "harms"),
                _short(verdict),
            )
            for verdict in own
        ]
    shown = {group: lines for group, lines in panels.items() if lines}
    if shown:
        unit = comparison.verdicts[0].unit
        axis = f"gain in {_called(comparison)} against {comparison.against}, {unit}"
        axis += f" (95 % interval; grey: ±{comparison.margin:g})"
        gain_intervals(path, shown, axis, title, comparison.margin)


def notes(comparison: Comparison) -> list[str]:
    """How to read the numbers, and what they can't tell."""
    seeds = [verdict.found.seeds for verdict in comparison.verdicts if verdict.found.seeds]
    arms = max((verdict.arms for verdict in comparison.verdicts), default=1)
    told = [
        f"Gains are paired by seed, against {comparison.against}, and positive is better. Intervals: 95 %, "
        "BCa bootstrap over seeds. p: sign-flip permutation, after Holm's correction for the arms of its "
        f"cell. An arm helps or harms where the interval leaves out 0 and p < {LEVEL:g}; it has no effect "
        f"where the interval lies within ±{comparison.margin:g}."
    ]
    if seeds and least_p(min(seeds), arms) >= LEVEL:
        told.append(
            f"Of {plural(min(seeds), 'seed')} and {plural(arms, 'arm')} p can't fall below "
            f"{least_p(min(seeds), arms):.2g}: to show that one helps or harms takes "
            f"seeds={seeds_needed(arms)} or more."
        )
    if any(len(_sizes(comparison, cell)) == 1 for cell in comparison.cells):
        told.append("train_sizes= of several numbers tells how many real samples an arm is worth.")
    elif comparison.against == "replicate":
        told.append(
            "What a gain with the most samples is worth, or a loss with the fewest costs, can't be told."
        )
    if len(comparison.cells) > 1:
        told.append(f"{EVERYWHERE.capitalize()}: a seed is resampled with all its cells.")
    return told


def _sizes(comparison: Comparison, cell: Cell) -> list[int]:
    return [other.n_train for other in comparison.cells if other.group == cell.group]


def _heading(comparison: Comparison, group: str) -> str:
    if group == EVERYWHERE:
        return f"{EVERYWHERE} ({len(comparison.cells)})"
    sizes = [f"{cell.n_train:,}" for cell in comparison.cells if cell.group == group]
    return f"{group}: {', '.join(sizes)} training samples"


def _grid(comparison: Comparison, group: str) -> tuple[list[str], list[list[str]]]:
    """Headings and lines of a group's table."""
    own, show_value = comparison.of(group), shown_as(comparison.measure)
    cells = {cell.n_train: cell for cell in comparison.cells if cell.group == group}
    several, everywhere = len({verdict.n_train for verdict in own}) > 1, group == EVERYWHERE
    headings = ["arm", *(["samples"] if several else []), *([] if everywhere else [_called(comparison)])]
    headings += [f"gain\n{own[0].unit}", "95 %\ninterval", "p\n(Holm)", "seeds", "answer"]
    lines, before = [], object()
    for verdict in own:
        cell = cells.get(verdict.n_train or 0)
        if cell and verdict.n_train != before:
            before = verdict.n_train
            base = list(cell.values[comparison.against].values())
            line = [comparison.against, *([f"{verdict.n_train:,}"] if several else [])]
            line.append(show_value(fmean(base), stdev(base) if len(base) > 1 else None))
            lines.append([*line, NOTHING, NOTHING, NOTHING, str(len(base)), NOTHING])
        lines.append(_line(verdict, cell, several, comparison.measure))
    return headings, lines


def _line(verdict: Verdict, cell: Cell | None, several: bool, measure: str) -> list[str]:
    found, line = verdict.found, [verdict.arm]
    if several:
        line.append(f"{verdict.n_train:,}")
    if cell:
        values = list(cell.values[verdict.arm].values())
        line.append(shown_as(measure)(fmean(values), stdev(values) if len(values) > 1 else None))
    if not math.isfinite(found.mean):
        return [*line, NOTHING, NOTHING, NOTHING, str(found.seeds), verdict.word]
    mean = f"{found.mean:+.1f}" if abs(found.mean) >= 0.05 else f"{found.mean:+.2f}"
    p = f"{verdict.p:.2g}" if verdict.p >= 0.001 else "< 0.001"
    span = signed_span(found.low, found.high)
    return [*line, mean.replace("-", "−"), span, p, str(found.seeds), verdict.word]


def _short(verdict: Verdict) -> str:
    if verdict.word in ("helps", "harms"):
        return f"{verdict.word}{', ' if verdict.worth_text else ''}{verdict.worth_text.partition(' (')[0]}"
    return verdict.word


def _called(comparison: Comparison) -> str:
    return METRICS[comparison.measure].heading.replace("\n", " ")
