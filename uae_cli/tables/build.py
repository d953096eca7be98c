"""A table of the paper as a document of blocks, one per experiment, before any format."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from uae_cli.results.collect import Measured
from uae_cli.results.columns import unit_of
from uae_cli.tables.context import as_in_paper, facts, shortfalls, too_small
from uae_cli.tables.format import NOTHING, gain
from uae_cli.tables.legend import DRAWS, FOREIGN, heading, left_out, legend
from uae_cli.tables.reported import full_name, reported, reported_pairs
from uae_cli.tables.specs import Measure, TableSpec
from uae_cli.text import plural


@dataclass(frozen=True)
class Block:
    """One experiment: its heading, the facts about it, and one line per arm.

    `shortfalls` says what it lacks of a full run (empty: it is one), `judged` whether it is large enough
    to judge an arm by, `marks` gives the numbers of its footnotes. Headings may hold one line break, which a
    format without room may turn into a space.
    """

    heading: str
    facts: tuple[str, ...]
    shortfalls: tuple[str, ...]
    headings: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    marks: tuple[int, ...]
    judged: bool

    @property
    def title(self) -> str:
        """The heading, with the numbers of its footnotes."""
        return self.heading + "".join(f" [{mark}]" for mark in self.marks)


@dataclass(frozen=True)
class Document:
    """A whole table: blocks in the paper's order, what its signs mean, notes, and what is still missing."""

    number: str
    title: str
    blocks: tuple[Block, ...]
    legend: tuple[str, ...]
    footnotes: tuple[str, ...]
    missing: str


def document(spec: TableSpec, rows: Iterable[Measured]) -> Document:
    """Build the table `spec` describes from the aggregated rows that belong in it."""
    rows = list(rows)
    runs = experiments(spec, rows)
    notes = tuple(dict.fromkeys(_note(run[0]) for run in runs if run[0].note))
    ambiguous = _repeated(heading(run[0]) + str(facts(run)) for run in runs)
    return Document(
        number=spec.number,
        title=spec.title,
        blocks=tuple(_block(spec, run, notes, ambiguous) for run in runs),
        legend=(*legend(spec, runs), *left_out(spec, rows)),
        footnotes=notes,
        missing=missing_line(spec, runs),
    )


def experiments(spec: TableSpec, rows: Iterable[Measured]) -> list[list[Measured]]:
    """Rows of the table, one list per experiment, in the paper's order and then the others by name."""
    wanted = spec.rows(rows)
    datasets = list(dict.fromkeys(dataset for dataset, _ in reported_pairs(spec.number)))

    def order(row: Measured) -> tuple[object, ...]:
        whole = full_name(row.dataset)
        place = datasets.index(whole) if whole in datasets else len(datasets)
        plain = not as_in_paper(row)
        return (place, whole, row.dataset, spec.models.index(row.model), plain, *row.identity)

    wanted.sort(key=order)
    return [list(run) for _, run in groupby(wanted, key=attrgetter("identity"))]


def missing_line(spec: TableSpec, runs: Sequence[Sequence[Measured]]) -> str:
    """Which of the paper's experiments have no full run yet, and the command; empty if none."""
    done = {(run[0].dataset, run[0].model) for run in runs if as_in_paper(run[0]) and _whole(spec, run)}
    names = [spec.experiment(*pair) for pair in reported_pairs(spec.number) if pair not in done]
    if not names:
        return ""
    several = "-m " if len(names) > 1 or spec.sweep else ""
    command = f"uae run {several}experiment={','.join(names)}"
    if spec.sweep:
        command += f" {spec.sweep.overrides}"
    return f"In the paper, not yet run in full here: {plural(len(names), 'experiment')}; `{command}`"


def _whole(spec: TableSpec, run: Sequence[Measured]) -> bool:
    """Whether it is this table's own experiment, and no line of a sweep is lacking."""
    own = run[0].experiment == spec.experiment(run[0].dataset, run[0].model)
    return own and (spec.sweep is None or {row.arm for row in run} >= set(spec.sweep.lines))


def _block(spec: TableSpec, run: Sequence[Measured], notes: Sequence[str], ambiguous: set[str]) -> Block:
    first = run[0]
    how = facts(run)
    if heading(first) + str(how) in ambiguous:
        how = (*how, f"settings {first.settings}")
    seeds = {row.seeds for row in run}
    cells = {(row.arm, row.metric): row for row in run}
    return Block(
        heading=heading(first),
        facts=how,
        shortfalls=shortfalls(first),
        headings=_headings(spec, plural(seeds.pop(), "seed") if len(seeds) == 1 else ""),
        lines=tuple(
            _line(spec, first, arm, cells, each_seeds=len(seeds) > 1)
            for arm in spec.lines(row.arm for row in run)
        ),
        marks=(notes.index(_note(first)) + 1,) if first.note else (),
        judged=not too_small(first),
    )


def _headings(spec: TableSpec, seeds: str) -> tuple[str, ...]:
    headings = ["attack" if spec.sweep else "arm"]
    for index, measure in enumerate(spec.measures):
        ours = f"ours ({seeds})" if seeds and index == 0 else "ours"
        headings += [f"{measure.heading}\n{ours}", f"{measure.heading}\npaper"]
        headings += [
            f"gain {unit_of(measure.gain(reference))} vs\n{reference}" for reference in measure.gains
        ]
    return (*headings, "epochs") if spec.epochs else tuple(headings)


def _line(
    spec: TableSpec, first: Measured, arm: str, cells: dict[tuple[str, str], Measured], *, each_seeds: bool
) -> tuple[str, ...]:
    line = [arm]
    for measure in spec.measures:
        line += [
            _ours(measure, cells.get((arm, measure.metric)), each_seeds=each_seeds),
            _papers(spec, measure, first, arm),
        ]
        line += [
            _gain(arm, reference, cells.get((arm, measure.gain(reference)))) for reference in measure.gains
        ]
    if spec.epochs:
        line.append(next(row.epochs for (name, _), row in cells.items() if name == arm))
    return tuple(line)


def _ours(measure: Measure, row: Measured | None, *, each_seeds: bool) -> str:
    if row is None:
        return NOTHING
    text = measure.show(row.mean, row.std)
    if each_seeds:
        text += f" ({plural(row.seeds, 'seed')})"
    return text + DRAWS if row.spread == "draws" else text


def _papers(spec: TableSpec, measure: Measure, first: Measured, arm: str) -> str:
    number = reported(spec.number, first.dataset, first.model, arm, measure.metric)
    if number is None:
        return NOTHING
    return measure.show_paper(*number) + ("" if as_in_paper(first) else FOREIGN)


def _gain(arm: str, reference: str, row: Measured | None) -> str:
    return NOTHING if row is None or arm == reference else gain(row.mean, row.std)


def _note(row: Measured) -> str:
    return f"{row.dataset}: {row.note}"


def _repeated(texts: Iterable[str]) -> set[str]:
    seen: set[str] = set()
    return {text for text in texts if text in seen or seen.add(text)}  # type: ignore[func-returns-value]
