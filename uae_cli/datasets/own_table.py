"""A user's own table, CSV or Parquet."""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from uae_cli.datasets.base import Availability, Dataset
from uae_cli.datasets.frames import Frame, drop_setting, listed, read_frame
from uae_cli.datasets.tabular import (
    Rows,
    ScalerFit,
    SplitSeed,
    Table,
    random_split,
    stratified_split,
)
from uae_cli.errors import ConfigError, DataError
from uae_cli.settings import STRICT

MIN_ROWS = 10
# A column may be called 7
Column = Annotated[str, Field(coerce_numbers_to_str=True)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class CsvTable:
    """The numeric columns of the table at `path`: float32 (N, d), min–max scaled to [0, 1].

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

    name: str
    path: Path | None
    label: Column | None
    drop: list[Column]
    missing: Literal["mean", "class_mean", "drop"]
    scaler_fit: ScalerFit
    split_seed: SplitSeed

    def check(self, root: Path, *, verify: bool) -> Availability:
        """Whether the file is there; with `verify`, whether it can be used. `root` plays no part."""
        path = self._path()
        present = path.is_file()
        problem = ""
        if present and verify:
            try:
                self.load(root, download=False)
            except (ConfigError, DataError) as error:
                problem = str(error)
        return Availability(
            present=present,
            path=path,
            size_bytes=path.stat().st_size if present else 0,
            source=str(path),
            problem=problem,
        )

    def load(self, root: Path, *, download: bool) -> Dataset:  # noqa: ARG002 - the file is where the user says
        """Read, split, fill and scale. Row numbers count the table's rows below the header, from 0.

        Raises:
            ConfigError: no path is given, a column that a setting names isn't there, or the settings
                are at odds.
            DataError: the file can't be read, or holds what can't be used; says which columns.
        """
        path = self._path()
        if self.missing == "class_mean" and self.label is None:
            raise ConfigError("dataset.missing = class_mean: needs dataset.label=COLUMN; or use mean or drop")
        frame = read_frame(path, label=self.label, drop=self.drop)
        if self.missing == "drop":
            frame = frame.without_gaps()
        if len(frame.x) < MIN_ROWS:
            raise DataError(f"dataset.path = {path}: {frame.rows_left}; at least {MIN_ROWS} are needed")
        frame.refuse_constant()
        train, test = self._split(path, frame)
        table = Table(frame.x, frame.y, train, test, note=frame.left_out, features=tuple(frame.columns))
        if self.missing != "drop":
            table = table.filled(self.missing, fit=self.scaler_fit)
        frame.refuse_gaps(table.x)
        return table.dataset(
            name=self.name,
            scaler_fit=self.scaler_fit,
            source=str(path),
            rows=frame.rows,
        )

    def _path(self) -> Path:
        if self.path is None:
            raise ConfigError("dataset.path: must be given, e.g. dataset.path=my.csv")
        return self.path.expanduser()

    def _split(self, path: Path, frame: Frame) -> tuple[Rows, Rows]:
        if self.label is None:
            return random_split(len(frame.x), seed=self.split_seed)
        without = f"dataset.label=null {drop_setting([*self.drop, self.label])}"
        counts = np.bincount(frame.y)
        if single := [frame.classes[label] for label in np.flatnonzero(counts == 1)]:
            raise DataError(
                f"dataset.label = {self.label}: {listed(single)} has a single row in {path}, so no split can "
                f"have it in both parts; merge or remove such classes, or go without labels: {without}"
            )
        try:
            return stratified_split(str(path), frame.y, seed=self.split_seed)
        except DataError:
            raise DataError(
                f"dataset.label = {self.label}: {len(counts)} classes in {len(frame.y)} rows of {path}: too "
                f"many to have each in the test split (20 %); give more rows, or go without labels: {without}"
            ) from None
