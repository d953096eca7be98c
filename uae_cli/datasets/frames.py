"""From a user's file to numbers and labels, or to a line that says what is wrong with it."""

import csv
import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from uae_cli.errors import ConfigError, DataError
from uae_cli.text import one_line

if TYPE_CHECKING:
    import pandas as pd

PARQUET = (".parquet", ".pq")
_UNNAMED = re.compile(r"Unnamed: \d+")  # what pandas calls a column without a name
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
_SHOWN = 5


@dataclass(frozen=True)
class Frame:
    """What was read.

    `x` is (N, d), NaN where a cell is empty; `y` (N,) from 0 up; `rows` (N,) the row numbers in the file,
    which has `total` rows.
    """

    path: Path
    columns: list[str]
    dropped: list[str]
    classes: list[str]
    x: NDArray[np.float64]
    y: NDArray[np.int64]
    rows: NDArray[np.int64]
    total: int

    @property
    def rows_left(self) -> str:
        """How many rows there are, in words."""
        if len(self.rows) == self.total:
            return f"only {self.total} rows"
        return f"only {len(self.rows)} of {self.total} rows have no empty cell"

    @property
    def left_out(self) -> str:
        """What there is to say of rows that were left out; empty if none was."""
        left = self.total - len(self.rows)
        return f"{left:,} of {self.total:,} rows had empty cells and were left out." if left else ""

    def without_gaps(self) -> "Frame":
        """Only the rows without an empty cell; classes that lost all their rows are left out."""
        full = ~np.isnan(self.x).any(axis=1)
        kept, y = np.unique(self.y[full], return_inverse=True)
        classes = [self.classes[label] for label in kept]
        return replace(self, x=self.x[full], y=y, rows=self.rows[full], classes=classes)

    def refuse_constant(self) -> None:
        """Refuse columns that can tell nothing.

        Raises:
            DataError: columns hold one value only, or none at all.
        """
        empty = np.all(np.isnan(self.x), axis=0)
        if empty.any():
            raise self._refusal(empty, "empty, so there is no mean to fill in")
        constant = np.nanmin(self.x, axis=0) == np.nanmax(self.x, axis=0)
        if constant.any():
            raise self._refusal(constant, "one value only, from which nothing can be learned")

    def refuse_gaps(self, x: NDArray[np.float64]) -> None:
        """Refuse what is still empty in the filled (N, d) values `x`.

        Raises:
            DataError: a column has no value in any training row.
        """
        left = np.any(np.isnan(x), axis=0)
        if left.any():
            raise self._refusal(left, "no value in any training row, so there is no mean to fill in")

    def _refusal(self, columns: NDArray[np.bool_], why: str) -> DataError:
        names = [name for name, refused in zip(self.columns, columns, strict=True) if refused]
        return DataError(
            f"dataset.path = {self.path}: {_named(names)}: {why}; leave out with "
            f"{drop_setting([*self.dropped, *names])}"
        )


def read_frame(path: Path, *, label: str | None, drop: Sequence[str]) -> Frame:
    """Read `path`; all columns but `label` and `drop` are features.

    Raises:
        ConfigError: `label` or `drop` names a column that isn't there.
        DataError: the file can't be read, has a column twice or one that isn't numeric, a row without
            label, or an infinite value.
    """
    table = _read(path)
    known = [str(name) for name in table.columns]
    for name in drop:
        if name not in known:
            raise ConfigError(f"dataset.drop = {name}: no such column in {path}; {_nearest(name, known)}")
    if label is not None and label not in known:
        raise ConfigError(f"dataset.label = {label}: no such column in {path}; {_nearest(label, known)}")
    if label in drop:
        raise ConfigError(f"dataset.drop = {label}: is dataset.label too; take it out of one of them")
    features = table.drop(columns=[*drop, *([] if label is None else [label])])
    x = _numbers(path, features, drop, labelled=label is not None)
    y, classes = _labels(path, table, label)
    return Frame(path, list(features.columns), list(drop), classes, x, y, np.arange(len(table)), len(table))


def listed(names: Iterable[str]) -> str:
    """The first names, and how many more there are."""
    every = list(names)
    more = f" and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return ", ".join(every[:_SHOWN]) + more


def drop_setting(names: Iterable[str]) -> str:
    """`dataset.drop=[…]` as a shell and Hydra take it: quoted where a name needs it."""
    every = list(names)
    if all(re.fullmatch(r"[\w.-]+", name) for name in every):
        return f"dataset.drop=[{','.join(every)}]"
    quoted = ",".join('"' + name.replace('"', '\\"') + '"' for name in every)
    return f"'dataset.drop=[{quoted}]'"


