"""Images in a zip archive, as some publishers pack them."""

import zipfile
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from uae_cli.errors import DataError

# What a damaged archive or image makes zipfile, zlib and Pillow raise
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, SyntaxError)


@contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """The archive, while its images are read.

    Raises:
        DataError: it is no zip, or it or one of the images read is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except _BROKEN as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: corrupt or no zip of images ({reason})") from None


def check_complete(path: Path, wanted: Sequence[str], there: Collection[str]) -> None:
    """See whether all images wanted are in the archive.

    Raises:
        DataError: some aren't.
    """
    if lacking := [name for name in wanted if name not in there]:
        raise DataError(f"{path}: lacks {len(lacking):,} of {len(wanted):,} images, e.g. {lacking[0]}")
