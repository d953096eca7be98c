"""Tiny-ImageNet-200: small photographs of 200 kinds of things. torchvision doesn't offer it."""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass

from uae_cli.datasets.base import Dataset
from uae_cli.datasets.image_zip import check_complete, opened
from uae_cli.datasets.own_arrays import image_tensor
from uae_cli.datasets.published import PublishedFile
from uae_cli.errors import DataError
from uae_cli.settings import STRICT

FILE = "tiny-imagenet-200.zip"
CLASSES, IMAGES, VALIDATION, SIDE = 200, 500, 10_000, 64


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TinyImageNet(PublishedFile):
    """100,000 training images, and the 10,000 validation images to test: float32 (N, 3, 64, 64) in [0, 1].

    The published test images have no labels and are left alone. Classes are counted as in `wnids.txt`.
    Training images come class by class within each number (0 of every class, then 1 of every class …),
    so that the first n are of all classes; test images as in `val_annotations.txt`. Grey ones are made
    colour. The archive is read as it is.
    """

    source: ClassVar[str] = "Tiny-ImageNet-200, cs231n.stanford.edu"
    expected: ClassVar[str] = FILE
    url: ClassVar[str] = f"http://cs231n.stanford.edu/{FILE}"
    publisher: ClassVar[str] = "Stanford University, 248 MB"

    name: str

    def read(self, files: list[Path]) -> Dataset:
        """Both splits.

        Raises:
            DataError: the archive is corrupt, lacks an image, or one is not 64×64.
        """
        (path,) = files
        with opened(path) as archive:
            return self._read(path, archive)

    def _read(self, path: Path, archive: zipfile.ZipFile) -> Dataset:
        folder = FILE.removesuffix(".zip")
        classes = _text(path, archive, f"{folder}/wnids.txt").split()
        _check_count(path, "classes in wnids.txt", len(classes), CLASSES)
        told = _text(path, archive, f"{folder}/val/val_annotations.txt").splitlines()
        rows = [line.split() for line in told]
        _check_count(path, "rows in val_annotations.txt", len(rows), VALIDATION)
        numbers = {name: number for number, name in enumerate(classes)}
        if strange := [row for row in rows if len(row) < 2 or row[1] not in numbers]:
            raise DataError(f"{path}: val_annotations.txt: {strange[0]} names no class of wnids.txt")
        order = [(name, number) for number in range(IMAGES) for name in classes]
        train = [f"{folder}/train/{name}/images/{name}_{number}.JPEG" for name, number in order]
        test = [f"{folder}/val/images/{row[0]}" for row in rows]
        return Dataset(
            name=self.name,
            x_train=image_tensor(_images(path, archive, train)),
            y_train=torch.arange(CLASSES).repeat(IMAGES),
            x_test=image_tensor(_images(path, archive, test)),
            y_test=torch.tensor([numbers[row[1]] for row in rows]),
            source=self.source,
        )


def _images(path: Path, archive: zipfile.ZipFile, members: Sequence[str]) -> NDArray[np.uint8]:
    """Images, uint8 (N, 64, 64, 3)."""
    from PIL import Image

    check_complete(path, members, set(archive.namelist()))
    images = np.empty((len(members), SIDE, SIDE, 3), dtype=np.uint8)
    for place, member in enumerate(members):
        with archive.open(member) as file, Image.open(file) as image:
            if image.size != (SIDE, SIDE):
                size = "×".join(map(str, image.size))
                raise DataError(f"{path}: {member} is {size}; expected {SIDE}×{SIDE}")
            images[place] = np.asarray(image.convert("RGB"))
    return images


def _text(path: Path, archive: zipfile.ZipFile, member: str) -> str:
    try:
        return archive.read(member).decode(errors="replace")
    except KeyError:
        raise DataError(f"{path}: lacks {member}") from None


def _check_count(path: Path, what: str, found: int, expected: int) -> None:
    if found != expected:
        raise DataError(f"{path}: {found:,} {what}; expected {expected:,}")
