"""Images published as one zip archive, which is read as it is: COIL-20 and Tiny-ImageNet."""

import zipfile
import zlib
from abc import abstractmethod
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic.dataclasses import dataclass

from uae_cli.datasets.base import Dataset, Places
from uae_cli.datasets.download import PublishedDataset, fetch_file
from uae_cli.datasets.own_arrays import image_tensor
from uae_cli.datasets.tabular import SplitSeed, Table, stratified_split
from uae_cli.errors import DataError
from uae_cli.settings import STRICT
from uae_cli.text import one_line

# What a damaged archive or image makes zipfile, zlib and Pillow raise
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, SyntaxError)


class ImageArchive(PublishedDataset):
    """A single zip archive.

    Attributes:
        expected: its name.
        url: where its publisher keeps it.
    """

    url: ClassVar[str]

    @property
    def places(self) -> Places:  # type: ignore[override]
        """The archive."""
        return ((self.expected,),)

    @abstractmethod
    def unpack(self, path: Path, archive: zipfile.ZipFile) -> Dataset:
        """Both splits from the archive at `path`.

        Raises:
            DataError: it holds something else than was published.
        """

    def fetch(self, root: Path) -> None:
        """The archive from its publisher's server."""
        fetch_file(self.url, root / self.expected)

    def read(self, files: list[Path]) -> Dataset:
        """Both splits; images are read as they are packed."""
        (path,) = files
        try:
            with zipfile.ZipFile(path) as archive:
                return self.unpack(path, archive)
        except _BROKEN as error:
            raise DataError(f"{path}: corrupt or no zip of images ({one_line(error)})") from None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Coil20(ImageArchive):
    """1,440 views, 72 of each of 20 objects, grey: float32 (N, 1, 20, 20) in [0, 1], labels 0 to 19.

    The published 128×128 are resized to 20×20 as in the paper (bicubic over the whole area, Pillow's
    default; the paper doesn't name its filter) and divided by 255. Split 1,152/288 object by object,
    drawn from `split_seed`. Row numbers count object 1's views 0 to 71, then object 2's, ….
    """

    source: ClassVar[str] = "COIL-20 processed, cs.columbia.edu/CAVE"
    expected: ClassVar[str] = "coil-20-proc.zip"
    url: ClassVar[str] = (
        "https://www.cs.columbia.edu/CAVE/databases/SLAM_coil-20_coil-100/coil-20/coil-20-proc.zip"
    )
    publisher: ClassVar[str] = "Columbia University, 13 MB"
    sha256: ClassVar[dict[str, str]] = {
        "coil-20-proc.zip": "24431f91094f12062c179a13a89452a759ccead582aa5767d880501a097668ca"
    }
    objects: ClassVar[int] = 20
    views: ClassVar[int] = 72

    name: str
    split_seed: SplitSeed

    def unpack(self, path: Path, archive: zipfile.ZipFile) -> Dataset:
        """Check that each image is there, grey and 128×128; resize and split."""
        names = [f"obj{i}__{j}.png" for i in range(1, self.objects + 1) for j in range(self.views)]
        members = {member.rpartition("/")[2]: member for member in archive.namelist()}
        _check_complete(path, names, members)
        views = (_image(path, archive, members[name], side=128, mode="L") for name in names)
        images = np.stack([np.asarray(view.resize((20, 20), Image.Resampling.BICUBIC)) for view in views])
        labels = np.repeat(np.arange(self.objects), self.views)
        split = stratified_split(str(path), labels, seed=self.split_seed)
        return Table(image_tensor(images), labels, *split).dataset(name=self.name, source=self.source)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TinyImageNet(ImageArchive):
    """100,000 training images, and the 10,000 validation images to test: float32 (N, 3, 64, 64) in [0, 1].

    The published test images have no labels and are left alone. Classes are counted as in `wnids.txt`.
    Training images come class by class within each number (0 of every class, then 1 of every class …),
    so that the first n are of all classes; test images as in `val_annotations.txt`. Grey ones are made
    colour.
    """

    source: ClassVar[str] = "Tiny-ImageNet-200, cs231n.stanford.edu"
    expected: ClassVar[str] = "tiny-imagenet-200.zip"
    url: ClassVar[str] = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
    publisher: ClassVar[str] = "Stanford University, 248 MB"
    classes: ClassVar[int] = 200
    images_per_class: ClassVar[int] = 500
    validation_images: ClassVar[int] = 10_000

    name: str

    def unpack(self, path: Path, archive: zipfile.ZipFile) -> Dataset:
        """Check both lists, and that each image is there and 64×64."""
        import torch

        folder = self.expected.removesuffix(".zip")
        classes = _lines(path, archive, f"{folder}/wnids.txt", "classes", self.classes)
        told = _lines(path, archive, f"{folder}/val/val_annotations.txt", "rows", self.validation_images)
        rows = [line.split() for line in told]
        numbers = {name: number for number, name in enumerate(classes)}
        if strange := [row for row in rows if len(row) < 2 or row[1] not in numbers]:
            raise DataError(f"{path}: val_annotations.txt: {strange[0]} names no class of wnids.txt")
        order = [(name, number) for number in range(self.images_per_class) for name in classes]
        train = [f"{folder}/train/{name}/images/{name}_{number}.JPEG" for name, number in order]
        test = [f"{folder}/val/images/{row[0]}" for row in rows]
        return Dataset(
            name=self.name,
            x_train=image_tensor(_photographs(path, archive, train)),
            y_train=torch.arange(self.classes).repeat(self.images_per_class),
            x_test=image_tensor(_photographs(path, archive, test)),
            y_test=torch.tensor([numbers[row[1]] for row in rows]),
            source=self.source,
        )


def _photographs(path: Path, archive: zipfile.ZipFile, members: Sequence[str]) -> NDArray[np.uint8]:
    """Tiny-ImageNet's images, uint8 (N, 64, 64, 3)."""
    _check_complete(path, members, set(archive.namelist()))
    images = np.empty((len(members), 64, 64, 3), dtype=np.uint8)
    for place, member in enumerate(members):
        images[place] = np.asarray(_image(path, archive, member, side=64).convert("RGB"))
    return images


def _image(path: Path, archive: zipfile.ZipFile, member: str, *, side: int, mode: str = "") -> Image.Image:
    """One image as it is packed, if it has the size (and the mode, where one is given) that is expected."""
    with archive.open(member) as file, Image.open(file) as image:
        image.load()
    if image.size != (side, side) or mode not in ("", image.mode):
        found = f"{'×'.join(map(str, image.size))} of mode {image.mode}"
        expected = f"{side}×{side}{mode and f' of mode {mode} (grey)'}"
        raise DataError(f"{path}: {member} is {found}; expected {expected}")
    return image


def _check_complete(path: Path, wanted: Sequence[str], there: Collection[str]) -> None:
    if lacking := [name for name in wanted if name not in there]:
        raise DataError(f"{path}: lacks {len(lacking):,} of {len(wanted):,} images, e.g. {lacking[0]}")


def _lines(path: Path, archive: zipfile.ZipFile, member: str, what: str, expected: int) -> list[str]:
    try:
        lines = archive.read(member).decode(errors="replace").splitlines()
    except KeyError:
        raise DataError(f"{path}: lacks {member}") from None
    if len(lines) != expected:
        name = member.rpartition("/")[2]
        raise DataError(f"{path}: {len(lines):,} {what} in {name}; expected {expected:,}")
    return lines
