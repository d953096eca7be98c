"""Published files, and getting them: the one place where this project talks to a publisher's server."""

import hashlib
import shutil
import warnings
import zipfile
from abc import abstractmethod
from collections.abc import Collection, Mapping
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

from filelock import FileLock

from uae_cli.datasets.base import Dataset, FileLoader
from uae_cli.errors import DataError
from uae_cli.hashing import write_whole
from uae_cli.text import one_line

# `uae data` puts a whole command in its place
DOWNLOAD = "run with data.download=true"

# What servers, archives and scikit-learn's OpenML client raise; ValueError is a wrong MD5 or unknown id.
_FAILURES = (OSError, RuntimeError, HTTPException, ValueError, zipfile.BadZipFile)


class PublishedDataset(FileLoader):
    """Files in the data root, fetched from their publisher if they are missing and that is asked for.

    Attributes:
        expected: the files by name, as one tells a user to put them in the root.
        sha256: of a file as it was at hand when this was written, by file name. Publishers give none, and
            other copies may be packed differently, so another one is told but not refused: what decides
            is the content (rows, columns, ranges, labels), compared whenever a set is read.
    """

    expected: ClassVar[str]
    sha256: ClassVar[Mapping[str, str]] = {}

    @property
    @abstractmethod
    def publisher(self) -> str:
        """Who is asked for a download and, where known, how much it is."""

    @abstractmethod
    def fetch(self, root: Path) -> None:
        """Get the files from their publisher."""

    def by_hand(self, root: Path) -> str:
        """How to get what is missing without a download."""
        return f"put {self.expected} in {root}"

    def remedy(self, root: Path) -> str:
        """A download, or what to put where."""
        return f"{DOWNLOAD} (from {self.publisher}), or {self.by_hand(root)}"

    def mend(self, problem: str) -> str:
        """Another copy, or another download."""
        return f"{super().mend(problem)}, or delete it and {DOWNLOAD}"

    def unknown(self, files: list[Path]) -> tuple[str, ...]:
        """Publishers pack their files anew: one of another checksum is told, not refused."""
        return tuple(path.name for path in files if not intact(path, self.sha256.get(path.name, "")))

    def load(self, root: Path, *, download: bool) -> Dataset:
        """Read the set, fetching it first if it is missing and `download` is set.

        Raises:
            DataError: files are missing (which, where it looked, how to get them), corrupt, hold something
                else than was published, or can't be fetched.
        """
        if download and not self.files(root):
            try:
                self._fetch_once(root)
            except _FAILURES as error:
                reason = one_line(error) or type(error).__name__
                raise DataError(
                    f"dataset {self.name}: download to {root} failed ({reason}); check the network and try "
                    f"again, or {self.by_hand(root)}"
                ) from error
        return super().load(root, download=download)

    def _fetch_once(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        # Two runs started together must not write the same file: look again what is missing once inside
        with FileLock(root / f".{self.name}.lock"):
            if not self.files(root):
                self.fetch(root)
            if not self.files(root):
                raise ValueError(f"it brought no {self.lacking(root)}")


def fetch_file(url: str, path: Path) -> None:
    """Download `url` to `path`, which appears only when it is complete.

    Raises:
        OSError: the server can't be reached, doesn't have it, or the disk is full.
    """
    from torchvision.datasets.utils import download_url

    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, lambda part: download_url(url, part.parent, part.name))


def fetch_from_archive(url: str, names: Collection[str], folder: Path) -> None:
    """Download the zip at `url` and put its files `names`, wherever they lie in it, into `folder`.

    Archives inside the archive are searched too: UCI has packed some sets twice.

    Raises:
        OSError: the download fails, or brings no zip.
        ValueError: the archive lacks a file.
        zipfile.BadZipFile: a file in it is damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder) as temporary:
        packed, unpacked = Path(temporary) / "archive.zip", Path(temporary) / "unpacked"
        fetch_file(url, packed)
        shutil.unpack_archive(packed, unpacked)
        for inner in [*unpacked.rglob("*.zip")]:
            shutil.unpack_archive(inner, inner.with_suffix(""))
        found = {path.name: path for path in unpacked.rglob("*") if path.is_file()}
        if lacking := [name for name in names if name not in found]:
            raise ValueError(f"{url} lacks {', '.join(lacking)}")
        for name in names:
            found[name].replace(folder / name)


def fetch_openml_csv(data_id: int, path: Path) -> None:
    """Write OpenML's table `data_id` to `path`: its features and, last, its target as column 'class'.

    scikit-learn compares the MD5 that OpenML gives.

    Raises:
        OSError: the download fails.
        ValueError: OpenML doesn't know the table, or the MD5 is wrong.
    """
    from sklearn.datasets import fetch_openml

    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=path.parent) as cache, warnings.catch_warnings():
        # Of every retry; if all fail, the last one's error says why
        warnings.filterwarnings("ignore", "A network error occurred", UserWarning)
        table = fetch_openml(data_id=data_id, data_home=cache, as_frame=True, parser="auto")
    columns = table.data.assign(**{"class": table.target})
    write_whole(path, lambda part: columns.to_csv(part, index=False))


def intact(path: Path, digest: str) -> bool:
    """Whether a file has this SHA-256 or MD5; publishers give the latter, against damage, not an enemy."""
    algorithm = "md5" if len(digest) == 32 else "sha256"
    with path.open("rb") as file:
        made = hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False))
    return made.hexdigest() == digest
