"""Getting published files: the one place where this project talks to a publisher's server."""

import shutil
import warnings
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from filelock import FileLock

from uae_cli.errors import DataError

# What servers, archives and scikit-learn's OpenML client raise; ValueError is a wrong MD5 or unknown id.
_FAILURES = (OSError, RuntimeError, HTTPException, ValueError, zipfile.BadZipFile)


@contextmanager
def fetching(name: str, root: Path, by_hand: str) -> Iterator[None]:
    """Hold the lock of dataset `name` in `root` (made if need be) while its files are fetched.

    Two runs started together must not write the same file: look again what is missing once inside.

    Raises:
        DataError: what went wrong inside, in one line with the way out `by_hand`.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f".{name}.lock"):
            yield
    except _FAILURES as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"dataset {name}: download to {root} failed ({reason}); check the network and try again, or "
            f"{by_hand}"
        ) from error


def fetch_file(url: str, path: Path) -> None:
    """Download `url` to `path`, which appears only when it is complete.

    Raises:
        OSError: the server can't be reached, doesn't have it, or the disk is full.
    """
    from torchvision.datasets.utils import download_url

    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=path.parent) as folder:
        download_url(url, folder, path.name)
        (Path(folder) / path.name).replace(path)


def fetch_from_archive(url: str, names: Collection[str], folder: Path) -> None:
    """Download the zip at `url` and put its files `names`, wherever they lie in it, into `folder`.

    Archives inside the archive are searched too: UCI has packed some sets twice.

    Raises:
        OSError: the download fails.
        ValueError: the archive lacks a file.
        zipfile.BadZipFile: it is no zip, or a file in it is damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder) as temporary:
        packed = Path(temporary) / "archive.zip"
        fetch_file(url, packed)
        with packed.open("rb") as file:
            found = set(_unpack(file, names, Path(temporary)))
        if lacking := [name for name in names if name not in found]:
            raise ValueError(f"{url} lacks {', '.join(lacking)}")
        for name in names:
            (Path(temporary) / name).replace(folder / name)


def fetch_openml_csv(data_id: int, path: Path) -> None:
    """Write OpenML's table `data_id` to `path`: its features and, last, its target as column 'class'.

    scikit-learn compares the MD5 that OpenML gives.

    Raises:
        OSError: the download fails.
        ValueError: OpenML doesn't know the table, or the MD5 is wrong.
    """
    from sklearn.datasets import fetch_openml

    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=path.parent) as temporary:
        with warnings.catch_warnings():
            # Of every retry; if all fail, the last one's error says why
            warnings.filterwarnings("ignore", "A network error occurred", UserWarning)
            table = fetch_openml(data_id=data_id, data_home=temporary, as_frame=True, parser="auto")
        written = Path(temporary) / path.name
        table.data.assign(**{"class": table.target}).to_csv(written, index=False)
        written.replace(path)


def _unpack(file: IO[bytes], names: Collection[str], folder: Path) -> Iterator[str]:
    with zipfile.ZipFile(file) as archive:
        for member in archive.namelist():
            name = member.rpartition("/")[2]
            if name in names:
                with archive.open(member) as content, (folder / name).open("wb") as target:
                    shutil.copyfileobj(content, target)
                yield name
            elif name.endswith(".zip"):
                with archive.open(member) as inner:
                    yield from _unpack(inner, names, folder)
