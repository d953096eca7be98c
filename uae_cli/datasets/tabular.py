"""What every table needs: numbers read and checked, a split, no missing values, and scaling to [0, 1]."""

import subprocess
import warnings
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from uae_cli.datasets.base import Dataset
from uae_cli.errors import DataError
from uae_cli.text import one_line

if TYPE_CHECKING:
    from torch import Tensor

# On which rows minima, maxima and means are taken: 'train' keeps the test rows unseen, 'all' does as the
# paper's authors did.
ScalerFit = Literal["train", "all"]
FillMean = Literal["mean", "class_mean"]
# What scikit-learn's splitter takes
SplitSeed = Annotated[int, Field(ge=0, lt=2**32)]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Table:
    """Rows of numbers and who is who.

    `x` is (N, d), `y` (N,) from 0 up, `train` and `test` are row numbers of `x`; `note` will stand beside
    every result; `features` are the columns' names, where they have names.
    """

    x: NDArray[np.float64]
    y: NDArray[np.int64]
    train: Rows
    test: Rows
    note: str = ""
    features: tuple[str, ...] = ()

    def filled(self, missing: FillMean, *, fit: ScalerFit) -> "Table":
        """Every NaN replaced by its feature's mean over the rows that `fit` names.

        'class_mean' takes the mean of the sample's own class, as the paper did for Mice Protein: it uses
        labels, those of the test rows too. Where a class has no value, the mean over all classes stands
        in; a feature without any value stays NaN.
        """
        seen = np.zeros(len(self.x), dtype=bool)
        seen[self.train] = True
        seen |= fit == "all"
        x = self.x.copy()
        if missing == "class_mean":
            for label in np.unique(self.y):
                of_class = self.y == label
                x[of_class] = _fill(x[of_class], _means(self.x[of_class & seen]))
        return replace(self, x=_fill(x, _means(self.x[seen])), note=_filling(self.x, missing))

    def dataset(self, *, name: str, scaler_fit: ScalerFit, source: str, rows: Rows | None = None) -> Dataset:
        """Min–max scaled, as a `Dataset`.

        Args:
            name: the dataset's name.
            scaler_fit: see `min_max_scale`.
            source: where the data come from.
            rows: (N,) numbers of these rows in the source, if they aren't 0 to N−1.
        """
        parts = min_max_scale(self.x[self.train], self.x[self.test], scaler_fit=scaler_fit)
        numbers = np.arange(len(self.x)) if rows is None else rows
        made = _dataset(*parts, self.y, (self.train, self.test), numbers, name, source)
        return replace(made, note=self.note, features=self.features)


def published_split(n_train: int, n: int) -> tuple[Rows, Rows]:
    """Row numbers of `n` rows of which the first `n_train` are to train."""
    return np.arange(n_train), np.arange(n_train, n)


def stratified_split(what: str, labels: NDArray[np.int64], *, seed: int) -> tuple[Rows, Rows]:
    """Row numbers of the train (80 %) and test (20 %) split; every class is split alike.

    `labels` is (N,); `what` names the data in messages; the same `seed` gives the same split.

    Raises:
        DataError: a class has a single row, or the test split has fewer rows than there are classes.
    """
    try:
        return random_split(len(labels), seed=seed, labels=labels)
    except ValueError as error:
        raise DataError(
            f"{what}: can't be split 80/20 class by class ({one_line(error)}); give more rows"
        ) from None


def stratified_dataset(
    what: str, x: "Tensor", labels: NDArray[np.int64], *, seed: int, name: str, source: str
) -> Dataset:
    """Samples x (N, *shape) in [0, 1] that need no scaling, split by `stratified_split` with its errors."""
    split = train, test = stratified_split(what, labels, seed=seed)
    return _dataset(x[train], x[test], labels, split, np.arange(len(x)), name, source)


def random_split(n: int, *, seed: int, labels: NDArray[np.int64] | None = None) -> tuple[Rows, Rows]:
    """Row numbers of the train (80 %) and test (20 %) split of `n` rows, class by class with labels (n,)."""
    from sklearn.model_selection import train_test_split

    train, test = train_test_split(np.arange(n), test_size=0.2, random_state=seed, stratify=labels)
    return train, test


