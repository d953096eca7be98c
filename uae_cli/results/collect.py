"""Every finished run below a folder, and its mean over seeds."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pandas as pd

from uae_cli.results.attacked import attacked_in
from uae_cli.results.columns import COLUMNS, LATER, NUMBERS, RESULTS_FILE
from uae_cli.text import one_line

log = logging.getLogger(__name__)

# Rows that agree in all of these are one experiment; rows that differ in one are never averaged.
IDENTITY = ("experiment", "dataset", "model", "settings", "scale", "n_train", "n_test")
WHOLE = ("seed", "draws", "n_train", "n_test", "epochs")
ATTACKED = "attacked"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One arm's metric over the seeds of one experiment: a row of `aggregate`.

    `std` is None when there is nothing to spread over. `spread` says what `std` is over: "seeds" (ddof
    1), "draws" (one seed, several repetitions inside its run) or "" (one of each). `attacked` counts the
    samples attacked where that is a setting of its own (see `attacked_in`), else it is 0.
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
    attacked: int = 0

    @property
    def identity(self) -> tuple[str | int, ...]:
        """What makes it one experiment: the values of `IDENTITY`."""
        return tuple(getattr(self, key) for key in IDENTITY)


def collect(outputs: Path) -> pd.DataFrame:
    """Rows of all finished runs at any depth below `outputs`, with the columns of `COLUMNS` and `ATTACKED`.

    Of runs with the same settings, scale and seed only the one started last is kept. A file that can't
    be read, or isn't in today's format, is left out with one warning. No runs: an empty table.
    """
    frames = [
        frame for path in sorted(outputs.rglob(RESULTS_FILE)) if (frame := _read_or_warn(path)) is not None
    ]
    if not frames:
        return pd.DataFrame(columns=[*COLUMNS, ATTACKED])
    return _latest(frames)


def read_run(folder: Path) -> pd.DataFrame:
    """Rows of the finished run in this folder, as of `collect`."""
    return _read(folder / RESULTS_FILE)


def aggregate(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean and spread over seeds of every arm and metric of every experiment; see `Measured`.

    A value that is not a number makes its mean not a number: a run that diverged is not passed over.
    """
    keys = [*IDENTITY, "arm", "metric"]
    records = [_over_seeds(group) for _, group in rows.groupby(keys, sort=False, dropna=False)]
    return pd.DataFrame(records, columns=list(Measured.__dataclass_fields__))


def measured(rows: pd.DataFrame) -> list[Measured]:
    """`aggregate`, as typed records."""
    records = cast(list[dict[str, Any]], aggregate(rows).astype(object).to_dict("records"))
    return [Measured(**{**record, "std": _none_if_nan(record["std"])}) for record in records]


def _read_or_warn(path: Path) -> pd.DataFrame | None:
    try:
        return _read(path)
    except (OSError, ValueError) as error:
        log.warning("left out %s: %s", path, one_line(error))
        return None


def _read(path: Path) -> pd.DataFrame:
    # Everything as text first: a hash such as 12e34567 must not become a number.
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    frame = frame.assign(**{column: "" for column in LATER if column not in frame})
    missing = [column for column in COLUMNS if column not in frame]
    if missing:
        others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ValueError(f"not in today's format, no column {missing[0]}{others}")
    if frame.empty:
        raise ValueError("no rows")
    frame = frame[list(COLUMNS)].copy()
    for column in NUMBERS:
        frame[column] = pd.to_numeric(frame[column]).astype(float)
    for column in WHOLE:
        frame[column] = _whole(frame[column])
    _started(frame)
    if frame.duplicated([*IDENTITY, "seed", "arm", "metric"]).any():
        raise ValueError("the same arm and metric stand there twice for one seed")
    return frame.assign(**{ATTACKED: attacked_in(path.parent)})


def _whole(numbers: "pd.Series[Any]") -> "pd.Series[Any]":
    if not (numbers % 1 == 0).all():
        raise ValueError(f"column {numbers.name} holds something other than whole numbers")
    return numbers.astype(int)


def _started(frame: pd.DataFrame) -> "pd.Series[Any]":
    return pd.to_datetime(frame["started"], format="ISO8601", utc=True)


def _latest(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """All rows, save those of runs that were repeated later; a tie goes to the file read last."""
    rows = pd.concat([frame.assign(_file=index) for index, frame in enumerate(frames)], ignore_index=True)
    rows["_started"] = _started(rows)
    runs = rows.sort_values(["_started", "_file"]).groupby([*IDENTITY, "seed"])["_file"].last()
    newest = rows.merge(runs.rename("_newest").reset_index(), on=[*IDENTITY, "seed"])
    return newest[newest["_file"] == newest["_newest"]][[*COLUMNS, ATTACKED]].reset_index(drop=True)


def _over_seeds(group: pd.DataFrame) -> dict[str, object]:
    newest = group.iloc[int(_started(group).argmax())]
    seeds, draws = len(group), int(group["draws"].max())
    std, spread = float("nan"), ""
    if seeds > 1:
        std, spread = float(group["value"].std(ddof=1, skipna=False)), "seeds"
    elif draws > 1:
        std, spread = float(group["std"].iloc[0]), "draws"
    return {
        **{key: newest[key] for key in (*IDENTITY, "arm", "metric", "unit", "overrides", "attack")},
        "note": " ".join(dict.fromkeys(note for note in group["note"] if note)),
        "mean": float(group["value"].mean(skipna=False)),
        "std": std,
        "seeds": seeds,
        "draws": draws,
        "spread": spread,
        "epochs": _span(group["epochs"]),
        "device": ", ".join(dict.fromkeys(group["device"])),
        "dates": ", ".join(sorted({started[:10] for started in group["started"]})),
        "commits": ", ".join(sorted({readable(commit) for commit in group["commit"] if commit})),
        ATTACKED: int(newest.get(ATTACKED, 0)),
    }


def readable(commit: str) -> str:
    """A recorded commit's first seven digits, and whether the files had been changed since."""
    digits, changed, _ = commit.partition("+")
    return f"{digits[:7]} (with uncommitted changes)" if changed else digits[:7]


def _span(numbers: "pd.Series[Any]") -> str:
    low, high = int(numbers.min()), int(numbers.max())
    return str(low) if low == high else f"{low}–{high}"


def _none_if_nan(value: float) -> float | None:
    return None if pd.isna(value) else float(value)
