"""Images that come with a library: scikit-learn's digits; MNIST, Fashion-MNIST, SVHN, CIFAR-10 (torchvision).

Both libraries are imported where they are used: each takes a second, which `uae data` need not pay.
"""

import csv
import warnings
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass

from uae_cli.datasets.base import Availability, Dataset
from uae_cli.datasets.download import PublishedDataset, intact
from uae_cli.datasets.own_arrays import NpzDataset, image_tensor
from uae_cli.datasets.tabular import Table, stratified_split
from uae_cli.errors import DataError
from uae_cli.settings import STRICT


class _Layout(NamedTuple):
    """How torchvision keeps a set: in `root / folder`; `megabytes` are those of the packed download."""

    source: str
    folder: str
    megabytes: int


_LAYOUTS = {
    "mnist": _Layout("torchvision MNIST, yann.lecun.com/exdb/mnist", "MNIST/raw", 12),
    "fashion_mnist": _Layout("torchvision FashionMNIST, github.com/zalandoresearch", "FashionMNIST/raw", 31),
    "svhn": _Layout("torchvision SVHN, ufldl.stanford.edu/housenumbers", "", 246),
    "cifar10": _Layout("torchvision CIFAR10, cs.toronto.edu/~kriz/cifar.html", "cifar-10-batches-py", 170),
}

# Of the unpacked originals, by set and file: SHA-256 of MNIST's and Fashion-MNIST's, of which torchvision
# checks the archives it fetches and never these; MD5 of the others, as their publishers give it.
DIGESTS: dict[str, dict[str, str]] = {name: {} for name in _LAYOUTS}
with Path(__file__).with_name("checksums.csv").open(newline="") as _file:
    for _row in csv.DictReader(_file):
        DIGESTS[_row["dataset"]][_row["file"]] = _row["digest"]

