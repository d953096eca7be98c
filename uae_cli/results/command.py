"""`uae runs`: finished runs, the best of them by a measure, and in what two of them differ."""

import sys
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from uae_cli.errors import ConfigError
from uae_cli.hashing import damage_of
from uae_cli.results.collect import RUN_ID, FinishedRun, finished_runs
from uae_cli.results.columns import METRICS, RESULTS_FILE
from uae_cli.text import nearest, one_line, shown
from uae_cli.yaml_files import read_yaml

_PIPED_WIDTH = 200
_ABSENT = "–"


def runs_command(outputs: Path, experiment: str | None, best: str | None) -> int:
    """List the finished runs below `outputs`, the latest last; with `best`, the best first.

    Args:
        outputs: of each job the latest run below it is listed.
        experiment: only runs of this name.
        best: an error, accuracy or gain of `results.csv`; a run then stands with its best arm.

    Returns the exit status, 0.

    Raises:
        ConfigError: there is no such run or measure, or it is none that tells which run is better.
    """
    runs = [run for run in finished_runs(outputs) if experiment in (None, run.experiment)]
    if not runs:
        known = {run.experiment for run in finished_runs(outputs)}
        of = f" of {experiment}; {nearest(experiment, known)}" if experiment and known else ""
        raise ConfigError(f"no finished runs below {outputs}{of or '; start one with `uae run`'}")
    rows = pd.concat([run.rows().assign(run=run_id(run, outputs)) for run in runs])
    chosen = _best(rows, best) if best else rows.drop_duplicates("run").sort_values("started", kind="stable")
    table = Table(box=None, pad_edge=False, header_style="bold")
    headings = ["run", "started", "experiment", "scale", "seed", *(["arm", best] if best else []), "set"]
    for heading in headings:
        table.add_column(heading, overflow="fold", justify="right" if heading in ("seed", best) else "left")
    for row in chosen.to_dict("records"):
        told = [row["run"], row["started"][:16].replace("T", " ")]
        told += [row["experiment"], row["scale"], str(row["seed"])]
        told += [row["arm"], f"{row['value']:.4g}"] if best else []
        table.add_row(*map(Text, [*told, row["overrides"]]))
    _print(table)
    return 0


def diff_command(outputs: Path, first: str, second: str) -> int:
    """Print the settings in which two runs differ.

    Args:
        outputs: runs are looked for below it.
        first: a run's folder, or what `uae runs` calls it.
        second: likewise.

    Returns the exit status, 0.

    Raises:
        ConfigError: no run is called so, or a run's config.yaml can't be read.
    """
    one, other = (_settings(_found(name, outputs)) for name in (first, second))
    names = [name for name in {**one, **other} if one.get(name, _ABSENT) != other.get(name, _ABSENT)]
    if not names:
        print(f"{first} and {second} have the same settings")
        return 0
    table = Table("setting", escape(first), escape(second), box=None, pad_edge=False, header_style="bold")
    for name in names:
        table.add_row(name, *(Text(shown(settings.get(name, _ABSENT))) for settings in (one, other)))
    _print(table)
    return 0


def run_id(run: FinishedRun, outputs: Path) -> str:
    """What a run is called in a list: the six digits of its folder, or the folder itself without such.

    A run of which only its rows in a table's file are left is called by the file and the digits of its job.
    """
    if run.file.name != RESULTS_FILE:
        return f"{run.file.relative_to(outputs).as_posix()}:{run.job[:6] or f'seed{run.seed}'}"
    path = run.folder.relative_to(outputs).as_posix()
    found = RUN_ID.search(path)
    return f"{found[1]}{found[2] or ''}" if found else path


def _best(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The row of every run's best arm by this measure, the best run first; not a number is the worst."""
    usable = {name for name in rows["metric"] if _gains(name)}
    if metric not in usable:
        why = "no finished run has such an error, accuracy or gain"
        raise ConfigError(f"--best = {metric}: {why}; {nearest(metric, usable)}")
    lower = _gains(metric) == "error" and metric in METRICS  # a gain is better when higher, of an error too
    return rows[rows["metric"] == metric].sort_values("value", ascending=lower).drop_duplicates("run")


def _gains(metric: str) -> str | None:
    return getattr(METRICS.get(metric.partition("_gain_vs_")[0]), "gains", None)


def _found(name: str, outputs: Path) -> Path:
    if (Path(name) / "config.yaml").is_file():
        return Path(name)
    runs = {run_id(run, outputs): run.folder for run in finished_runs(outputs)}
    if name not in runs:
        raise ConfigError(f"{name}: no finished run below {outputs}; {nearest(name, runs)}")
    return runs[name]


def _settings(folder: Path) -> dict[str, Any]:
    path = folder / "config.yaml"
    try:
        if problem := damage_of(path):
            raise ConfigError(f"{path}: {problem}")
        return _flat(read_yaml(path), "")
    except (OSError, ConfigError) as error:
        raise ConfigError(f"{one_line(error)}; name another run") from error


def _flat(node: Any, place: str) -> dict[str, Any]:
    if not isinstance(node, dict) or not node:
        return {place: node}
    dot = f"{place}." if place else ""
    return {key: leaf for name, value in node.items() for key, leaf in _flat(value, f"{dot}{name}").items()}


def _print(table: Table) -> None:
    console = Console() if sys.stdout.isatty() else Console(width=_PIPED_WIDTH)
    console.print(table)
