"""Images that come with a library: scikit-learn's digits; MNIST, Fashion-MNIST, SVHN, CIFAR-10 (torchvision).

Both libraries are imported where they are used: each takes a second, which `uae data` need not pay.
"""

import warnings
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass

from uae_cli.datasets.base import Availability, Dataset
from uae_cli.datasets.download import PublishedDataset, file_digest
from uae_cli.datasets.own_arrays import NpzDataset, image_tensor
from uae_cli.datasets.tabular import Table, stratified_split
from uae_cli.errors import DataError
from uae_cli.settings import STRICT


class _Layout(NamedTuple):
    """How torchvision keeps a set: in `root / folder`; `megabytes` are those of the packed download."""

    source: str
    folder: str
    megabytes: int
    algorithm: str


_LAYOUTS = {
    "mnist": _Layout("torchvision MNIST, yann.lecun.com/exdb/mnist", "MNIST/raw", 12, "sha256"),
    "fashion_mnist": _Layout(
        "torchvision FashionMNIST, github.com/zalandoresearch", "FashionMNIST/raw", 31, "sha256"
    ),
    "svhn": _Layout("torchvision SVHN, ufldl.stanford.edu/housenumbers", "", 246, "md5"),
    "cifar10": _Layout(
        "torchvision CIFAR10, cs.toronto.edu/~kriz/cifar.html", "cifar-10-batches-py", 170, "md5"
    ),
}

# Of the unpacked originals: SHA-256 of MNIST's and Fashion-MNIST's, of which torchvision checks the archives
# it fetches and never these; MD5 of the others, as their publishers give it.
DIGESTS: dict[str, dict[str, str]] = {
    "mnist": {
        "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
    "fashion_mnist": {
        "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
    "svhn": {
        "train_32x32.mat": "e26dedcc434d2e4c54c9b2d4a06d8373",
        "test_32x32.mat": "eb5a983be6a315427106f1b164d9cef3",
    },
    "cifar10": {
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "40351d587109b95175f43aff81a1287e",
        "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
    },
}

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

    def inspect(self, files: list[Path], *, verify: bool) -> str:
        """With `verify`, compare checksums."""
        algorithm, expected = _LAYOUTS[self.name].algorithm, DIGESTS[self.name]
        damaged = [path for path in files if verify and file_digest(path, algorithm) != expected[path.name]]
        if damaged:
            names = ", ".join(path.name for path in damaged)
            raise DataError(f"{names} in {files[0].parent}: corrupt, wrong checksum")
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
