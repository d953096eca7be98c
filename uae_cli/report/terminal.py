"""The table at the end of a run."""

import math
from collections.abc import Callable, Sequence
from itertools import groupby
from operator import attrgetter

import pandas as pd
from rich.console import Console
from rich.text import Text

from uae_cli.report.collect import Measured, measured
from uae_cli.report.columns import ARMS
from uae_cli.report.context import as_in_paper, facts, shortfalls
from uae_cli.report.grid import BEST, default_console, print_grid
from uae_cli.report.numbers import NOTHING, error, gain, plural, rate, significant
from uae_cli.report.paper import full_name, reported

Cells = dict[tuple[str, str], Measured]

# Heading, metric, how its mean is written.
_AFTER_GAINS: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("train\nMSE", "train_mse", error),
    ("ASR\n%", "asr", rate),
    ("mean\n‖δ‖₂", "perturbation_l2", significant),
    ("s per\nsample", "seconds_per_sample", significant),
)


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

    Empty if the arm or one of its two gains was not measured.
    """
    cells = _cells(run)
    against_original = cells.get((arm, "test_mse_gain_vs_original"))
    against_replicate = cells.get((arm, "test_mse_gain_vs_replicate"))
    if against_original is None or against_replicate is None:
        return ""
    told = f"{_told(against_original)} original's, {_told(against_replicate)} replicate's"
    return f"{arm}: test MSE {told}{_judged(against_replicate)}."


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
    cells, best = _cells(run), _best(run)
    papers = {arm: _papers(run[0], arm) for arm in _arms(run)}
    with_paper = any(papers.values())
    lines = []
    for arm in _arms(run):
        line = [arm, _test_error(cells.get((arm, "test_mse")), best=arm in best)]
        line += [papers[arm] or NOTHING] if with_paper else []
        line += [_gain(cells, arm, reference) for reference in ("original", "replicate")]
        lines.append(line + [_cell(cells.get((arm, metric)), show) for _, metric, show in _AFTER_GAINS])
    return _headings(with_paper=with_paper), lines


def _headings(*, with_paper: bool) -> list[str]:
    gains = ["gain % vs\noriginal", "gain % vs\nreplicate"]
    paper = ["test MSE\npaper"] if with_paper else []
    return ["arm", "test MSE\nours", *paper, *gains, *(heading for heading, _, _ in _AFTER_GAINS)]


def _arms(run: Sequence[Measured]) -> list[str]:
    there = dict.fromkeys(row.arm for row in run)
    return [arm for arm in ARMS if arm in there] + [arm for arm in there if arm not in ARMS]


def _best(run: Sequence[Measured]) -> set[str]:
    errors = {row.arm: row.mean for row in run if row.metric == "test_mse" and math.isfinite(row.mean)}
    return {arm for arm, value in errors.items() if value == min(errors.values())}


def _test_error(row: Measured | None, *, best: bool) -> str:
    if row is None:
        return NOTHING
    return error(row.mean, row.std) + (f" {BEST}" if best else "")


def _papers(row: Measured, arm: str) -> str:
    number = reported(None, row.dataset, row.model, arm, "test_mse")
    return "" if number is None else error(number.value) + ("" if as_in_paper(row) else "†")


def _gain(cells: Cells, arm: str, reference: str) -> str:
    row = cells.get((arm, f"test_mse_gain_vs_{reference}"))
    return NOTHING if row is None or arm == reference else gain(row.mean)


def _cell(row: Measured | None, show: Callable[[float], str]) -> str:
    return NOTHING if row is None else show(row.mean)


def _cells(run: Sequence[Measured]) -> Cells:
    return {(row.arm, row.metric): row for row in run}


def _told(row: Measured) -> str:
    over = "" if row.spread != "seeds" else f" (± {row.std:.1f} over {row.seeds} seeds)"
    if not math.isfinite(row.mean):
        return f"{row.mean} % beside"
    return f"{abs(row.mean):.1f} %{over} {'below' if row.mean > 0 else 'above'}"


def _judged(row: Measured) -> str:
    """Judge a gain against replicate: none, too small to tell from the seeds' spread, or (empty) a gain."""
    if not row.mean > 0:
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
    if any(_papers(first, arm) for arm in _arms(run)) and not as_in_paper(first):
        lines.append(
            (
                f"† the paper's value is of the full {full_name(first.dataset)}, at full scale, with the "
                "paper's settings; ours is not.",
                "dim",
            )
        )
    lines.append((_signs(run), "dim"))
    lines += [
        (sentence, "") for arm in _arms(run) if arm.endswith("_uae") and (sentence := verdict(run, arm))
    ]
    return lines


def _signs(run: Sequence[Measured]) -> str:
    signs = [f"{BEST} lowest test MSE."]
    spreads = {row.spread for row in run if row.metric == "test_mse"}
    if "seeds" in spreads:
        signs.append("±: standard deviation over seeds.")
    if "draws" in spreads:
        signs.append("±: standard deviation over the noise draws of this seed.")
    signs.append("Gain: how far test MSE fell below that arm's; negative is worse.")
    return " ".join(signs)
