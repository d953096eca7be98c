"""What people do, told from the phone at their waist."""

from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic.dataclasses import dataclass

from uae_cli.datasets.base import Dataset
from uae_cli.datasets.download import fetch_from_archive
from uae_cli.datasets.numbers_file import read_numbers, whole_labels
from uae_cli.datasets.published import PublishedDataset
from uae_cli.datasets.tabular import ScalerFit, Table
from uae_cli.settings import STRICT

URL = (
    "https://archive.ics.uci.edu/static/public/364/"
    "smartphone+dataset+for+human+activity+recognition+har+in+ambient+assisted+living+aal.zip"
)
FOLDER = "dataset_uci"
FEATURES, ACTIVITIES = 561, 6
N_TRAIN, N_TEST = 4252, 1492
SHAPES = {
    "final_X_train.txt": (N_TRAIN, FEATURES),
    "final_X_test.txt": (N_TEST, FEATURES),
    "final_y_train.txt": (N_TRAIN, 1),
    "final_y_test.txt": (N_TEST, 1),
}


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Activity(PublishedDataset):
    """Smartphone Dataset for Human Activity Recognition in Ambient Assisted Living (UCI 364, 2016).

    Float32 (N, 561) in [0, 1], labels 0 to 5; the published split of 4,252 to train and 1,492 to test,
    which is the paper's. (The better-known set of 10,299 rows, UCI 240, has the same features but other
    recordings.) Row numbers count through the training file, then the test file. `scaler_fit`: see
    `min_max_scale`.
    """

    source: ClassVar[str] = "Smartphone Dataset for HAR in AAL, archive.ics.uci.edu/dataset/364"
    expected: ClassVar[str] = f"{FOLDER}/ with {', '.join(SHAPES)}"
    publisher: ClassVar[str] = "UCI"

    name: str
    scaler_fit: ScalerFit

    def files(self, root: Path) -> list[Path]:
        """The four text files in `dataset_uci/`, where the archive puts them."""
        paths = [root / FOLDER / name for name in SHAPES]
        return paths if all(path.is_file() for path in paths) else []

    def fetch(self, root: Path) -> None:
        """UCI's archive; only the four files are kept."""
        fetch_from_archive(URL, SHAPES.keys(), root / FOLDER)

    def read(self, files: list[Path]) -> Dataset:
        """Check, scale and split.

        Raises:
            DataError: a file is corrupt, or rows, columns or labels aren't this set's.
        """
        x_train, x_test, y_train, y_test = (
            read_numbers(path, shape) for path, shape in zip(files, SHAPES.values(), strict=True)
        )
        labels = [
            whole_labels(path, y.ravel(), ACTIVITIES)
            for path, y in zip(files[2:], (y_train, y_test), strict=True)
        ]
        rows = np.arange(N_TRAIN + N_TEST)
        table = Table(
            np.concatenate([x_train, x_test]), np.concatenate(labels), rows[:N_TRAIN], rows[N_TRAIN:]
        )
        return table.dataset(name=self.name, scaler_fit=self.scaler_fit, source=self.source)
