"""The table at the end of a run."""

import math
from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter

import pandas as pd
from rich.console import Console
from rich.text import Text

from uae_cli.results.collect import Measured, measured
from uae_cli.results.columns import ARMS, METRICS, gain_name, unit_of
from uae_cli.tables.context import TOO_SMALL, as_in_paper, facts, shortfalls, too_small
from uae_cli.tables.format import NOTHING, gain, shown_as
from uae_cli.tables.grid import BEST, default_console, print_grid
from uae_cli.tables.reported import full_name, reported
from uae_cli.text import plural

Cells = dict[tuple[str, str], Measured]


def print_run(rows: pd.DataFrame, console: Console | None = None) -> None:
    """Print what a run measured: a line per arm, the paper's test error beside ours where it has one.

    `rows` are those of the run's `results.csv` (of one seed or of several; each experiment among them
    gets a table of its own). Without a console, standard output is used, 100 columns wide if it is no
    terminal.
    """
    console = console or default_console()
    ordered = sorted(measured(rows), key=attrgetter("identity"))
    for _, run in groupby(ordered, key=attrgetter("identity")):
        _print_experiment(list(run), console)


def verdict(run: Sequence[Measured], arm: str) -> str:
    """Say in a sentence what one arm gained; a gain that isn't one is told as such.

    Empty if the arm or one of its two gains was not measured, or the run is too small to judge by.
    """
    cells, main = _cells(run), headline(run)
    if main is None or too_small(run[0]):
        return ""
    against_original = cells.get((arm, gain_name(main, "original")))
    against_replicate = cells.get((arm, gain_name(main, "replicate")))
    if against_original is None or against_replicate is None:
        return ""
    told = f"{_told(against_original)} original's, {_told(against_replicate)} replicate's"
    short = " (of a run that is less than full)" if shortfalls(run[0]) else ""
    return f"{arm}{short}: {_heading(main)} {told}{_judged(against_replicate)}."


def _print_experiment(run: Sequence[Measured], console: Console) -> None:
    first = run[0]
    console.print()
    console.print(Text(" · ".join(filter(None, (first.experiment, first.overrides))), style="bold cyan"))
    if lacks := shortfalls(first):
        console.print(Text(f"LESS THAN FULL: {'; '.join(lacks)}", style="bold yellow"))
    print_grid(*_grid(run), console)
    for line, style in _caption(run):
        console.print(Text(line, style=style))


def _grid(run: Sequence[Measured]) -> tuple[list[str], list[list[str]]]:
    """The compared metric with its gains, then every other one that was measured."""
    cells, headings, columns = _cells(run), ["arm"], []
    main = headline(run)
    if main is not None:
        best = _best(run, main)
        headings.append(f"{_heading(main)}\nours")
        columns.append([_main_cell(cells.get((arm, main)), main, best=arm in best) for arm in _arms(run)])
        papers = [_papers(run[0], arm, main) for arm in _arms(run)]
        if any(papers):
            headings.append(f"{_heading(main)}\npaper")
            columns.append([paper or NOTHING for paper in papers])
        there = {row.metric for row in run}
        for reference in (name for name in ("original", "replicate") if gain_name(main, name) in there):
            headings.append(f"gain {unit_of(gain_name(main, reference))} vs\n{reference}")
            columns.append([_gain(cells, arm, main, reference) for arm in _arms(run)])
    for metric in (name for name in METRICS if name != main and any(row.metric == name for row in run)):
        headings.append(METRICS[metric].heading or metric)
        columns.append([_cell(cells.get((arm, metric))) for arm in _arms(run)])
    return headings, [[arm, *line] for arm, *line in zip(_arms(run), *columns, strict=True)]


def headline(run: Sequence[Measured]) -> str | None:
    """The first metric of `METRICS` that arms are compared by; None where nothing is compared.

    An error always is; an accuracy may merely describe the model that is attacked.
    """
    compared = {row.metric.partition("_gain_vs_")[0] for row in run if "_gain_vs_" in row.metric}
    compared |= {row.metric for row in run if row.metric in METRICS and METRICS[row.metric].gains == "error"}
    return next((name for name in METRICS if name in compared), None)


def _heading(metric: str) -> str:
    return METRICS[metric].heading.replace("\n", " ") or metric


