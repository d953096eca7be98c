"""A user's own table, CSV or Parquet: numbers and labels, or a line that says what is wrong with it."""

import csv
import re
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass

from uae_cli.datasets.base import Dataset, OwnFile
from uae_cli.datasets.tabular import Rows, ScalerFit, SplitSeed, Table, random_split, stratified_split
from uae_cli.errors import ConfigError, DataError
from uae_cli.settings import STRICT
from uae_cli.text import listed, nearest, one_line

if TYPE_CHECKING:
    import pandas as pd

MIN_ROWS = 10
_UNNAMED = re.compile(r"Unnamed: \d+")  # what pandas calls a column without a name
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
# A column may be called 7
Column = Annotated[str, Field(coerce_numbers_to_str=True)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class CsvTable(OwnFile):
    """The numeric columns of the table at `path`: float32 (N, d), min–max scaled to [0, 1].

    Row numbers count the table's rows below the header, from 0.

    Attributes:
        name: as results call it.
        path: a comma-separated file with a header line, packed or not; or Parquet (`.parquet`, `.pq`).
        label: the column of classes, of any type; becomes 0, 1, … in sorted order. None: all 0.
        drop: columns to leave out.
        missing: empty cells become the column's 'mean' or, using the labels, the 'class_mean' (see
            `Table.filled`); or 'drop' leaves out the row.
        scaler_fit: the rows that means and scaling are taken from; see `min_max_scale`.
        split_seed: draws the split, 80 % to train; class by class where there are labels.
    """

    expected: ClassVar[str] = "a CSV or Parquet file"
    example: ClassVar[str] = "my.csv"

    name: str
    path: Path | None
    label: Column | None
    drop: list[Column]
    missing: Literal["mean", "class_mean", "drop"]
    scaler_fit: ScalerFit
    split_seed: SplitSeed

    def read(self, files: list[Path]) -> Dataset:
        """Read, split, fill and scale.

        Raises:
            ConfigError: no path is given, a column that a setting names isn't there, or the settings
                are at odds.
            DataError: the file can't be read, or holds what can't be used; says which columns.
        """
        (path,) = files
        if self.missing == "class_mean" and self.label is None:
            raise ConfigError("dataset.missing = class_mean: needs dataset.label=COLUMN; or use mean or drop")
        table = read_table(path)
        features, total = self._features(path, table), len(table)
        if self.missing == "drop":
            features = features.dropna()
        if (left := len(features)) < MIN_ROWS:
            few = f"{total} rows" if left == total else f"{left} of {total} rows have no empty cell"
            raise DataError(f"dataset.path = {path}: only {few}; at least {MIN_ROWS} are needed")
        self._refuse_constant(path, features)
        x, rows = features.to_numpy(), features.index.to_numpy()
        y, classes = self._labels(path, table, rows)
        out = f"{total - left:,} of {total:,} rows had empty cells and were left out." if left < total else ""
        made = Table(x, y, *self._split(path, y, classes), note=out, features=tuple(features.columns))
        if self.missing != "drop":
            made = made.filled(self.missing, fit=self.scaler_fit)
        if gaps := [*features.columns[np.isnan(made.x).any(axis=0).tolist()]]:
            raise self._refusal(path, gaps, "no value in any training row, so there is no mean to fill in")
        return made.dataset(name=self.name, scaler_fit=self.scaler_fit, source=str(path), rows=rows)

    def _features(self, path: Path, table: "pd.DataFrame") -> "pd.DataFrame":
        """All columns but the label's and those to drop, float64."""
        known, label = list(table.columns), [] if self.label is None else [self.label]
        for setting, names in (("drop", self.drop), ("label", label)):
            if absent := [name for name in names if name not in known]:
                place = f"no such column in {path}; {nearest(absent[0], known)}"
                raise ConfigError(f"dataset.{setting} = {absent[0]}: {place}")
        if self.label in self.drop:
            raise ConfigError(
                f"dataset.drop = {self.label}: is dataset.label too; take it out of one of them"
            )
        features = table.drop(columns=[*self.drop, *label])
        if not (columns := list(features.columns)):
            raise DataError(f"dataset.path = {path}: no column is left as a feature; drop fewer")
        if unnamed := [name for name in columns if _UNNAMED.fullmatch(name)]:
            why = "no name in the header, like row numbers that pandas saves; name it if it is a feature"
            raise self._refusal(path, unnamed, why)
        if other := [name for name in columns if not _is_numeric(features[name])]:
            why = f"not numeric{_example(features[other[0]])}; leave missing values empty"
            error = self._refusal(path, other, why)
            classes = f"; the column of classes is named by dataset.label={other[-1]}"
            raise error if label else DataError(f"{error}{classes}")
        numbers = features.astype(np.float64)
        if infinite := [*numbers.columns[np.isinf(numbers.to_numpy()).any(axis=0)]]:
            raise self._refusal(path, infinite, "infinite values; mend the file")
        return numbers

    def _labels(
        self, path: Path, table: "pd.DataFrame", rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], list[str]]:
        """The classes of these rows, counted from 0, and their names; all 0 without a label."""
        import pandas as pd

        if self.label is None:
            return np.zeros(len(rows), dtype=np.int64), ["0"]
        column = table[self.label]
        if len(without := np.flatnonzero(column.isna())):
            raise DataError(
                f"dataset.label = {self.label}: {len(without)} rows of {path} have no label, the first is "
                f"row {without[0]} (counted from 0); fill them in or remove the rows"
            )
        # Mixed types can't be sorted
        column = column if column.dtype != object else column.astype(str)
        codes, classes = pd.factorize(column[rows], sort=True)
        return codes.astype(np.int64), [str(name) for name in classes]

    def _refuse_constant(self, path: Path, features: "pd.DataFrame") -> None:
        if empty := [*features.columns[features.isna().all()]]:
            raise self._refusal(path, empty, "empty, so there is no mean to fill in")
        if constant := [*features.columns[features.min() == features.max()]]:
            raise self._refusal(path, constant, "one value only, from which nothing can be learned")

    def _refusal(self, path: Path, columns: Sequence[str], why: str) -> DataError:
        way = _drop_setting([*self.drop, *columns])
        return DataError(f"dataset.path = {path}: {_named(columns)}: {why}; leave out with {way}")

    def _split(self, path: Path, y: NDArray[np.int64], classes: Sequence[str]) -> tuple[Rows, Rows]:
        if self.label is None:
            return random_split(len(y), seed=self.split_seed)
        without = f"or go without labels: dataset.label=null {_drop_setting([*self.drop, self.label])}"
        counts = np.bincount(y)
        if single := [name for name, count in zip(classes, counts, strict=True) if count == 1]:
            raise DataError(
                f"dataset.label = {self.label}: {listed(single)} has a single row in {path}, so no split "
                f"can have it in both parts; merge or remove such classes, {without}"
            )
        try:
            return stratified_split(str(path), y, seed=self.split_seed)
        except DataError:
            raise DataError(
                f"dataset.label = {self.label}: {len(counts)} classes in {len(y)} rows of {path}: too many "
                f"to have each in the test split (20 %); give more rows, {without}"
            ) from None