# A split as torchvision reads it: images, uint8 N×H×W or N×H×W×C, and labels, int64 (N,)
_Arrays = tuple[NDArray[Any], NDArray[Any]]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Digits:
    """The 1,797 handwritten digits that come with scikit-learn, 0..16 divided by 16, (N, 1, 8, 8).

    Split 80/20, class by class, always the same. Needs no files and no network.
    """

    source: ClassVar[str] = "scikit-learn load_digits"

    name: str

    def check(self, root: Path, *, verify: bool) -> Availability:  # noqa: ARG002 - part of scikit-learn
        """Always present: installed with scikit-learn."""
        return Availability(present=True, source=self.source)

    def load(self, root: Path, *, download: bool) -> Dataset:  # noqa: ARG002 - part of scikit-learn
        """1,437 training and 360 test samples."""
        from sklearn.datasets import load_digits

        digits = load_digits()
        labels = digits.target.astype(np.int64)
        images = image_tensor((digits.images / 16).astype(np.float32))
        split = stratified_split(f"dataset {self.name}", labels, seed=0)
        return Table(images, labels, *split).dataset(name=self.name, source=self.source)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TorchvisionDataset(PublishedDataset):
    """One of torchvision's image sets, float32 (N, C, H, W) in [0, 1], in the official split.

    Looked for below the data root: torchvision's own files first (their checksums are compared), then
    `NAME.npz` (see `NpzDataset`), then, if asked to, the official download.
    """

    name: Literal["mnist", "fashion_mnist", "svhn", "cifar10"]

    def wanted(self, root: Path) -> list[Path]:
        """Torchvision's own files, unpacked."""
        return [root / _LAYOUTS[self.name].folder / name for name in DIGESTS[self.name]]

    @property
    def source(self) -> str:
        """Torchvision and the publisher's page."""
        return _LAYOUTS[self.name].source

    @property
    def publisher(self) -> str:
        """Torchvision, which knows where the files are now."""
        return f"torchvision, {_LAYOUTS[self.name].megabytes} MB"

    def by_hand(self, root: Path) -> str:
        """The files that are missing, or one of the user's own."""
        return f"put {self.lacking(root)}, or {self.name}.npz in {root}"

    def fetch(self, root: Path) -> None:
        """The official download; past the classes that would read hundreds of megabytes right after it."""
        from torchvision.datasets import CIFAR10, MNIST, SVHN, FashionMNIST
        from torchvision.datasets.utils import download_and_extract_archive, download_url

        match self.name:
            case "mnist":
                MNIST(root, download=True)
            case "fashion_mnist":
                FashionMNIST(root, download=True)
            case "svhn":
                for split in ("train", "test"):
                    url, name, md5 = SVHN.split_list[split]
                    download_url(url, root, name, md5)
            case "cifar10":
                download_and_extract_archive(
                    CIFAR10.url, root, filename=CIFAR10.filename, md5=CIFAR10.tgz_md5
                )

    def check(self, root: Path, *, verify: bool) -> Availability:
        """Look for torchvision's files, then for `NAME.npz`; with `verify`, compare checksums."""
        stand_in = self._stand_in(root)
        return (stand_in.check if stand_in else super().check)(root, verify=verify)

    def load(self, root: Path, *, download: bool) -> Dataset:
        """Read torchvision's files, or `NAME.npz`; where there is neither, fetch the files if asked to."""
        stand_in = self._stand_in(root)
        return (stand_in.load if stand_in else super().load)(root, download=download)

    def unknown(self, files: list[Path]) -> tuple[str, ...]:  # noqa: ARG002
        """None: a wrong checksum is an error."""
        return ()

    def inspect(self, files: list[Path], *, verify: bool) -> str:
        """With `verify`, compare checksums."""
        expected = DIGESTS[self.name]
        damaged = [path.name for path in files if verify and not intact(path, expected[path.name])]
        if damaged:
            raise DataError(f"{', '.join(damaged)} in {files[0].parent}: corrupt, wrong checksum")
        return ""

    def read(self, files: list[Path]) -> Dataset:
        """Both splits, once the checksums are right."""
        import torch

        self.inspect(files, verify=True)
        read = {"svhn": _read_svhn, "cifar10": _read_cifar10}.get(self.name, _read_idx)
        (x_train, y_train), (x_test, y_test) = (read(files[0].parent, split) for split in ("train", "test"))
        return Dataset(
            name=self.name,
            x_train=image_tensor(x_train),
            y_train=torch.from_numpy(y_train),
            x_test=image_tensor(x_test),
            y_test=torch.from_numpy(y_test),
            source=self.source,
        )

    def _stand_in(self, root: Path) -> NpzDataset | None:
        packed = NpzDataset(name=self.name, source=f"{self.name}.npz in place of {self.source}")
        return packed if packed.files(root) and not self.files(root) else None


def _read_idx(folder: Path, split: str) -> _Arrays:
    # Not through torchvision's class: it prefers old `processed/*.pt` files, which have no checksum.
    from torchvision.datasets.mnist import read_image_file, read_label_file

    stem = folder / {"train": "train", "test": "t10k"}[split]
    images = read_image_file(f"{stem}-images-idx3-ubyte").numpy()
    return images, read_label_file(f"{stem}-labels-idx1-ubyte").numpy()


def _read_svhn(folder: Path, split: str) -> _Arrays:
    from torchvision.datasets import SVHN

    read = SVHN(folder, split=split)
    return np.moveaxis(read.data, 1, -1), read.labels


def _read_cifar10(folder: Path, split: str) -> _Arrays:
    from torchvision.datasets import CIFAR10

    with warnings.catch_warnings():
        # The published pickles spell a dtype's flags as numbers, which NumPy 2.4.0 warns of.
        category = np.exceptions.VisibleDeprecationWarning
        warnings.filterwarnings("ignore", r".*align should be passed", category)
        read = CIFAR10(folder.parent, train=split == "train")
    return read.data, np.array(read.targets, dtype=np.int64)