def _read(path: Path) -> "pd.DataFrame":
    import pandas as pd

    if not path.is_file():
        what = "is a folder" if path.is_dir() else "no such file"
        raise DataError(f"dataset.path = {path}: {what}; give a CSV or Parquet file")
    try:
        table = pd.read_parquet(path) if path.suffix.lower() in PARQUET else _read_csv(path)
    except ImportError:
        raise DataError(
            f"dataset.path = {path}: reading Parquet needs pyarrow; pip install pyarrow, or save it as CSV"
        ) from None
    # pandas' and pyarrow's own errors for what is no table are ValueErrors
    except (ValueError, OSError, EOFError, csv.Error, pd.errors.ParserWarning) as error:
        raise DataError(f"dataset.path = {path}: can't be read as a table: {one_line(error)}") from None
    table.columns = table.columns.map(str)
    if not len(table):
        raise DataError(f"dataset.path = {path}: no rows below the header; give a table with data")
    return table


def _read_csv(path: Path) -> "pd.DataFrame":
    import pandas as pd

    try:
        header = [str(name) for name in pd.read_csv(path, header=None, nrows=1, dtype=str).iloc[0]]
    except pd.errors.EmptyDataError:
        raise DataError(f"dataset.path = {path}: the file is empty; give a table with a header") from None
    if len(header) == 1 and any(mark in header[0] for mark in ";\t"):
        raise DataError(f"dataset.path = {path}: columns must be separated by commas; save it so")
    if _holds_data(header):
        raise DataError(
            f"dataset.path = {path}: the first line is numbers ({listed(header)}), not names; put a line of "
            "names above it"
        )
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise DataError(f"dataset.path = {path}: {_named(twice)}: more than once in the header; rename")
    with warnings.catch_warnings():
        # Rows longer than the header, which pandas would cut off with a mere warning
        warnings.simplefilter("error", pd.errors.ParserWarning)
        return pd.read_csv(path, index_col=False)


def _holds_data(header: Sequence[str]) -> bool:
    """Whether the first line is no header: numbers, but for classes; yet columns may be called 0, 1, 2 …."""
    numbers = [name for name in header if _NUMBER.fullmatch(name.strip())]
    counted = all(name.strip().isdigit() for name in numbers) and len({*numbers}) == len(numbers)
    return len(numbers) >= max(len(header) - 1, 1) and not counted


def _numbers(
    path: Path, features: "pd.DataFrame", drop: Sequence[str], *, labelled: bool
) -> NDArray[np.float64]:
    from pandas.api.types import is_complex_dtype, is_numeric_dtype, is_object_dtype

    if not len(features.columns):
        raise DataError(f"dataset.path = {path}: no column is left as a feature; drop fewer")
    if unnamed := [str(name) for name in features if _UNNAMED.fullmatch(str(name))]:
        raise DataError(
            f"dataset.path = {path}: {_named(unnamed)}: no name in the header, like row numbers that pandas "
            f"saves; name it if it is a feature, or leave it out with {drop_setting([*drop, *unnamed])}"
        )
    other = [
        str(name)
        for name, kind in features.dtypes.items()
        if (not is_numeric_dtype(kind) or is_complex_dtype(kind))
        and not (is_object_dtype(kind) and features[name].isna().all())
    ]
    if other:
        classes = "" if labelled else f"; the column of classes is named by dataset.label={other[-1]}"
        raise DataError(
            f"dataset.path = {path}: {_named(other)}: not numeric{_example(features[other[0]])}; leave "
            f"missing values empty, or leave out with {drop_setting([*drop, *other])}{classes}"
        )
    x = features.astype(np.float64).to_numpy()
    if infinite := [str(name) for name, bad in zip(features, np.isinf(x).any(axis=0), strict=True) if bad]:
        raise DataError(
            f"dataset.path = {path}: {_named(infinite)}: infinite values; mend the file, or leave out with "
            f"{drop_setting([*drop, *infinite])}"
        )
    return x


def _labels(path: Path, table: "pd.DataFrame", label: str | None) -> tuple[NDArray[np.int64], list[str]]:
    import pandas as pd

    if label is None:
        return np.zeros(len(table), dtype=np.int64), ["0"]
    column = table[label]
    if without := int(column.isna().sum()):
        first = int(np.flatnonzero(column.isna())[0])
        raise DataError(
            f"dataset.label = {label}: {without} rows of {path} have no label, the first is row {first} "
            "(counted from 0); fill them in or remove the rows"
        )
    # Mixed types can't be sorted
    codes, classes = pd.factorize(column if column.dtype != object else column.astype(str), sort=True)
    return codes.astype(np.int64), [str(name) for name in classes]


def _example(column: "pd.Series[Any]") -> str:
    """The first value that no number can be made of."""
    import pandas as pd

    bad = column[pd.to_numeric(column, errors="coerce").isna() & column.notna()]
    return f" ({str(bad.iloc[0])[:20]!r} in row {bad.index[0]}, counted from 0)" if len(bad) else ""


def _nearest(name: str, known: Sequence[str]) -> str:
    """Not all the names: a table may have hundreds of columns."""
    close = get_close_matches(name, known, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(close)}?" if close else f"there are: {listed(known)}"


def _named(names: Sequence[str]) -> str:
    return f"column {names[0]}" if len(names) == 1 else f"columns {listed(names)}"