def read_table(path: Path) -> "pd.DataFrame":
    """The table of a CSV or Parquet file, its columns called by strings and its rows by numbers from 0.

    Raises:
        DataError: it can't be read, is empty, or has no header of different names.
    """
    import pandas as pd

    parquet = path.suffix.lower() in (".parquet", ".pq")
    try:
        table = pd.read_parquet(path).reset_index(drop=True) if parquet else _read_csv(path)
    except ImportError:
        raise DataError(
            f"dataset.path = {path}: reading Parquet needs pyarrow; pip install pyarrow, or save it as CSV"
        ) from None
    # pandas' and pyarrow's own errors for what is no table are ValueErrors; what pandas itself wrote beside a
    # Parquet's columns it takes for granted
    except (
        ValueError,
        OSError,
        EOFError,
        LookupError,
        TypeError,
        csv.Error,
        pd.errors.ParserWarning,
    ) as error:
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
    problem = ""
    if len(header) == 1 and any(mark in header[0] for mark in ";\t"):
        problem = "columns must be separated by commas; save it so"
    elif _holds_data(header):
        problem = f"the first line is numbers ({listed(header)}), not names; put a line of names above it"
    elif twice := sorted({name for name in header if header.count(name) > 1}):
        problem = f"{_named(twice)}: more than once in the header; rename"
    if problem:
        raise DataError(f"dataset.path = {path}: {problem}")
    with warnings.catch_warnings():
        # Rows longer than the header, which pandas would cut off with a mere warning
        warnings.simplefilter("error", pd.errors.ParserWarning)
        return pd.read_csv(path, index_col=False)


def _holds_data(header: Sequence[str]) -> bool:
    """Whether the first line is no header: numbers, but for classes; yet columns may be called 0, 1, 2 …."""
    numbers = [name for name in header if _NUMBER.fullmatch(name.strip())]
    counted = all(name.strip().isdigit() for name in numbers) and len({*numbers}) == len(numbers)
    return len(numbers) >= max(len(header) - 1, 1) and not counted


def _is_numeric(column: "pd.Series[Any]") -> bool:
    """Whether numbers can be made of a column; of an empty one they can."""
    from pandas.api.types import is_complex_dtype, is_numeric_dtype, is_object_dtype

    if is_numeric_dtype(column.dtype):
        return not is_complex_dtype(column.dtype)
    return is_object_dtype(column.dtype) and bool(column.isna().all())


def _example(column: "pd.Series[Any]") -> str:
    """The first value that no number can be made of."""
    import pandas as pd

    bad = column[pd.to_numeric(column, errors="coerce").isna() & column.notna()]
    return f" ({str(bad.iloc[0])[:20]!r} in row {bad.index[0]}, counted from 0)" if len(bad) else ""


def _named(names: Sequence[str]) -> str:
    return f"column {names[0]}" if len(names) == 1 else f"columns {listed(names)}"


def _drop_setting(names: Iterable[str]) -> str:
    """`dataset.drop=[…]` as a shell and Hydra take it: quoted where a name needs it."""
    every = list(names)
    if all(re.fullmatch(r"[\w.-]+", name) for name in every):
        return f"dataset.drop=[{','.join(every)}]"
    quoted = ",".join('"' + name.replace('"', '\\"') + '"' for name in every)
    return f"'dataset.drop=[{quoted}]'"
