"""What the tests of published sets share: archives as publishers pack them, and how a set is refused."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from PIL import Image

from uae_cli.datasets import Loader
from uae_cli.errors import DataError


def refusal(loader: Loader, root: Path, *, download: bool = False) -> str:
    """Why a set isn't loaded, which must be one line that names the file, or the folder it should be in."""
    with pytest.raises(DataError) as caught:
        loader.load(root, download=download)
    message = str(caught.value)
    assert "\n" not in message
    assert str(root) in message
    return message


def checked_refusal(loader: Loader, root: Path) -> str:
    """The same of files that are there, which a check with `verify` must tell too."""
    message = refusal(loader, root)
    found = loader.check(root, verify=True)
    assert found.present
    assert message == f"dataset {loader.name}: {found.problem}; {found.remedy}"
    return message


def packed(files: Mapping[str, str | bytes | None], folder: str = "") -> bytes:
    """A zip archive of these files in this order, but for those without content."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            if content is not None:
                archive.writestr(folder + name, content)
    return buffer.getvalue()


def image(
    kind: str, colour: int | tuple[int, ...], size: tuple[int, int], mode: str, **options: int
) -> bytes:
    """An image file of one colour."""
    buffer = io.BytesIO()
    Image.new(mode, size, colour).save(buffer, kind, **options)
    return buffer.getvalue()
