"""Protein levels in the brains of mice, with values missing."""

from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass

from uae_cli.datasets.base import Dataset
from uae_cli.datasets.download import fetch_openml_csv
from uae_cli.datasets.published import PublishedDataset
from uae_cli.datasets.tabular import FillMean, ScalerFit, SplitSeed, Table, stratified_split
from uae_cli.errors import DataError
from uae_cli.settings import STRICT

UCI_FILE = "Data_Cortex_Nuclear.csv"
OPENML_FILE = "mice_protein.openml.csv"
OPENML_ID = 40966
ROWS, PROTEINS, MISSING = 1080, 77, 1396
# genotype (control, trisomic) – stimulated to learn or not – memantine or saline
CLASSES = ["c-CS-m", "c-CS-s", "c-SC-m", "c-SC-s", "t-CS-m", "t-CS-s", "t-SC-m", "t-SC-s"]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MiceProtein(PublishedDataset):
    """1,080 measurements of 77 proteins, 8 classes: float32 (N, 77) in [0, 1], labels 0 to 7.

    Split 864/216 class by class, drawn from `split_seed`; a mouse was measured 15 times, so both splits
    know it (as in the paper, whose split is a random one). The 1,396 missing values are filled with a
    mean over the rows that `scaler_fit` names: that of the sample's class ('class_mean', as the paper
    did: it lets labels, also of test rows, into the features), or of all classes ('mean').
    """

    source: ClassVar[str] = "Mice Protein Expression, archive.ics.uci.edu/dataset/342"
    expected: ClassVar[str] = f"{UCI_FILE} (UCI's table saved as CSV)"
    publisher: ClassVar[str] = "OpenML, about 1 MB"
    sha256: ClassVar[dict[str, str]] = {
        UCI_FILE: "1d6722b089db85dccfcb84d62e7299dcffd17b41223c3da54321890b63fff7ad"
    }

    name: str
    missing: FillMean
    scaler_fit: ScalerFit
    split_seed: SplitSeed

    def files(self, root: Path) -> list[Path]:
        """UCI's table as CSV, or the one from OpenML."""
        return [path for name in (UCI_FILE, OPENML_FILE) if (path := root / name).is_file()][:1]

    def fetch(self, root: Path) -> None:
        """OpenML's copy, whose MD5 is compared; UCI's own archive holds an Excel file."""
        fetch_openml_csv(OPENML_ID, root / OPENML_FILE)

    def read(self, files: list[Path]) -> Dataset:
        """Check, split, fill and scale.

        Raises:
            DataError: the file is corrupt, or rows, proteins, classes or the number of missing values
                aren't this set's.
        """
        (path,) = files
        x, y, proteins = _read(path)
        train, test = stratified_split(str(path), y, seed=self.split_seed)
        table = Table(x, y, train, test, features=proteins).filled(self.missing, fit=self.scaler_fit)
        return table.dataset(name=self.name, scaler_fit=self.scaler_fit, source=self.source)


def _read(path: Path) -> tuple[NDArray[np.float64], NDArray[np.int64], tuple[str, ...]]:
    import pandas as pd

    try:
        table = pd.read_csv(path)
        proteins = table.filter(regex="_N$").astype(np.float64)
    except (ValueError, OSError) as error:
        raise DataError(f"{path}: corrupt or no CSV file ({' '.join(str(error).split())})") from None
    if "class" not in table or proteins.shape != (ROWS, PROTEINS):
        raise DataError(
            f"{path}: {len(table):,} rows, {proteins.shape[1]} columns named …_N"
            f"{'' if 'class' in table else ', no column class'}; expected {ROWS:,}, {PROTEINS} and class"
        )
    if sorted(table["class"].astype(str).unique()) != CLASSES:
        raise DataError(f"{path}: other classes than {', '.join(CLASSES)}")
    x = proteins.to_numpy()
    if (missing := int(np.isnan(x).sum())) != MISSING:
        raise DataError(f"{path}: {missing:,} values are missing; of the published ones, {MISSING:,} are")
    if not np.nanmin(x) > -1 or not np.nanmax(x) < 20:
        raise DataError(f"{path}: levels from {np.nanmin(x):g} to {np.nanmax(x):g}; expected -0.07 to 8.5")
    y = np.searchsorted(CLASSES, table["class"].astype(str)).astype(np.int64)
    return x, y, tuple(map(str, proteins.columns))
