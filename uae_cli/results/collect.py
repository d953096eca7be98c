"""Every finished run below a folder, and its mean over seeds."""

import csv
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

import pandas as pd

from uae_cli.hashing import damage_of
from uae_cli.results.columns import COLUMNS, LATER, METRICS, NUMBERS, RENAMED, RESULTS_FILE, WHOLE
from uae_cli.text import one_line

log = logging.getLogger(__name__)

# Rows that agree in all of these are one experiment; rows that differ in one are never averaged.
IDENTITY = ("experiment", "dataset", "model", "settings", "scale", "n_train", "n_test")
CLAIM = "run.claim"  # in a run's folder while the run goes on
RUN_ID = re.compile(r"-([0-9a-f]{6})(/\d+)?$")  # of a run folder; of a sweep's job, with its number
_ROW = (*IDENTITY, "seed", "arm", "metric")
_RUN = ("experiment", "scale", "seed", "n_attacked", "job", "commit", "device", "started")
_LARGEST = 2**53  # whole number that a file's numbers, read as floats, can tell from the next
INTERVAL_SEEDS = 3  # the fewest that an interval is told of


@dataclass(frozen=True, kw_only=True)
class MeanResult:
    """One arm's metric over the seeds of one experiment.

    `std` is None when there is nothing to spread over. `spread` says what `std` is over: "seeds" (ddof
    1), "draws" (one seed, several repetitions inside its run) or "" (one of each). `n_attacked` is as in
    `ResultRow`, `seconds` the mean of its wall times where they are known, `seed_numbers` says which seeds.
    `interval` is the 95 % t interval of a gain's mean; gains are paired, each seed's against its own
    reference. None for other metrics, and with fewer seeds than `INTERVAL_SEEDS`.
    """

    experiment: str
    dataset: str
    model: str
    settings: str
    scale: str
    n_train: int
    n_test: int
    arm: str
    metric: str
    unit: str
    mean: float
    std: float | None
    seeds: int
    draws: int
    spread: str
    epochs: str
    device: str
    overrides: str
    note: str
    attack: str
    dates: str
    commits: str
    n_attacked: int = 0
    seconds: float | None = None
    seed_numbers: str = ""
    interval: tuple[float, float] | None = None

    @property
    def identity(self) -> tuple[str | int, ...]:
        """What makes it one experiment: the values of `IDENTITY`."""
        return tuple(getattr(self, key) for key in IDENTITY)


@dataclass(frozen=True)
class FinishedRun:
    """The file with a run's rows, and what all of them say; `job` is empty if an older uae made it.

    Of a run of which only its rows in a table's file are left, the file is that one.
    """

    file: Path
    experiment: str
    scale: str
    seed: int
    n_attacked: int
    job: str
    commit: str
    device: str = ""
    started: str = ""

    @property
    def folder(self) -> Path:
        """Of the run, or of the table's file."""
        return self.file.parent

    def rows(self) -> pd.DataFrame:
        """Its own rows, as of `collect`."""
        frame = read_rows(self.file)
        own = [frame[name] == getattr(self, name) for name in _RUN]
        return cast(pd.DataFrame, frame[pd.concat(own, axis=1).all(axis=1)])


def finished_runs(outputs: Path) -> list[FinishedRun]:
    """All finished runs at any depth below `outputs`, of each job the latest, in the order they ended.

    A file that can't be read, or isn't in today's format, is left out with one warning.
    """
    paths = sorted(_files(outputs), key=lambda path: path.stat().st_mtime)
    runs = [
        FinishedRun(path, **cast(dict[str, Any], run))
        for path in paths
        if (frame := read_or_warn(path)) is not None
        for run in frame[list(_RUN)].drop_duplicates().to_dict("records")
    ]
    return list({run.job or (run.file, run.experiment, run.scale, run.seed): run for run in runs}.values())


def run_folders(outputs: Path) -> list[Path]:
    """The folders below `outputs` that `uae run` has given their names, of runs finished or not."""
    below = (*outputs.glob("runs/*/*"), *outputs.glob("multirun/*/*/*"))
    return sorted(folder for folder in below if folder.is_dir() and RUN_ID.search(folder.as_posix()))


def collect(outputs: Path) -> pd.DataFrame:
    """Rows of all finished runs at any depth below `outputs`, with the columns of `COLUMNS`.

    Files right in `outputs` that hold rows of several runs (`uae table N --format runs`) count as well. Of
    a row that was measured again with the same settings, scale and seed the latest is kept. A file that
    can't be read, or isn't in today's format, is left out with one warning. No runs: an empty table.
    """
    return latest([frame for path in _files(outputs) if (frame := read_or_warn(path)) is not None])


def unread(outputs: Path) -> list[str]:
    """One line for every file of rows below `outputs` that can't be read."""
    return [found for path in _files(outputs) if isinstance(found := _read(path), str)]


def read_run(folder: Path) -> pd.DataFrame:
    """Rows of the finished run in this folder, as of `collect`; errors as of `read_rows`."""
    return read_rows(folder / RESULTS_FILE)


