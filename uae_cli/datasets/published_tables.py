"""Published tables: mice's protein levels, what people's phones felt, and spoken letters (Isolet)."""

import zlib
from itertools import product
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass

from uae_cli.datasets.base import Dataset, FileLoader, Places
from uae_cli.datasets.download import PublishedDataset, fetch_from_archive, fetch_openml_csv
from uae_cli.datasets.tabular import (
    FillMean,
    ScalerFit,
    SplitSeed,
    Table,
    check_range,
    read_numbers,
    stratified_split,
    whole_labels,
)
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
FEATURES, LETTERS = 617, 26
_ISOLET_OPENML = "isolet.openml.csv"
N_TRAIN, N_TEST = 6238, 1559
# 120 speakers to train and 30 to test said each letter twice; three recordings were lost.
_PER_LETTER = ((237, 240), (58, 60))


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
    places: ClassVar[Places] = (tuple(f"dataset_uci/{name}" for name in ACTIVITY_SHAPES),)
    publisher: ClassVar[str] = "UCI"
    url: ClassVar[str] = (
        "https://archive.ics.uci.edu/static/public/364/"
        "smartphone+dataset+for+human+activity+recognition+har+in+ambient+assisted+living+aal.zip"
    )

    name: str
    scaler_fit: ScalerFit

    def fetch(self, root: Path) -> None:
        """UCI's archive; only the four files are kept."""
        fetch_from_archive(self.url, ACTIVITY_SHAPES.keys(), root / "dataset_uci")

    def read(self, files: list[Path]) -> Dataset:
        """Check rows, columns and labels; scale and split."""
        x_train, x_test, y_train, y_test = (
            read_numbers(path, shape) for path, shape in zip(files, ACTIVITY_SHAPES.values(), strict=True)
        )
        y = [whole_labels(path, part.ravel(), 6) for path, part in ((files[2], y_train), (files[3], y_test))]
        x = np.concatenate([x_train, x_test])
        train, test = np.arange(len(x_train)), np.arange(len(x_train), len(x))
        table = Table(x, np.concatenate(y), train, test)
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
    places: ClassVar[Places] = (("Data_Cortex_Nuclear.csv",), (_MICE_OPENML,))
    publisher: ClassVar[str] = "OpenML, about 1 MB"
    sha256: ClassVar[dict[str, str]] = {
        "Data_Cortex_Nuclear.csv": "1d6722b089db85dccfcb84d62e7299dcffd17b41223c3da54321890b63fff7ad"
    }

    name: str
    missing: FillMean
    scaler_fit: ScalerFit
    split_seed: SplitSeed

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


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Isolet(PublishedDataset):
    """7,797 utterances of 26 letters, 617 features: float32 (N, 617) in [0, 1], labels 0 to 25.

    6,238 to train (speakers of isolet1 to 4) and 1,559 to test (isolet5), as published and as in the
    paper's Table 6. Read from UCI's two files, as they come or still packed (.Z), or from the table
    that a download from OpenML leaves; its last 1,559 rows are isolet5, which the number of utterances
    per letter confirms. Row numbers count through both files. `scaler_fit`: see `min_max_scale`.
    """

    source: ClassVar[str] = "Isolet, archive.ics.uci.edu/dataset/54"
    expected: ClassVar[str] = "isolet1+2+3+4.data and isolet5.data (or .Z)"
    places: ClassVar[Places] = (
        *product(*((name, f"{name}.Z") for name in ("isolet1+2+3+4.data", "isolet5.data"))),
        (_ISOLET_OPENML,),
    )
    publisher: ClassVar[str] = "OpenML, about 40 MB"

    name: str
    scaler_fit: ScalerFit

    def fetch(self, root: Path) -> None:
        """OpenML's copy, whose MD5 is compared; UCI's own archive holds the packed files."""
        fetch_openml_csv(300, root / _ISOLET_OPENML)

    def read(self, files: list[Path]) -> Dataset:
        """Check rows, columns, range and letters; scale and split."""
        columns = FEATURES + 1
        if len(files) == 1:
            values = read_numbers(files[0], (N_TRAIN + N_TEST, columns), header=True)
        else:
            sizes = zip(files, (N_TRAIN, N_TEST), strict=True)
            values = np.concatenate([read_numbers(path, (rows, columns)) for path, rows in sizes])
        parts = zip((files[0], files[-1]), (values[:N_TRAIN], values[N_TRAIN:]), _PER_LETTER, strict=True)
        y = np.concatenate([_letters(path, part, *per_letter) for path, part, per_letter in parts])
        table = Table(values[:, :-1], y, np.arange(N_TRAIN), np.arange(N_TRAIN, len(y)))
        return table.dataset(name=self.name, scaler_fit=self.scaler_fit, source=self.source)


