"""What the datasets have in common that come as a few files from a publisher."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from uae_cli.datasets.base import Availability, Dataset
from uae_cli.datasets.download import fetch_file, fetching
from uae_cli.datasets.own_arrays import ROOT_HINT
from uae_cli.errors import DataError

_REPLACE = "replace it with an intact copy, or delete it and run with data.download=true"


class PublishedDataset(ABC):
    """Files in the data root, fetched from their publisher if they are missing and that is asked for.

    Attributes:
        name: as results call it.
        source: where the files come from, told beside results.
        expected: the files by name, as one tells a user to put them in the root.
        publisher: who is asked for a download and, where known, how much it is.
        sha256: of a file as it was at hand when this was written, by file name. Publishers give none, and
            other copies may be packed differently, so another one is told but not refused: what decides
            is the content (rows, columns, ranges, labels), compared whenever a set is read.
    """

    name: str
    source: ClassVar[str]
    expected: ClassVar[str]
    publisher: ClassVar[str]
    sha256: ClassVar[Mapping[str, str]] = {}

    @abstractmethod
    def files(self, root: Path) -> list[Path]:
        """The files that are read; empty if one of them is missing."""

    @abstractmethod
    def fetch(self, root: Path) -> None:
        """Get the files from their publisher."""

    @abstractmethod
    def read(self, files: list[Path]) -> Dataset:
        """Samples, labels and split from these files.

        Raises:
            DataError: one of them is corrupt or holds something else.
        """

    def check(self, root: Path, *, verify: bool) -> Availability:
        """Look for the files; with `verify`, read them and compare checksums where one is known."""
        files = self.files(root)
        if not files:
            return Availability(
                present=False,
                path=root,
                size_bytes=0,
                source=self.source,
                remedy=f"run with data.download=true (from {self.publisher}), or put {self.expected} "
                f"in {root}",
            )
        problem = note = ""
        if verify:
            try:
                note = self.read(files).note
                note = " ".join(part for part in (note, self._how_verified(files)) if part)
            except DataError as error:
                problem = str(error)
        return Availability(
            present=True,
            path=files[0] if len(files) == 1 else files[0].parent,
            size_bytes=sum(file.stat().st_size for file in files),
            source=self.source,
            note=note,
            problem=problem,
            remedy=_REPLACE if problem else "",
        )

    def load(self, root: Path, *, download: bool) -> Dataset:
        """Read the set, fetching it first if it is missing and `download` is set.

        Raises:
            DataError: files are missing (which, where it looked, how to get them), hold something else
                than was published, or can't be fetched.
        """
        if not self.files(root):
            if not download:
                raise DataError(
                    f"dataset {self.name}: not in {root}; run with data.download=true, put {self.expected} "
                    f"there, or {ROOT_HINT}"
                )
            with fetching(self.name, root, f"put {self.expected} in {root}"):
                if not self.files(root):
                    self.fetch(root)
        return self.read(self.files(root))

    def _how_verified(self, files: list[Path]) -> str:
        unknown = [file.name for file in files if _sha256(file) != self.sha256.get(file.name)]
        return f"Checked by content; no checksum is known of this {', '.join(unknown)}." if unknown else ""


class PublishedFile(PublishedDataset):
    """A set that is a single file, read as it comes.

    Attributes:
        expected: the file's name.
        url: where its publisher keeps it.
    """

    url: ClassVar[str]

    def files(self, root: Path) -> list[Path]:
        """The file."""
        path = root / self.expected
        return [path] if path.is_file() else []

    def fetch(self, root: Path) -> None:
        """The file from its publisher's server."""
        fetch_file(self.url, root / self.expected)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