def _arms(run: Sequence[Measured]) -> list[str]:
    there = dict.fromkeys(row.arm for row in run)
    return [arm for arm in ARMS if arm in there] + [arm for arm in there if arm not in ARMS]


def _best(run: Sequence[Measured], metric: str) -> set[str]:
    values = {row.arm: row.mean for row in run if row.metric == metric and math.isfinite(row.mean)}
    first = min if METRICS[metric].gains == "error" else max
    return {arm for arm, value in values.items() if value == first(values.values())}


def _main_cell(row: Measured | None, metric: str, *, best: bool) -> str:
    if row is None:
        return NOTHING
    return shown_as(metric)(row.mean, row.std) + (f" {BEST}" if best else "")


def _papers(row: Measured, arm: str, metric: str) -> str:
    number = reported(None, row.dataset, row.model, arm, metric)
    return "" if number is None else shown_as(metric)(number.value, None) + ("" if as_in_paper(row) else "†")


def _gain(cells: Cells, arm: str, metric: str, reference: str) -> str:
    row = cells.get((arm, gain_name(metric, reference)))
    return NOTHING if row is None or arm == reference else gain(row.mean)


def _cell(row: Measured | None) -> str:
    return NOTHING if row is None else shown_as(row.metric)(row.mean, None)


def _cells(run: Sequence[Measured]) -> Cells:
    return {(row.arm, row.metric): row for row in run}


def _told(row: Measured) -> str:
    over = "" if row.spread != "seeds" else f" (± {row.std:.1f} {row.unit} over {row.seeds} seeds)"
    if not math.isfinite(row.mean):
        return f"{row.mean} {row.unit} beside"
    if _none(row):
        return f"equal{over} to"
    lower = METRICS[row.metric.partition("_gain_vs_")[0]].gains == "error"
    side = "below" if lower == (row.mean > 0) else "above"
    return f"{abs(row.mean):.1f} {row.unit}{over} {side}"


def _none(row: Measured) -> bool:
    """Whether a gain is none with the decimals that are shown."""
    return round(row.mean, 1) == 0


def _judged(row: Measured) -> str:
    """Judge a gain against replicate: none, too small to tell from the seeds' spread, or (empty) a gain."""
    if not row.mean > 0 or _none(row):
        return ": no better than the same extra training without new samples"
    if row.spread != "seeds" or row.std is None:
        return ": of one seed, which can't tell a gain from chance (seed=0,1,2 with -m shows the spread)"
    return ": the latter is within the spread over seeds" if row.mean <= row.std else ""


def _caption(run: Sequence[Measured]) -> list[tuple[str, str]]:
    first = run[0]
    seeds = " or ".join(plural(count, "seed") for count in sorted({row.seeds for row in run}))
    lines = [(" · ".join((*facts(run), seeds)), "dim")]
    if first.note:
        lines.append((f"{first.dataset}: {first.note}", "yellow"))
    main = headline(run)
    if main and any(_papers(first, arm, main) for arm in _arms(run)) and not as_in_paper(first):
        lines.append(
            (
                f"† the paper's value is of the full {full_name(first.dataset)}, at full scale, with the "
                "paper's settings; ours is not.",
                "dim",
            )
        )
    if main:
        lines.append((_signs(run, main), "dim"))
    judged = [verdict(run, arm) for arm in _arms(run) if arm.endswith("_uae")]
    if too_small(first):
        judged = [TOO_SMALL]
    return lines + [(sentence, "") for sentence in judged if sentence]


def _signs(run: Sequence[Measured], main: str) -> str:
    lower = METRICS[main].gains == "error"
    signs = [f"{BEST} {'lowest' if lower else 'highest'} {_heading(main)}."]
    spreads = {row.spread for row in run if row.metric == main}
    if "seeds" in spreads:
        signs.append("±: standard deviation over seeds.")
    if "draws" in spreads:
        signs.append("±: standard deviation over the noise draws of this seed.")
    moved = "fell below" if lower else "rose above"
    signs.append(f"Gain: how far {_heading(main)} {moved} that arm's; negative is worse.")
    if any(row.arm.startswith("replicate_x") for row in run):
        signs.append("Arms of more samples have a replicate of their own size (replicate_x3, …) as theirs.")
    return " ".join(signs)
