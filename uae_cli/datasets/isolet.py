"""Spoken letters: the complete Isolet."""

from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass

from uae_cli.datasets.base import Dataset
from uae_cli.datasets.download import fetch_openml_csv
from uae_cli.datasets.numbers_file import check_range, read_numbers, whole_labels
from uae_cli.datasets.published import PublishedDataset
from uae_cli.datasets.tabular import ScalerFit, Table
from uae_cli.errors import DataError
from uae_cli.settings import STRICT

FEATURES, LETTERS = 617, 26
N_TRAIN, N_TEST = 6238, 1559
UCI_FILES = ("isolet1+2+3+4.data", "isolet5.data")
OPENML_FILE = "isolet.openml.csv"
OPENML_ID = 300
# 120 speakers to train and 30 to test said each letter twice; three recordings were lost.
PER_LETTER = ((237, 240), (58, 60))


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Isolet(PublishedDataset):
    """7,797 utterances of 26 letters, 617 features: float32 (N, 617) in [0, 1], labels 0 to 25.

    6,238 to train (speakers of isolet1 to 4) and 1,559 to test (isolet5), as published and as in the
    paper's Table 6. Read from UCI's two files, as they come or still packed (.Z), or from the table
    that a download from OpenML leaves; its last 1,559 rows are isolet5, which the number of utterances
    per letter confirms. Row numbers count through both files. `scaler_fit`: see `min_max_scale`.
    """

    source: ClassVar[str] = "Isolet, archive.ics.uci.edu/dataset/54"
    expected: ClassVar[str] = f"{' and '.join(UCI_FILES)} (or .Z)"
    publisher: ClassVar[str] = "OpenML, about 40 MB"

    name: str
    scaler_fit: ScalerFit

    def files(self, root: Path) -> list[Path]:
        """UCI's two files, each plain or .Z; or else the one table from OpenML."""
        pair = [_either(root / name, root / f"{name}.Z") for name in UCI_FILES]
        found = [path for path in pair if path is not None]
        if len(found) == len(pair):
            return found
        return [root / OPENML_FILE] if (root / OPENML_FILE).is_file() else []

    def fetch(self, root: Path) -> None:
        """OpenML's copy, whose MD5 is compared; UCI's own archive holds the packed files."""
        fetch_openml_csv(OPENML_ID, root / OPENML_FILE)

    def read(self, files: list[Path]) -> Dataset:
        """Check, scale and split.

        Raises:
            DataError: a file is corrupt, or rows, columns, range or labels aren't Isolet's.
        """
        columns = FEATURES + 1
        if len(files) == 1:
            values = read_numbers(files[0], (N_TRAIN + N_TEST, columns), header=True)
        else:
            train, test = (
                read_numbers(p, (n, columns)) for p, n in zip(files, (N_TRAIN, N_TEST), strict=True)
            )
            values = np.concatenate([train, test])
        parts = [values[:N_TRAIN], values[N_TRAIN:]]
        places = zip((files * 2)[:2], parts, PER_LETTER, strict=True)
        y = np.concatenate([_checked(path, part, per_letter) for path, part, per_letter in places])
        rows = np.arange(len(y))
        table = Table(values[:, :-1], y, rows[:N_TRAIN], rows[N_TRAIN:])
        return table.dataset(name=self.name, scaler_fit=self.scaler_fit, source=self.source)


def _either(*paths: Path) -> Path | None:
    return next((path for path in paths if path.is_file()), None)


def _checked(path: Path, part: NDArray[np.float64], per_letter: tuple[int, int]) -> NDArray[np.int64]:
    """The labels of a split's rows, whose values are in range."""
    check_range(path, part[:, :-1], -1, 1)
    labels = whole_labels(path, part[:, -1], LETTERS)
    _check_letters(path, labels, *per_letter)
    return labels


def _check_letters(path: Path, labels: NDArray[np.int64], low: int, high: int) -> None:
    counts = np.bincount(labels, minlength=LETTERS)
    if counts.min() < low or counts.max() > high:
        raise DataError(
            f"{path}: in the {len(labels):,} rows of a split a letter occurs {counts.min()} to "
            f"{counts.max()} times; expected {low} to {high}: these rows aren't in the published order"
        )
