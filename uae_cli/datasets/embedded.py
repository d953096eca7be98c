"""The dataset that is always at hand."""

from pathlib import Path

import numpy as np
from pydantic.dataclasses import dataclass

from uae_cli.datasets.base import Availability, Dataset
from uae_cli.datasets.own_arrays import image_tensor
from uae_cli.datasets.tabular import stratified_dataset
from uae_cli.settings import STRICT

SOURCE = "scikit-learn load_digits"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Digits:
    """The 1,797 handwritten digits that come with scikit-learn, 0..16 divided by 16, (N, 1, 8, 8).

    Split 80/20, class by class, always the same. Needs no files and no network.
    """

    name: str

    def check(self, root: Path, *, verify: bool) -> Availability:  # noqa: ARG002 - part of scikit-learn
        """Always present: installed with scikit-learn."""
        return Availability(present=True, path=None, size_bytes=0, source=SOURCE)

    def load(self, root: Path, *, download: bool) -> Dataset:  # noqa: ARG002 - part of scikit-learn
        """1,437 training and 360 test samples."""
        from sklearn.datasets import load_digits

        digits = load_digits()
        images = image_tensor((digits.images / 16).astype(np.float32))
        labels = digits.target.astype(np.int64)
        what = f"dataset {self.name}"
        return stratified_dataset(what, images, labels, seed=0, name=self.name, source=SOURCE)
