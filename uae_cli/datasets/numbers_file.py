"""Published text files of nothing but numbers."""

import subprocess
import warnings
from io import BytesIO
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from uae_cli.errors import DataError


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
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: corrupt or no table of numbers ({reason})") from None
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
        reason = " ".join(error.stderr.decode(errors="replace").split())
        raise DataError(f"{path}: corrupt: {reason}") from None


def _shape(shape: tuple[int, ...]) -> str:
    return f"{shape[0]:,} rows of {shape[1]} values"
