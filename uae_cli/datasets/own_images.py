"""A folder of a user's own images, of any size and kind: read, and told what had to be changed."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from pydantic import BeforeValidator
from pydantic.dataclasses import dataclass

from uae_cli.datasets.base import Dataset, OwnFile
from uae_cli.datasets.own_arrays import image_tensor
from uae_cli.datasets.tabular import Rows, SplitSeed, Table, random_split, stratified_split
from uae_cli.errors import DataError, UaeError
from uae_cli.settings import STRICT
from uae_cli.text import listed, one_line, plural

ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm"}
_FEWEST = 5  # of which one is to test
_SPLITS = {"train", "test", "val", "valid", "validation"}  # folders that are no classes
_GREY = {"1", "L", "LA", "La", "I;16", "I;16B", "I"}
# What Pillow raises of a file that is no image, damaged, or suspiciously large
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


def _sides(size: object) -> object:
    """(H, W) of HEIGHTxWIDTH, or of the side of a square."""
    sides = str(size).split("x")
    if size is None or isinstance(size, tuple):
        return size
    if len(sides) > 2 or not all(side.isdecimal() and int(side) for side in sides):
        raise ValueError("must be HEIGHTxWIDTH, as in 32x32")
    return int(sides[0]), int(sides[-1])


Size = Annotated[tuple[int, int] | None, BeforeValidator(_sides)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ImageFolder(OwnFile):
    """The images below `path`, in the order of their names: float32 (N, C, H, W), divided by 255.

    Row i is the image `files[i]` of the `Dataset`. They are split 80/20, unless `path` holds train/ and
    test/ (or val/) and nothing else. What had to be changed of them is told in the note; see `read_images`.

    Attributes:
        name: as results call it.
        path: a folder, searched at any depth.
        size: to resize to, HEIGHTxWIDTH or the side of a square; None: they have one size already.
        gray: whether colour images become grey; else grey ones become colour where there are both.
        labels: whether the folders right below `path` (or its train/ and test/) are classes, 0, 1, … in
            sorted order. They are none where an image lies beside them: then all are 0.
        split_seed: draws the split; class by class where there are labels.
    """

    expected: ClassVar[str] = f"a folder of images ({', '.join(sorted(ENDINGS))}), at any depth"
    example: ClassVar[str] = "imgs/"

    name: str
    path: Path | None
    size: Size
    gray: bool
    labels: bool
    split_seed: SplitSeed

    def files(self, root: Path) -> list[Path]:
        """All images in sorted order; hidden files are none."""
        (folder,) = self.wanted(root)
        found = (file for file in folder.rglob("*") if file.suffix.lower() in ENDINGS and file.is_file())
        return sorted(file for file in found if not file.name.startswith("."))

    def not_found(self, root: Path) -> UaeError:
        """A folder may be empty, or hold other files."""
        (folder,) = self.wanted(root)
        if not folder.is_dir():
            return super().not_found(root)
        return DataError(f"dataset.path = {folder}: no images in this folder; {self.remedy(root)}")

    def read(self, files: list[Path]) -> Dataset:
        """Read, resize and split."""
        (folder,) = self.wanted(Path())
        try:
            images, told = read_images(files, self.size, gray=self.gray)
        except DataError as error:
            raise DataError(f"dataset.path = {folder}: {error}") from None
        names = [file.relative_to(folder) for file in files]
        parts, split = [name.parts[:-1] for name in names], None
        tops = np.array([part[0] if part else "" for part in parts])
        to_train = tops == "train"
        if to_train.any() and 1 < len({*tops}) == len({*tops} & _SPLITS):
            parts, split = [part[1:] for part in parts], (np.flatnonzero(to_train), np.flatnonzero(~to_train))
        labelled = self.labels and all(parts)
        if self.labels and any(parts) and not labelled:
            told.append("No labels: some images lie beside the subfolders")
        y = np.unique([part[0] if labelled else "" for part in parts], return_inverse=True)[1]
        table = Table(image_tensor(images), y, *(split or self._split(folder, y, labelled=labelled)))
        made = table.dataset(name=self.name, source=self.source)
        note = "".join(f"{sentence}. " for sentence in told).rstrip()
        return replace(made, note=note, files=tuple(name.as_posix() for name in names))

    def _split(self, folder: Path, y: Rows, *, labelled: bool) -> tuple[Rows, Rows]:
        if len(y) < _FEWEST:
            raise DataError(
                f"dataset.path = {folder}: only {plural(len(y), 'image')}; at least {_FEWEST} are needed"
            )
        if not labelled:
            return random_split(len(y), seed=self.split_seed)
        try:
            return stratified_split(f"dataset.path = {folder}", y, seed=self.split_seed)
        except DataError as error:
            raise DataError(f"{error}, or go without labels: dataset.labels=false") from None


def read_images(
    sources: Iterable[Path | Image.Image], size: tuple[int, int] | None, *, gray: bool
) -> tuple[NDArray[np.uint8], list[str]]:
    """Images as one array, whatever their size, and what was changed.

    A photograph is turned as its camera says. What is transparent is laid on white. Of 16 bits a channel
    the upper 8 are kept. Where there are grey and colour images, the grey ones become colour.

    Args:
        sources: at least one file in any format that Pillow reads, or image that it has opened.
        size: (H, W) to resize to (bicubic), or None to keep the size that all have.
        gray: whether colour images become grey.

    Returns:
        uint8 (N, H, W, C), C = 1 if all are grey, else 3; and a sentence for each kind of change.

    Raises:
        DataError: images can't be read (which), or differ in size and none is given (which sizes).
    """
    sizes, changes, grey, count = Counter[tuple[int, int]](), Counter[str](), 0, 0
    images, broken = list[NDArray[np.uint8]](), list[tuple[str, str]]()
    for count, source in enumerate(sources, 1):
        try:
            with Image.open(source) if isinstance(source, Path) else source as opened:
                image = ImageOps.exif_transpose(opened)
                found = (image.height, image.width)
                sizes[found] += 1
                changes["resized"] += size is not None and found != size
                changes["transparent"] += image.has_transparency_data
                changes["deep"] += image.mode.startswith("I")
                grey += image.mode in _GREY
                pixels = _pixels(image, size, gray=gray)
            if size or len(sizes) == 1:  # else they will be refused
                images.append(pixels)
        except _BROKEN as error:
            broken.append((source.name if isinstance(source, Path) else f"number {count}", one_line(error)))
    if broken:
        what = f"can't be read as images: {listed(name for name, _ in broken)} ({broken[0][1]})"
        raise DataError(f"{plural(len(broken), 'file')} {what}; mend or remove them")
    if size is None and len(sizes) > 1:
        seen = [f"{height}x{width} ({n})" for (height, width), n in sizes.most_common()]
        common = "x".join(map(str, sizes.most_common(1)[0][0]))
        raise DataError(
            f"the images have {len(sizes)} sizes, height x width: {listed(seen)}; resize them with, e.g., "
            f"dataset.size={common}"
        )
    whole, colour = np.stack(images), count - grey
    sentences = {
        f"resized to {'×'.join(map(str, size or ()))}": changes["resized"],
        "laid on white where they are transparent": changes["transparent"],
        "cut from 16 to 8 bits": changes["deep"],
        "made grey": colour if gray else 0,
        "made colour, as others are (dataset.gray=true makes all grey)": grey if colour and not gray else 0,
    }
    told = [f"{n:,} of {count:,} images were {what}" for what, n in sentences.items() if n]
    return whole if colour else whole[..., :1], told


def _pixels(image: Image.Image, size: tuple[int, int] | None, *, gray: bool) -> NDArray[np.uint8]:
    """(H, W, 1) if `gray`, else (H, W, 3), whose channels are equal for a grey image."""
    if image.mode == "F":
        raise ValueError("32-bit floating-point numbers; save them as 8 bits, or as an array for dataset=npz")
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image).clip(0, 2**16 - 1) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("L" if gray else "RGB")
    if size and (image.height, image.width) != size:
        image = image.resize(size[::-1], Image.Resampling.BICUBIC)
    return np.atleast_3d(np.asarray(image))
