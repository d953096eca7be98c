"""A table as a document of blocks, one per experiment, before any format: the paper's, and a run's own."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any

from uae_cli.results import METRICS, MeanResult, gain_name, unit_of
from uae_cli.tables.format import NOTHING, gain, interval, papers_shown_as, shown_as
from uae_cli.tables.notes import (
    BEST,
    DRAWS,
    FOREIGN,
    Lines,
    arms_of,
    as_in_paper,
    below_run,
    facts,
    heading,
    left_out,
    legend,
    shortfalls,
    told_heading,
    too_small,
)
from uae_cli.tables.reported import full_name, reported, reported_pairs
from uae_cli.tables.spec import Table
from uae_cli.text import plural

Cells = dict[tuple[str, str], MeanResult]  # by arm and metric
Column = tuple[str, list[str]]  # its heading, and a cell per arm


@dataclass(frozen=True, kw_only=True)
class Block:
    """One experiment: its heading, the facts about it, and one line per arm.

    `shortfalls` says what it lacks of a full run (empty: it is one), `judged` whether it is large enough
    to judge an arm by, `marks` gives the numbers of its footnotes, `below` lines of its own with their
    styles. Headings may hold one line break, which a format without room may turn into a space.
    """

    heading: str
    shortfalls: tuple[str, ...]
    headings: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    judged: bool
    facts: tuple[str, ...] = ()
    marks: tuple[int, ...] = ()
    below: tuple[tuple[str, str], ...] = ()

    @property
    def title(self) -> str:
        """The heading, with the numbers of its footnotes."""
        return self.heading + "".join(f" [{mark}]" for mark in self.marks)


@dataclass(frozen=True, kw_only=True)
class Document:
    """A whole table: blocks in the paper's order, what its signs mean, notes, and what is still missing.

    A run's own has neither number nor title.
    """

    blocks: tuple[Block, ...]
    number: str = ""
    title: str = ""
    legend: tuple[str, ...] = ()
    footnotes: tuple[str, ...] = ()
    missing: str = ""


def document(table: Table, rows: Iterable[MeanResult], unread: Iterable[str] = ()) -> Document:
    """The paper's table from the results that belong in it; `unread` says which files could not be read."""
    rows = list(rows)
    runs = experiments(table, rows)
    notes = tuple(dict.fromkeys(_note(run[0]) for run in runs if run[0].note))
    told = Counter(heading(run[0]) + str(facts(run)) for run in runs)
    ambiguous = {text for text, times in told.items() if times > 1}
    return Document(
        number=table.number,
        title=table.title,
        blocks=tuple(_block(table, run, notes, ambiguous) for run in runs),
        legend=(*legend(table, runs), *left_out(table, rows), *(f"Left out: {line}" for line in unread)),
        footnotes=notes,
        missing=missing_line(table, runs),
    )


def run_document(rows: Iterable[MeanResult]) -> Document:
    """What a run measured, of one seed or of several; each experiment among the rows gets a block."""
    ordered = sorted(rows, key=attrgetter("identity"))
    runs = [list(run) for _, run in groupby(ordered, key=attrgetter("identity"))]
    return Document(blocks=tuple(map(_run_block, runs)))


def experiments(table: Table, rows: Iterable[MeanResult]) -> list[list[MeanResult]]:
    """Rows of the table, one list per experiment, in the paper's order and then the others by name."""
    wanted = table.rows(rows)
    datasets = list(dict.fromkeys(dataset for dataset, _ in reported_pairs(table.number)))

    def order(row: MeanResult) -> tuple[object, ...]:
        whole = full_name(row.dataset)
        place = datasets.index(whole) if whole in datasets else len(datasets)
        plain = not as_in_paper(row)
        return (place, whole, row.dataset, table.models.index(row.model), plain, *row.identity)

    wanted.sort(key=order)
    return [list(run) for _, run in groupby(wanted, key=attrgetter("identity"))]