def _letters(path: Path, part: NDArray[np.float64], low: int, high: int) -> NDArray[np.int64]:
    """The labels of a split's rows, whose values are in range; each letter is there `low` to `high` times."""
    check_range(path, part[:, :-1], -1, 1)
    labels = whole_labels(path, part[:, -1], LETTERS)
    counts = np.bincount(labels, minlength=LETTERS)
    if counts.min() < low or counts.max() > high:
        raise DataError(
            f"{path}: in the {len(labels):,} rows of a split a letter occurs {counts.min()} to "
            f"{counts.max()} times; expected {low} to {high}: these rows aren't in the published order"
        )
    return labels


@dataclass(frozen=True, kw_only=True, config=STRICT)
class IsoletSubset(FileLoader):
    """1,560 of Isolet's 7,797 rows of 617 features, 26 letters, from `isolet_subset.mat` in the root.

    Split 80/20 letter by letter, drawn from `split_seed`, and min–max scaled to [0, 1] by the rows that
    `scaler_fit` names: 'train' (test is clipped), or 'all' as the paper's authors did.
    """

    source: ClassVar[str] = "a subset of UCI Isolet, archive.ics.uci.edu/dataset/54"
    places: ClassVar[Places] = (("isolet_subset.mat",),)
    content: ClassVar[str] = "X (N×617, values in [-1, 1]) and Y (N labels, 1 to 26)"

    name: str
    scaler_fit: ScalerFit
    split_seed: SplitSeed

    def remedy(self, root: Path) -> str:
        """What to put where."""
        return f"put isolet_subset.mat, {self.content}, in {root}"

    def inspect(self, files: list[Path], *, verify: bool) -> str:
        """That it is a part is known before it is read."""
        return super().inspect(files, verify=verify) or _partial(1560)

    def read(self, files: list[Path]) -> Dataset:
        """Check shapes, range and letters; split and scale."""
        (path,) = files
        x, y = self._matrices(path)
        train, test = stratified_split(str(path), y, seed=self.split_seed)
        table = Table(x, y, train, test, note=_partial(len(x)))
        return table.dataset(name=self.name, scaler_fit=self.scaler_fit, source=self.source)

    def _matrices(self, path: Path) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """X (N, 617) in [-1, 1] and Y (N,) from 0 to 25."""
        content = _read_matlab(path)
        if missing := [key for key in ("X", "Y") if key not in content]:
            raise DataError(f"{path}: lacks {' and '.join(missing)}; expected {self.content}")
        x, y, problem = content["X"], content["Y"], ""
        if x.dtype.kind != "f" or x.ndim != 2 or x.shape[1] != FEATURES:
            problem = f"X is {x.dtype} of shape {x.shape}"
        elif y.dtype.kind not in "iuf" or y.size != len(x):
            problem = f"Y is {y.dtype} of shape {y.shape} for {len(x)} rows"
        elif not (np.abs(x) <= 1).all():  # so that NaN fails too
            problem = "X has values outside [-1, 1] or NaN"
        elif not np.isin(y, np.arange(1, LETTERS + 1)).all():
            problem = f"Y has other values than 1 to {LETTERS}"
        if problem:
            raise DataError(f"{path}: {problem}; expected {self.content}")
        return x, y.ravel().astype(np.int64) - 1


def _partial(rows: int) -> str:
    return f"PARTIAL: {rows:,} of Isolet's {N_TRAIN + N_TEST:,} rows."


def _read_matlab(path: Path) -> dict[str, Any]:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        content: dict[str, Any] = loadmat(path, variable_names=["X", "Y"])
    except NotImplementedError as error:
        raise DataError(f"{path}: MATLAB 7.3 files can't be read ({error}); save it with -v7") from None
    # scipy has no error of its own for a damaged file: these are what its parser stumbles with.
    except (MatReadError, zlib.error, ValueError, TypeError, KeyError, EOFError, OSError) as error:
        raise DataError(f"{path}: corrupt or no MATLAB file ({one_line(error)})") from None
    return content
