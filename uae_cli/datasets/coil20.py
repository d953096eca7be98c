"""Twenty objects on a turntable."""

import zipfile
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass

from uae_cli.datasets.base import Dataset
from uae_cli.datasets.image_zip import check_complete, opened
from uae_cli.datasets.own_arrays import image_tensor
from uae_cli.datasets.published import PublishedFile
from uae_cli.datasets.tabular import SplitSeed, stratified_dataset
from uae_cli.errors import DataError
from uae_cli.settings import STRICT

FILE = "coil-20-proc.zip"
OBJECTS, VIEWS = 20, 72
PUBLISHED_SIDE, SIDE = 128, 20


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Coil20(PublishedFile):
    """1,440 views, 72 of each of 20 objects, grey: float32 (N, 1, 20, 20) in [0, 1], labels 0 to 19.

    The published 128×128 are resized to 20×20 as in the paper (bicubic over the whole area, Pillow's
    default; the paper doesn't name its filter) and divided by 255. Split 1,152/288 object by object,
    drawn from `split_seed`. Row numbers count object 1's views 0 to 71, then object 2's, ….
    """

    source: ClassVar[str] = "COIL-20 processed, cs.columbia.edu/CAVE"
    expected: ClassVar[str] = FILE
    url: ClassVar[str] = f"https://www.cs.columbia.edu/CAVE/databases/SLAM_coil-20_coil-100/coil-20/{FILE}"
    publisher: ClassVar[str] = "Columbia University, 13 MB"
    sha256: ClassVar[dict[str, str]] = {
        FILE: "24431f91094f12062c179a13a89452a759ccead582aa5767d880501a097668ca"
    }

    name: str
    split_seed: SplitSeed

    def read(self, files: list[Path]) -> Dataset:
        """Check, resize and split.

        Raises:
            DataError: the archive is corrupt, lacks an image, or one is no grey 128×128 image.
        """
        (path,) = files
        images = image_tensor(_read(path))
        labels = np.repeat(np.arange(OBJECTS), VIEWS)
        return stratified_dataset(
            str(path), images, labels, seed=self.split_seed, name=self.name, source=self.source
        )


def _read(path: Path) -> NDArray[np.uint8]:
    """All images, resized: uint8 (1440, 20, 20)."""
    wanted = [f"obj{i}__{j}.png" for i in range(1, OBJECTS + 1) for j in range(VIEWS)]
    with opened(path) as archive:
        members = {member.rpartition("/")[2]: member for member in archive.namelist()}
        check_complete(path, wanted, members)
        return np.stack([_image(path, archive, members[name]) for name in wanted])


def _image(path: Path, archive: zipfile.ZipFile, member: str) -> NDArray[np.uint8]:
    from PIL import Image

    with archive.open(member) as file, Image.open(file) as image:
        if image.mode != "L" or image.size != (PUBLISHED_SIDE, PUBLISHED_SIDE):
            size = "×".join(map(str, image.size))
            raise DataError(
                f"{path}: {member} is {size} of mode {image.mode}; expected grey (L) and "
                f"{PUBLISHED_SIDE}×{PUBLISHED_SIDE}"
            )
        return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