def read_rows(path: Path) -> pd.DataFrame:
    """Rows of a run's `results.csv`, or of several runs' in one file, as of `collect`.

    Raises:
        OSError: the file can't be read.
        ValueError: it isn't in today's format, holds nonsense, or not what its run wrote.
    """
    if problem := damage_of(path):
        raise ValueError(problem)
    # Everything as text first: a hash such as 12e34567 must not become a number.
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    frame = frame.assign(**{name: value for name, value in LATER.items() if name not in frame})
    missing = [column for column in COLUMNS if column not in frame]
    if missing:
        others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ValueError(f"not in today's format, no column {missing[0]}{others}")
    if frame.empty:
        raise ValueError("no rows")
    if not (frame["metric"].str.partition("_gain_vs_")[0].isin({*METRICS, *RENAMED})).all():
        raise ValueError("column metric holds something else than measures")
    frame = frame[list(COLUMNS)].replace({"metric": RENAMED})
    for column in NUMBERS:
        frame[column] = pd.to_numeric(frame[column]).astype(float)
    for column in WHOLE:
        frame[column] = _whole(frame[column])
    _started(frame)
    if frame.duplicated(list(_ROW)).any():
        raise ValueError("the same arm and metric stand there twice for one seed")
    return frame


def latest(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """All rows, save those that were measured again later.

    Files that hold rows of one and the same run complete each other; a tie goes to the one read last.
    """
    if not frames:
        return pd.DataFrame(columns=list(COLUMNS))
    rows = pd.concat(frames, ignore_index=True).assign(_started=lambda rows: _started(rows))
    last = rows.sort_values("_started", kind="stable").drop_duplicates(list(_ROW), keep="last")
    return last.sort_index()[list(COLUMNS)].reset_index(drop=True)


def over_seeds(rows: pd.DataFrame) -> list[MeanResult]:
    """Mean and spread over seeds of every arm and metric of every experiment.

    A value that is not a number makes its mean not a number: a run that diverged is not passed over.
    """
    keys = [*IDENTITY, "arm", "metric"]
    return [_over_seeds(group) for _, group in rows.groupby(keys, sort=False, dropna=False)]


def _files(outputs: Path) -> list[Path]:
    paths = [*outputs.rglob(RESULTS_FILE), *filter(_holds_runs, outputs.glob("*.csv"))]
    return sorted(path for path in paths if path.exists())  # a link may lead nowhere


def _holds_runs(path: Path) -> bool:
    """Whether a file beside the runs, whatever its name, has the columns of `results.csv`."""
    try:
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            header = next(csv.reader(file), [])
    except (OSError, csv.Error):  # a folder, or no table
        return False
    return path.name != RESULTS_FILE and set(COLUMNS) <= {*header, *LATER}


def read_or_warn(path: Path) -> pd.DataFrame | None:
    """Rows of this results.csv; of one that can't be read None, after a warning."""
    found = _read(path)
    return None if isinstance(found, str) else found


def _read(path: Path) -> pd.DataFrame | str:
    """The rows of a file, or a line that says why there are none."""
    try:
        about = path.stat()
    except OSError as error:
        return f"{path}: {one_line(error)}"
    return _read_once(path, (about.st_mtime_ns, about.st_size, about.st_ino))


@cache
def _read_once(path: Path, _version: tuple[int, ...]) -> pd.DataFrame | str:
    """Each version of a file is read, and its line told, once a process."""
    try:
        return read_rows(path)
    except (OSError, ValueError, TypeError, LookupError, OverflowError, csv.Error) as error:
        told = f"{path}: {one_line(error)}"
        log.warning("left out %s", told)
        return told


def _whole(numbers: "pd.Series[Any]") -> "pd.Series[Any]":
    if not ((numbers % 1 == 0) & (numbers.abs() < _LARGEST)).all():
        raise ValueError(f"column {numbers.name} holds something other than whole numbers")
    return numbers.astype(int)


def _started(frame: pd.DataFrame) -> "pd.Series[Any]":
    return pd.to_datetime(frame["started"], format="ISO8601", utc=True)


def _over_seeds(group: pd.DataFrame) -> MeanResult:
    newest = group.iloc[int(_started(group).argmax())]
    seeds, draws = len(group), int(group["draws"].max())
    std, spread = float("nan"), ""
    if seeds > 1:
        std, spread = float(group["value"].std(ddof=1, skipna=False)), "seeds"
    elif draws > 1:
        std, spread = float(group["std"].iloc[0]), "draws"
    shared = (*IDENTITY, "arm", "metric", "unit", "overrides", "attack", "n_attacked")
    return MeanResult(
        **cast(dict[str, Any], {key: newest[key] for key in shared}),
        note=" ".join(dict.fromkeys(note for note in group["note"] if note)),
        mean=float(group["value"].mean(skipna=False)),
        std=None if pd.isna(std) else std,
        interval=_interval(group["value"]) if "_gain_vs_" in newest["metric"] else None,
        seeds=seeds,
        draws=draws,
        spread=spread,
        epochs=_span(group["epochs"]),
        device=", ".join(dict.fromkeys(group["device"])),
        dates=", ".join(sorted({started[:10] for started in group["started"]})),
        seconds=None if group["seconds"].isna().all() else float(group["seconds"].mean()),
        seed_numbers=", ".join(map(str, sorted(group["seed"]))),
        commits=", ".join(sorted({readable(commit) for commit in group["commit"] if commit})),
    )


def _interval(values: "pd.Series[Any]") -> tuple[float, float] | None:
    if len(values) < INTERVAL_SEEDS:
        return None
    from scipy.special import stdtrit  # Student's quantile; not with this module: half a second

    mean = float(values.mean(skipna=False))
    half = float(stdtrit(len(values) - 1, 0.975) * values.std(ddof=1, skipna=False) / len(values) ** 0.5)
    return mean - half, mean + half


def readable(commit: str) -> str:
    """A recorded commit's first seven digits, and whether the files had been changed since."""
    digits, changed, _ = commit.partition("+")
    return f"{digits[:7]} (with uncommitted changes)" if changed else digits[:7]


def _span(numbers: "pd.Series[Any]") -> str:
    low, high = int(numbers.min()), int(numbers.max())
    return str(low) if low == high else f"{low}–{high}"