def lacking(table: Table, runs: Sequence[Lines]) -> list[tuple[str, str]]:
    """The paper's pairs of dataset and model that have not been run in full."""
    done = {(run[0].dataset, run[0].model) for run in runs if as_in_paper(run[0]) and _whole(table, run)}
    return [pair for pair in reported_pairs(table.number) if pair not in done]


def missing_line(table: Table, runs: Sequence[Lines]) -> str:
    """Which of the paper's experiments have no full run yet, and the command; empty if none."""
    names = [table.experiment_of(*pair) for pair in lacking(table, runs)]
    if not names:
        return ""
    several = "-m " if len(names) > 1 or table.sweep else ""
    command = f"uae run {several}experiment={','.join(names)}"
    if table.sweep:
        command += f" {table.sweep.overrides}"
    return f"In the paper, not yet run in full here: {plural(len(names), 'experiment')}; `{command}`"


def _whole(table: Table, run: Lines) -> bool:
    """Whether it is this table's own experiment, and no line of a sweep and no chosen arm is lacking."""
    own = run[0].experiment == table.experiment_of(run[0].dataset, run[0].model)
    there, wanted = {row.arm for row in run}, tuple(table.sweep.lines) if table.sweep else ()
    if "arm=" in run[0].overrides and not table.sweep:
        pair, metrics = (run[0].dataset, run[0].model), [measure.metric for measure in table.measures]
        wanted = tuple(
            arm for arm in table.arms if any(reported(table.number, *pair, arm, m) for m in metrics)
        )
    return own and there >= set(wanted)


def _block(table: Table, run: Lines, notes: Sequence[str], ambiguous: set[str]) -> Block:
    first, how = run[0], facts(run)
    if not table.epochs:
        epochs = sorted({row.epochs for row in run}, key=len)
        how = (*how, f"{', '.join(epochs)} epochs")
    if heading(first) + str(facts(run)) in ambiguous:
        how = (*how, f"settings {first.settings}")
    arms = table.lines(row.arm for row in run)
    return Block(
        **_grid("attack" if table.sweep else "arm", first, arms, _columns(table, run, arms)),
        heading=heading(first),
        facts=how,
        marks=(notes.index(_note(first)) + 1,) if first.note else (),
    )


def _run_block(run: Lines) -> Block:
    first, main = run[0], headline(run)
    return Block(
        **_grid("arm", first, arms_of(run), _run_columns(run, main)),
        heading=" · ".join(filter(None, (first.experiment, first.overrides))),
        below=tuple(below_run(run, main)),
    )


def _grid(corner: str, first: MeanResult, arms: Sequence[str], columns: Sequence[Column]) -> dict[str, Any]:
    """What every block has: headings, a line per arm, what it lacks and whether it is large enough."""
    return {
        "headings": (corner, *(name for name, _ in columns)),
        "lines": tuple(zip(arms, *(cells for _, cells in columns), strict=True)),
        "shortfalls": shortfalls(first),
        "judged": not too_small(first),
    }


def _columns(table: Table, run: Lines, arms: Sequence[str]) -> list[Column]:
    """Of every measure ours, the paper's and the gains; then the epochs."""
    cells = {(row.arm, row.metric): row for row in run}
    seeds = {row.seeds for row in run}
    shared = f" ({plural(min(seeds), 'seed')})" if len(seeds) == 1 else ""
    columns: list[Column] = []
    for measure in table.measures:
        metric = measure.metric
        ours = [_ours(cells.get((arm, metric)), each_seeds=len(seeds) > 1) for arm in arms]
        papers = [_papers(table.number, run[0], arm, metric) for arm in arms]
        columns.append((f"{measure.heading}\nours{'' if columns else shared}", ours))
        if not measure.ours_alone:
            columns.append((f"{measure.heading}\npaper", papers))
        columns += [_gains(cells, arms, metric, reference, spread=True) for reference in measure.gains]
        if intervals := _intervals(cells, arms, metric):
            columns.append(intervals)
    if table.epochs:
        columns.append(("epochs", [next(row.epochs for row in run if row.arm == arm) for arm in arms]))
    return columns


