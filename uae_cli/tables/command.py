"""`uae table N`: the paper's table from all finished runs, ours beside the paper's; and a run's own table."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

import pandas as pd
from rich.console import Console

from uae_cli.errors import ConfigError
from uae_cli.results import IDENTITY, MeanResult, collect, latest, over_seeds, read_rows, unread
from uae_cli.tables.build import document, experiments, missing_line, run_document
from uae_cli.tables.contents import find_table
from uae_cli.tables.notes import shortfalls
from uae_cli.tables.render import default_console, latex, markdown, plain_text, print_document
from uae_cli.tables.reported import full_name, reported
from uae_cli.tables.spec import Table

Format = Literal["text", "csv", "runs", "markdown", "latex"]


def table_command(number: str, outputs: Path, fmt: Format, out: Path | None) -> int:
    """Write table `number` from the finished runs below `outputs`, to the terminal or to the file `out`.

    As runs it is written as the rows of each seed, from which every other format can be made again: those
    that the file `out` has already are kept, unless the same job was run again later.

    Returns the exit status, 0. Beside CSV, which has no room for it, the line about experiments that are
    still missing goes to standard error.

    Raises:
        ConfigError: no such table or format, no finished run that belongs in it, `out` can't be written, or
            holds something else than rows of runs.

    """
    table = find_table(number)
    if fmt not in get_args(Format):
        raise ConfigError(f"table format {fmt!r} is unknown; choose one of {', '.join(get_args(Format))}")
    found = collect(outputs)
    rows = _rows(table, found, outputs)
    if fmt == "runs":
        _deliver(_of_each_seed(table, found, out).to_csv(index=False), out)
    elif fmt == "csv":
        _deliver(tidy(table, rows), out)
        if missing := missing_line(table, experiments(table, rows)):
            print(missing, file=sys.stderr)
    elif fmt == "text" and out is None and sys.stdout.isatty():
        print_document(document(table, rows, unread(outputs)), Console())
    else:
        write = {"text": plain_text, "markdown": markdown, "latex": latex}[fmt]
        _deliver(write(document(table, rows, unread(outputs))), out)
    return 0


def print_run(rows: pd.DataFrame, console: Console | None = None) -> None:
    """Print what a run measured: a line per arm, the paper's test error beside ours where it has one.

    `rows` are those of the run's `results.csv` (of one seed or of several; each experiment among them
    gets a table of its own). Without a console, standard output is used, 100 columns wide if it is no
    terminal.
    """
    print_document(run_document(over_seeds(rows)), console or default_console())


def tidy(table: Table, rows: Sequence[MeanResult]) -> str:
    """CSV, one line per experiment, arm and metric, the paper's number beside ours.

    Columns: table, experiment, dataset, model, overrides, scale, n_train, n_test, attacked (0: all
    training samples), arm, metric, unit, mean, std, spread (what std is over: seeds, draws or nothing),
    seeds, draws, low, high (of a gain: its 95 % t interval over seeds), paper, paper_std, paper_dataset (the
    full set's name beside a partial one), epochs, device, seconds (wall time of a run), dates, commits,
    settings, shortfalls, note.
    """
    lines = [_tidy_row(table, row) for run in experiments(table, rows) for row in run]
    return pd.DataFrame(lines).to_csv(index=False)


def _tidy_row(table: Table, row: MeanResult) -> dict[str, object]:
    def told(*names: str) -> dict[str, object]:
        return {name: getattr(row, name) for name in names}

    number = reported(table.number, row.dataset, row.model, row.arm, row.metric)
    return {
        "table": table.number,
        **told("experiment", "dataset", "model", "overrides", "scale", "n_train", "n_test"),
        "attacked": row.n_attacked,
        **told("arm", "metric", "unit", "mean", "std", "spread", "seeds", "draws"),
        "low": row.interval[0] if row.interval else None,
        "high": row.interval[1] if row.interval else None,
        "paper": number.value if number else None,
        "paper_std": number.std if number else None,
        "paper_dataset": full_name(row.dataset) if number else "",
        **told("epochs", "device", "seconds", "dates", "commits", "settings"),
        "shortfalls": "; ".join(shortfalls(row)),
        "note": row.note,
    }


def _of_each_seed(table: Table, found: pd.DataFrame, out: Path | None) -> pd.DataFrame:
    """The rows that this table is made of, and those of the file that is there, in a lasting order."""
    rows = over_seeds(found)
    shown = {row.identity for row in table.rows(rows)}
    sweep = table.sweep
    wanted = {
        (*row.identity, row.arm, row.metric)
        for row in replace(table, sweep=None).rows(rows)
        if sweep is None or any(line.identity in shown for line in sweep.fold([row]))
    }
    keys = found[[*IDENTITY, "arm", "metric"]].itertuples(index=False, name=None)
    kept = found[[key in wanted for key in keys]]
    if out is not None and out.exists():
        try:
            kept = latest([read_rows(out), kept])
        except (ValueError, OSError) as error:
            raise ConfigError(
                f"{out} is there and isn't made of the rows of runs ({error}); choose another file"
            ) from error
    return kept.sort_values([*IDENTITY, "seed"], kind="stable")


def _rows(table: Table, found: pd.DataFrame, outputs: Path) -> list[MeanResult]:
    command = f"start one with `{table.command}`"
    if found.empty:
        raise ConfigError(f"no finished runs below {outputs}; {command}")
    rows = over_seeds(found)
    if not table.rows(rows):
        arms = ", ".join(dict.fromkeys(row.arm for row in table.left_out(rows)))
        why = f" (it has no line for {arms}; results.csv of each run has them)" if arms else ""
        raise ConfigError(
            f"none of the finished runs below {outputs} belongs in table {table.number}{why}; {command}"
        )
    return rows


def _deliver(text: str, out: Path | None) -> None:
    if out is None:
        sys.stdout.write(text)
        return
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"can't write the table to {out}: {error.strerror}; choose another file") from error
