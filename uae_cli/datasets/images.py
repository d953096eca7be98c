"""MNIST, Fashion-MNIST, SVHN and CIFAR-10 through torchvision: its file layout, its downloads.

torchvision is imported where it is used: it takes a second, which `uae --help` need not pay.
"""

import hashlib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass

from uae_cli.datasets.base import Availability, Dataset
from uae_cli.datasets.download import fetching
from uae_cli.datasets.own_arrays import ROOT_HINT, NpzDataset, image_tensor
from uae_cli.errors import DataError
from uae_cli.settings import STRICT

# SHA-256 of the unpacked originals: torchvision checks the archives it fetches, never these.
IDX_SHA256 = {
    "MNIST": {
        "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
    "FashionMNIST": {
        "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
}

_Arrays = tuple[NDArray[Any], NDArray[Any]]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TorchvisionDataset:
    """One of torchvision's image sets, float32 (N, C, H, W) in [0, 1], in the official split.

    Looked for below the data root: torchvision's own files first (their checksums are compared), then
    `NAME.npz` (see `NpzDataset`), then, if asked to, the official download.
    """

    name: Literal["mnist", "fashion_mnist", "svhn", "cifar10"]

    def check(self, root: Path, *, verify: bool) -> Availability:
        """Look for torchvision's files, then for `NAME.npz`; with `verify`, compare checksums."""
        layout, packed = _LAYOUTS[self.name], self._packed()
        if _missing(layout, root):
            if packed.file(root).is_file():
                return packed.check(root, verify=verify)
            return Availability(
                present=False,
                path=root / layout.folder,
                size_bytes=0,
                source=layout.source,
                remedy=f"run with data.download=true (fetches {_DOWNLOAD_MB[self.name]} MB), or "
                f"{self._by_hand(root)}",
            )
        damaged = _damaged(layout, root) if verify else []
        return Availability(
            present=True,
            path=root / layout.folder,
            size_bytes=sum((root / layout.folder / name).stat().st_size for name in layout.digests()),
            source=layout.source,
            problem=f"{', '.join(damaged)}: corrupt, wrong checksum" if damaged else "",
            remedy=_REPLACE if damaged else "",
        )

    def load(self, root: Path, *, download: bool) -> Dataset:
        """Read the set, fetching it first if it is missing and `download` is set.

        Raises:
            DataError: files are missing (which, where it looked, how to get them), corrupt, or can't
                be fetched.
        """
        layout, packed = _LAYOUTS[self.name], self._packed()
        if missing := _missing(layout, root):
            if packed.file(root).is_file():
                return packed.load(root, download=False)
            if not download:
                raise DataError(
                    f"dataset {self.name}: no {', '.join(missing)} in {root / layout.folder} and no "
                    f"{packed.file(root)}; run with data.download=true, put them there, or {ROOT_HINT}"
                )
            self._fetch(root)
        if damaged := _damaged(layout, root):
            raise DataError(
                f"dataset {self.name}: {', '.join(damaged)} in {root / layout.folder}: corrupt, wrong "
                f"checksum; {_REPLACE}"
            )
        (x_train, y_train), (x_test, y_test) = layout.read(root, train=True), layout.read(root, train=False)
        return Dataset(
            name=self.name,
            x_train=image_tensor(x_train),
            y_train=torch.from_numpy(y_train),
            x_test=image_tensor(x_test),
            y_test=torch.from_numpy(y_test),
            source=layout.source,
        )

    def _packed(self) -> NpzDataset:
        instead = f"{self.name}.npz in place of {_LAYOUTS[self.name].source}"
        return NpzDataset(name=self.name, source=instead)

    def _by_hand(self, root: Path) -> str:
        layout = _LAYOUTS[self.name]
        missing = ", ".join(_missing(layout, root))
        return f"put {missing} in {root / layout.folder}, or {self.name}.npz in {root}"

    def _fetch(self, root: Path) -> None:
        layout = _LAYOUTS[self.name]
        with fetching(self.name, root, self._by_hand(root)):
            if _missing(layout, root):
                layout.fetch(root)
        if missing := _missing(layout, root):
            raise DataError(
                f"dataset {self.name}: the download brought no {', '.join(missing)}; {self._by_hand(root)}"
            )


_REPLACE = "delete what is corrupt and run with data.download=true, or put intact copies there"


class _Layout(Protocol):
    """How torchvision keeps one set: files below `root / folder`, hex digests by file name."""

    @property
    def source(self) -> str: ...
    @property
    def folder(self) -> str: ...
    @property
    def algorithm(self) -> str: ...
    def digests(self) -> Mapping[str, str]: ...
    def fetch(self, root: Path) -> None: ...
    def read(self, root: Path, *, train: bool) -> _Arrays:
        """Images uint8, N×H×W or N×H×W×C, and labels int64 (N,)."""
        ...


class _Idx:
    algorithm = "sha256"

    def __init__(self, kind: Literal["MNIST", "FashionMNIST"], site: str) -> None:
        self.kind = kind
        self.source = f"torchvision {kind}, {site}"
        self.folder = f"{kind}/raw"

    def digests(self) -> Mapping[str, str]:
        return IDX_SHA256[self.kind]

    def fetch(self, root: Path) -> None:
        from torchvision.datasets import MNIST, FashionMNIST

        {"MNIST": MNIST, "FashionMNIST": FashionMNIST}[self.kind](root, download=True)

    def read(self, root: Path, *, train: bool) -> _Arrays:
        # Not through the class: it prefers old `processed/*.pt` files, which have no checksum.
        from torchvision.datasets.mnist import read_image_file, read_label_file

        stem = root / self.folder / ("train" if train else "t10k")
        return (
            read_image_file(f"{stem}-images-idx3-ubyte").numpy(),
            read_label_file(f"{stem}-labels-idx1-ubyte").numpy(),
        )


class _Svhn:
    algorithm = "md5"
    source = "torchvision SVHN, ufldl.stanford.edu/housenumbers"
    folder = ""

    def digests(self) -> Mapping[str, str]:
        from torchvision.datasets import SVHN

        return {SVHN.split_list[split][1]: SVHN.split_list[split][2] for split in ("train", "test")}

    def fetch(self, root: Path) -> None:
        from torchvision.datasets import SVHN
        from torchvision.datasets.utils import download_url

        # Not through the class: it would read each file, hundreds of megabytes, right after fetching it.
        for split in ("train", "test"):
            url, name, md5 = SVHN.split_list[split]
            download_url(url, root, name, md5)

    def read(self, root: Path, *, train: bool) -> _Arrays:
        from torchvision.datasets import SVHN

        split = SVHN(root, split="train" if train else "test")
        return np.moveaxis(split.data, 1, -1), split.labels


class _Cifar10:
    algorithm = "md5"
    source = "torchvision CIFAR10, cs.toronto.edu/~kriz/cifar.html"
    folder = "cifar-10-batches-py"

    def digests(self) -> Mapping[str, str]:
        from torchvision.datasets import CIFAR10

        listed = dict([*CIFAR10.train_list, *CIFAR10.test_list])
        return {**listed, CIFAR10.meta["filename"]: CIFAR10.meta["md5"]}

    def fetch(self, root: Path) -> None:
        from torchvision.datasets import CIFAR10
        from torchvision.datasets.utils import download_and_extract_archive

        download_and_extract_archive(CIFAR10.url, root, filename=CIFAR10.filename, md5=CIFAR10.tgz_md5)

    def read(self, root: Path, *, train: bool) -> _Arrays:
        from torchvision.datasets import CIFAR10

        with warnings.catch_warnings():
            # The published pickles spell a dtype's flags as numbers, which NumPy 2.4.0 warns of.
            warnings.filterwarnings(
                "ignore", r".*align should be passed", np.exceptions.VisibleDeprecationWarning
            )
            split = CIFAR10(root, train=train)
        return split.data, np.array(split.targets, dtype=np.int64)


_LAYOUTS: Mapping[str, _Layout] = {
    "mnist": _Idx("MNIST", "yann.lecun.com/exdb/mnist"),
    "fashion_mnist": _Idx("FashionMNIST", "github.com/zalandoresearch"),
    "svhn": _Svhn(),
    "cifar10": _Cifar10(),
}


_DOWNLOAD_MB = {"mnist": 12, "fashion_mnist": 31, "svhn": 246, "cifar10": 170}  # packed, as published


def _missing(layout: _Layout, root: Path) -> list[str]:
    return [name for name in layout.digests() if not (root / layout.folder / name).is_file()]


def _damaged(layout: _Layout, root: Path) -> list[str]:
    expected = layout.digests()
    return [
        name for name in expected if _digest(root / layout.folder / name, layout.algorithm) != expected[name]
    ]


def _digest(path: Path, algorithm: str) -> str:
    # MD5 is what the publishers give; it guards against damage here, not against an enemy.
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()