def _run_columns(run: Lines, main: str | None) -> list[Column]:
    """The compared metric with its gains, then every other one that was measured."""
    cells, arms = {(row.arm, row.metric): row for row in run}, arms_of(run)
    there, columns = {row.metric for row in run}, list[Column]()
    if main is not None:
        first, papers = best(run, main), [_papers(None, run[0], arm, main) for arm in arms]
        ours = [_cell(cells.get((arm, main))) + (f" {BEST}" if arm in first else "") for arm in arms]
        columns.append((f"{told_heading(main)}\nours", ours))
        if set(papers) != {NOTHING}:
            columns.append((f"{told_heading(main)}\npaper", papers))
        references = [name for name in ("original", "replicate") if gain_name(main, name) in there]
        columns += [_gains(cells, arms, main, reference, spread=False) for reference in references]
    for metric in (name for name in METRICS if name != main and name in there):
        told = [_cell(cells.get((arm, metric)), spread=False) for arm in arms]
        columns.append((METRICS[metric].heading or metric, told))
    return columns


def headline(run: Lines) -> str | None:
    """The first metric of `METRICS` that arms are compared by; None where nothing is compared.

    An error always is; an accuracy may merely describe the model that is attacked.
    """
    compared = {row.metric.partition("_gain_vs_")[0] for row in run if "_gain_vs_" in row.metric}
    compared |= {row.metric for row in run if row.metric in METRICS and METRICS[row.metric].gains == "error"}
    return next((name for name in METRICS if name in compared), None)


def best(run: Lines, metric: str) -> set[str]:
    """The arms of the lowest error or the highest accuracy; none where nothing was measured."""
    values = {row.arm: row.mean for row in run if row.metric == metric and math.isfinite(row.mean)}
    first = min if METRICS[metric].gains == "error" else max
    return {arm for arm, value in values.items() if value == first(values.values())}


def _cell(row: MeanResult | None, *, spread: bool = True) -> str:
    return NOTHING if row is None else shown_as(row.metric)(row.mean, row.std if spread else None)


def _ours(row: MeanResult | None, *, each_seeds: bool) -> str:
    seeds = f" ({plural(row.seeds, 'seed')})" if row is not None and each_seeds else ""
    return _cell(row) + seeds + (DRAWS if row is not None and row.spread == "draws" else "")


def _papers(table: str | None, first: MeanResult, arm: str, metric: str) -> str:
    """The number of one of the paper's tables as it stands there; of any table (None) to our own digits."""
    number = reported(table, first.dataset, first.model, arm, metric)
    if number is None:
        return NOTHING
    told = papers_shown_as(metric)(*number) if table else shown_as(metric)(number.value, None)
    return told + ("" if as_in_paper(first) else FOREIGN)


def _gains(cells: Cells, arms: Sequence[str], metric: str, reference: str, *, spread: bool) -> Column:
    name = gain_name(metric, reference)
    rows = [None if arm == reference else cells.get((arm, name)) for arm in arms]
    told = [NOTHING if row is None else gain(row.mean, row.std if spread else None) for row in rows]
    return f"gain {unit_of(name)} vs\n{reference}", told


def _intervals(cells: Cells, arms: Sequence[str], metric: str) -> Column | None:
    """Of the gains against replicate; None where no arm has the seeds for one."""
    rows = [cells.get((arm, gain_name(metric, "replicate"))) for arm in arms]
    told = [NOTHING if row is None or row.interval is None else interval(row.interval) for row in rows]
    return None if set(told) == {NOTHING} else ("95 %\ninterval", told)


def _note(row: MeanResult) -> str:
    return f"{row.dataset}: {row.note}"