def min_max_scale(
    x_train: NDArray[Any], x_test: NDArray[Any], *, scaler_fit: ScalerFit
) -> "tuple[Tensor, Tensor]":
    """Both splits, (N, d), as float32 in [0, 1], each feature scaled by the rows `scaler_fit` names.

    What the fit has not seen is clipped to [0, 1]. A constant feature becomes 0; NaN stays NaN.
    """
    import torch
    from sklearn.preprocessing import MinMaxScaler

    seen = x_train if scaler_fit == "train" else np.concatenate([x_train, x_test])
    scaler = MinMaxScaler(clip=True).fit(seen)
    train, test = (torch.from_numpy(scaler.transform(x).astype(np.float32)) for x in (x_train, x_test))
    return train, test


def _dataset(
    x_train: "Tensor", x_test: "Tensor", y: Rows, split: tuple[Rows, Rows], rows: Rows, name: str, source: str
) -> Dataset:
    """Both parts with the labels and the row numbers that `split` chooses from those of all rows."""
    import torch

    train, test = split
    return Dataset(
        name=name,
        x_train=x_train,
        y_train=torch.from_numpy(y[train]),
        x_test=x_test,
        y_test=torch.from_numpy(y[test]),
        source=source,
        train_rows=torch.from_numpy(rows[train]),
        test_rows=torch.from_numpy(rows[test]),
    )


def _filling(x: NDArray[np.float64], missing: FillMean) -> str:
    gaps = int(np.isnan(x).sum())
    if not gaps:
        return ""
    means = "means of their columns"
    if missing == "class_mean":
        means = "class means: labels went into the features (missing=mean avoids it)"
    return f"{gaps:,} of {x.size:,} values were missing and are {means}."


def _means(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of each column without its NaNs; NaN where nothing is left (np.nanmean warns of that)."""
    count = (~np.isnan(x)).sum(axis=0)
    means = np.full(x.shape[1], np.nan)
    np.divide(np.nansum(x, axis=0), count, out=means, where=count > 0)
    return means


def _fill(x: NDArray[np.float64], means: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.isnan(x), means, x)


def read_numbers(path: Path, shape: tuple[int, int], *, header: bool = False) -> NDArray[np.float64]:
    """The numbers of a comma-separated file, float64 of shape (rows, columns); `.Z` is unpacked first.

    Raises:
        DataError: the file can't be read, or has another shape, or a value that is no finite number.
    """
    import pandas as pd

    try:
        content: Path | IO[bytes] = BytesIO(_uncompressed(path)) if path.suffix == ".Z" else path
        # index_col=False: a row one value too long must not turn the first column into row names
        with warnings.catch_warnings():
            # Of rows longer than the first, which it would cut off
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table = pd.read_csv(content, header=0 if header else None, index_col=False, dtype=np.float64)
    # pandas' own errors for what is no table are ValueErrors
    except (ValueError, OSError, pd.errors.ParserWarning) as error:
        raise DataError(f"{path}: corrupt or no table of numbers ({one_line(error)})") from None
    if table.shape != shape:
        raise DataError(f"{path}: {_shape(table.shape)}; expected {_shape(shape)}")
    values = table.to_numpy()
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise DataError(f"{path}: no finite number in row {row + 1}, column {column + 1}")
    return values


def whole_labels(path: Path, labels: NDArray[np.float64], classes: int) -> NDArray[np.int64]:
    """Labels 1 to `classes`, as int64 from 0.

    Raises:
        DataError: there are other labels, or one of these occurs nowhere.
    """
    if not np.array_equal(np.unique(labels), np.arange(1, classes + 1)):
        raise DataError(f"{path}: the labels aren't 1 to {classes}, each of them at least once")
    return labels.astype(np.int64) - 1


def check_range(path: Path, values: NDArray[np.float64], low: float, high: float) -> None:
    """Refuse values outside [low, high].

    Raises:
        DataError: naming the range found.
    """
    if values.min() < low or values.max() > high:
        raise DataError(
            f"{path}: values from {values.min():g} to {values.max():g}; expected [{low:g}, {high:g}]"
        )


def _uncompressed(path: Path) -> bytes:
    """Unix compress, which Python's library doesn't know and gzip does."""
    try:
        return subprocess.run(["gzip", "-dc", str(path)], check=True, capture_output=True).stdout
    except FileNotFoundError:
        raise DataError(
            f"{path}: unpacking it needs gzip, which isn't installed; unpack it yourself"
        ) from None
    except subprocess.CalledProcessError as error:
        raise DataError(f"{path}: corrupt: {one_line(error.stderr.decode(errors='replace'))}") from None


def _shape(shape: tuple[int, ...]) -> str:
    return f"{shape[0]:,} rows of {shape[1]} values"
