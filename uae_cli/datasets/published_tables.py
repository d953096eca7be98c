"""Tables published as text: mice's protein levels and what people's phones felt; and reading such files."""

import subprocess
import warnings
from io import BytesIO
from pathlib import Path
from typing import IO, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass

from uae_cli.datasets.base import Dataset
from uae_cli.datasets.download import PublishedDataset, fetch_from_archive, fetch_openml_csv
from uae_cli.datasets.tabular import FillMean, ScalerFit, SplitSeed, Table, published_split, stratified_split
from uae_cli.errors import DataError
from uae_cli.settings import STRICT
from uae_cli.text import one_line

ACTIVITY_SHAPES = {
    "final_X_train.txt": (4252, 561),
    "final_X_test.txt": (1492, 561),
    "final_y_train.txt": (4252, 1),
    "final_y_test.txt": (1492, 1),
}
# genotype (control, trisomic) – stimulated to learn or not – memantine or saline
MICE_CLASSES = ["c-CS-m", "c-CS-s", "c-SC-m", "c-SC-s", "t-CS-m", "t-CS-s", "t-SC-m", "t-SC-s"]
_MICE_OPENML = "mice_protein.openml.csv"
_MICE, _PROTEINS, _MISSING = 1080, 77, 1396


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Activity(PublishedDataset):
    """Smartphone Dataset for Human Activity Recognition in Ambient Assisted Living (UCI 364, 2016).

    Float32 (N, 561) in [0, 1], labels 0 to 5; the published split of 4,252 to train and 1,492 to test,
    which is the paper's. (The better-known set of 10,299 rows, UCI 240, has the same features but other
    recordings.) Row numbers count through the training file, then the test file. `scaler_fit`: see
    `min_max_scale`.
    """

    source: ClassVar[str] = "Smartphone Dataset for HAR in AAL, archive.ics.uci.edu/dataset/364"
    expected: ClassVar[str] = f"dataset_uci/ with {', '.join(ACTIVITY_SHAPES)}"
    publisher: ClassVar[str] = "UCI"
    url: ClassVar[str] = (
        "https://archive.ics.uci.edu/static/public/364/"
        "smartphone+dataset+for+human+activity+recognition+har+in+ambient+assisted+living+aal.zip"
    )

    name: str
    scaler_fit: ScalerFit

    def wanted(self, root: Path) -> list[Path]:
        """The four text files in `dataset_uci/`, where the archive puts them."""
        return [root / "dataset_uci" / name for name in ACTIVITY_SHAPES]

    def fetch(self, root: Path) -> None:
        """UCI's archive; only the four files are kept."""
        fetch_from_archive(self.url, ACTIVITY_SHAPES.keys(), root / "dataset_uci")

    def read(self, files: list[Path]) -> Dataset:
        """Check rows, columns and labels; scale and split."""
        x_train, x_test, y_train, y_test = (
            read_numbers(path, shape) for path, shape in zip(files, ACTIVITY_SHAPES.values(), strict=True)
        )
        x = np.concatenate([x_train, x_test])
        y = [whole_labels(path, part.ravel(), 6) for path, part in ((files[2], y_train), (files[3], y_test))]
        table = Table(x, np.concatenate(y), *published_split(len(x_train), len(x)))
        return table.dataset(name=self.name, scaler_fit=self.scaler_fit, source=self.source)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MiceProtein(PublishedDataset):
    """1,080 measurements of 77 proteins, 8 classes: float32 (N, 77) in [0, 1], labels 0 to 7.

    Split 864/216 class by class, drawn from `split_seed`; a mouse was measured 15 times, so both splits
    know it (as in the paper, whose split is a random one). The 1,396 missing values are filled with a
    mean over the rows that `scaler_fit` names: that of the sample's class ('class_mean', as the paper
    did: it lets labels, also of test rows, into the features), or of all classes ('mean').
    """

    source: ClassVar[str] = "Mice Protein Expression, archive.ics.uci.edu/dataset/342"
    expected: ClassVar[str] = "Data_Cortex_Nuclear.csv (UCI's table saved as CSV)"
    publisher: ClassVar[str] = "OpenML, about 1 MB"
    sha256: ClassVar[dict[str, str]] = {
        "Data_Cortex_Nuclear.csv": "1d6722b089db85dccfcb84d62e7299dcffd17b41223c3da54321890b63fff7ad"
    }

    name: str
    missing: FillMean
    scaler_fit: ScalerFit
    split_seed: SplitSeed

    def wanted(self, root: Path) -> list[Path]:
        """UCI's table as CSV, or the one from OpenML where that is all there is."""
        uci, openml = root / "Data_Cortex_Nuclear.csv", root / _MICE_OPENML
        return [openml if openml.is_file() and not uci.is_file() else uci]

    def fetch(self, root: Path) -> None:
        """OpenML's copy, whose MD5 is compared; UCI's own archive holds an Excel file."""
        fetch_openml_csv(40966, root / _MICE_OPENML)

    def read(self, files: list[Path]) -> Dataset:
        """Check rows, proteins, classes and the number of missing values; split, fill and scale."""
        (path,) = files
        x, y, proteins = _read_mice(path)
        train, test = stratified_split(str(path), y, seed=self.split_seed)
        table = Table(x, y, train, test, features=proteins).filled(self.missing, fit=self.scaler_fit)
        return table.dataset(name=self.name, scaler_fit=self.scaler_fit, source=self.source)


def _read_mice(path: Path) -> tuple[NDArray[np.float64], NDArray[np.int64], tuple[str, ...]]:
    """Levels (1080, 77), NaN where one is missing, classes (1080,) and the proteins' names."""
    import pandas as pd

    try:
        table = pd.read_csv(path)
        proteins = table.filter(regex="_N$").astype(np.float64)
    except (ValueError, OSError) as error:
        raise DataError(f"{path}: corrupt or no CSV file ({one_line(error)})") from None
    if "class" not in table or proteins.shape != (_MICE, _PROTEINS):
        raise DataError(
            f"{path}: {len(table):,} rows, {proteins.shape[1]} columns named …_N"
            f"{'' if 'class' in table else ', no column class'}; expected {_MICE:,}, {_PROTEINS} and class"
        )
    if sorted(table["class"].astype(str).unique()) != MICE_CLASSES:
        raise DataError(f"{path}: other classes than {', '.join(MICE_CLASSES)}")
    x = proteins.to_numpy()
    if (missing := int(np.isnan(x).sum())) != _MISSING:
        raise DataError(f"{path}: {missing:,} values are missing; of the published ones, {_MISSING:,} are")
    if not np.nanmin(x) > -1 or not np.nanmax(x) < 20:
        raise DataError(f"{path}: levels from {np.nanmin(x):g} to {np.nanmax(x):g}; expected -0.07 to 8.5")
    y = np.searchsorted(MICE_CLASSES, table["class"].astype(str)).astype(np.int64)
    return x, y, tuple(map(str, proteins.columns))


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
