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
    """Samples and who is who.

    `x` is (N, d) numbers, or (N, *shape) in [0, 1] already; `y` (N,) from 0 up; `train` and `test` are row
    numbers of `x`; `note` will stand beside every result; `features` are the columns' names, if any.
    """

    x: Any
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
        import pandas as pd

        x, means = pd.DataFrame(self.x), "means of their columns"
        seen = x.loc[self.train] if fit == "train" else x
        if missing == "class_mean":
            means = "class means: labels went into the features (missing=mean avoids it)"
            own = {label: seen[self.y[seen.index] == label].mean() for label in np.unique(self.y)}
            x = x.fillna(pd.DataFrame([own[label] for label in self.y]))
        gaps = int(np.isnan(self.x).sum())
        note = f"{gaps:,} of {self.x.size:,} values were missing and are {means}." if gaps else ""
        return replace(self, x=x.fillna(seen.mean()).to_numpy(), note=note)

    def dataset(
        self, *, name: str, source: str, scaler_fit: ScalerFit | None = None, rows: Rows | None = None
    ) -> Dataset:
        """Both parts as a `Dataset`.

        Args:
            name: the dataset's name.
            source: where the data come from.
            scaler_fit: see `min_max_scale`; None for what needs no scaling.
            rows: (N,) numbers of these rows in the source, if they aren't 0 to N−1.
        """
        import torch

        rows = np.arange(len(self.x)) if rows is None else rows
        x_train, x_test = self.x[self.train], self.x[self.test]
        if scaler_fit is not None:
            x_train, x_test = min_max_scale(x_train, x_test, scaler_fit=scaler_fit)
        return Dataset(
            name=name,
            x_train=x_train,
            y_train=torch.from_numpy(self.y[self.train]),
            x_test=x_test,
            y_test=torch.from_numpy(self.y[self.test]),
            source=source,
            note=self.note,
            train_rows=torch.from_numpy(rows[self.train]),
            test_rows=torch.from_numpy(rows[self.test]),
            features=self.features,
        )


def stratified_split(what: str, labels: Rows, *, seed: int) -> tuple[Rows, Rows]:
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


def random_split(n: int, *, seed: int, labels: Rows | None = None) -> tuple[Rows, Rows]:
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
        found, expected = (f"{rows:,} rows of {columns} values" for rows, columns in (table.shape, shape))
        raise DataError(f"{path}: {found}; expected {expected}")
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
