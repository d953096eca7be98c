"""What a dataset is, what every loader answers, and what those have in common that read files."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from uae_cli.errors import ConfigError, DataError, UaeError

if TYPE_CHECKING:
    from torch import Tensor

# Each way in which a set's files may lie below the data root
Places = tuple[tuple[str, ...], ...]
ROOT_HINT = "point UAE_DATA or data.root= to the folder that has it"


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Training and test samples in [0, 1], with where they come from.

    `x_*` are float32 of shape (N, C, H, W) for images and (N, d) for tables; `y_*` are int64 of shape
    (N,) and are never shown to an unsupervised model. `note` says what a partial or altered set lacks;
    it stands wherever a result made from the set stands. `*_rows`, where the loader made the split, are
    int64 of shape (N,): each sample's row number, from 0, in the source as it is read. `features` are the
    names of a table's d columns, where they have names; `files` are those of all rows of the source, where
    each is a file. `*_validation` are training samples that were set aside, and `aside` their places among
    the training samples before that, ascending; None where none were.

    Raises:
        DataError: a value is NaN or outside [0, 1], or samples and labels (or rows) disagree in number.
    """

    name: str
    x_train: "Tensor"
    y_train: "Tensor"
    x_test: "Tensor"
    y_test: "Tensor"
    source: str
    note: str = ""
    train_rows: "Tensor | None" = None
    test_rows: "Tensor | None" = None
    features: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    x_validation: "Tensor | None" = None
    y_validation: "Tensor | None" = None
    validation_rows: "Tensor | None" = None
    aside: "Tensor | None" = None

    def __post_init__(self) -> None:
        for split, x, y, rows in (
            ("train", self.x_train, self.y_train, self.train_rows),
            ("test", self.x_test, self.y_test, self.test_rows),
        ):
            _check_split(f"dataset {self.name}, {split} split", x, y, rows)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample: (C, H, W) or (d,)."""
        return tuple(self.x_train.shape[1:])

    @property
    def classes(self) -> int:
        """Number of classes, as far as the labels in use tell."""
        parts = (self.y_train, self.y_test, self.y_validation)
        return 1 + max(int(labels.max()) for labels in parts if labels is not None)

    @property
    def undivided(self) -> "Tensor":
        """The training samples in their own order, those that were set aside among them."""
        if self.x_validation is None:
            return self.x_train
        whole = self.x_train.new_empty((len(self.x_train) + len(self.x_validation), *self.shape))
        chosen = _at(self.aside, len(whole))
        whole[chosen], whole[~chosen] = self.x_validation, self.x_train
        return whole

    @property
    def for_validation(self) -> "Dataset | None":
        """The same with the samples set aside in the test samples' place; None where there are none."""
        if self.x_validation is None or self.y_validation is None:
            return None
        return replace(self, x_test=self.x_validation, y_test=self.y_validation, test_rows=None)

    def set_aside(self, share: float, seed: int) -> "Dataset":
        """Without this share of the training samples, drawn by seed, which become those for validation.

        Raises:
            ConfigError: that is none of the samples, or all.
        """
        if share == 0:
            return self
        import torch

        from uae_cli.randomness import generator

        there = len(self.x_train)
        count = round(share * there)
        if not 0 < count < there:
            raise ConfigError(
                f"data.validation_share = {share:g}: of {there} training samples that is "
                f"{'none' if count == 0 else 'all'}; use data.validation_share=0.2, or 0"
            )
        order = torch.randperm(there, generator=generator(seed, "validation", torch.device("cpu")))
        aside = order[:count].sort().values
        chosen, parts = _at(aside, there), dict[str, Any]()
        for name in ("x_train", "y_train", "train_rows"):
            if (whole := getattr(self, name)) is not None:
                parts[name] = whole[~chosen]
                parts[name.replace("train", "validation")] = whole[chosen]
        return replace(self, **parts, aside=aside)

    def first(self, n_train: int | None, n_test: int | None) -> "Dataset":
        """The first `n_train` training and `n_test` test samples (None keeps them all).

        Raises:
            DataError: more samples are asked for than there are.
        """
        for setting, wanted, there in (
            ("data.train_size", n_train, len(self.x_train)),
            ("data.test_size", n_test, len(self.x_test)),
        ):
            if wanted is not None and wanted > there:
                raise DataError(
                    f"{setting} = {wanted}: {self.name} has only {there}; use {setting}={there} or fewer"
                )
        parts: dict[str, Any] = {}
        for split, n in (("train", n_train), ("test", n_test)):
            names = (f"x_{split}", f"y_{split}", f"{split}_rows")
            parts |= {name: part[:n] for name in names if (part := getattr(self, name)) is not None}
        return replace(self, **parts)


@dataclass(frozen=True, kw_only=True)
class Availability:
    """Whether a dataset is at hand: the answer of `uae data`.

    `path` is the file or folder found, or the first place looked at; `unknown` names files of which no
    checksum is known, so that only their content was checked; `problem` says what is wrong with
    what is there (empty: nothing), `remedy` how to get what is missing or to mend what is wrong.
    """

    present: bool
    source: str
    path: Path | None = None
    size_bytes: int = 0
    remedy: str = ""
    note: str = ""
    problem: str = ""
    unknown: tuple[str, ...] = ()


@runtime_checkable
class Loader(Protocol):
    """One family of datasets; built from `conf/dataset/*.yaml` by its `_target_`."""

    @property
    def name(self) -> str:
        """The name that stands beside results."""
        ...

    def check(self, root: Path, *, verify: bool) -> Availability:
        """Look for the files below `root`; with `verify`, also compare checksums."""
        ...

    def load(self, root: Path, *, download: bool) -> Dataset:
        """Read the dataset from `root`, fetching it first if it is missing and `download` is set.

        Raises:
            DataError: the files are missing (which, where it looked, how to get them) or corrupt.
        """
        ...


class FileLoader(ABC):
    """A dataset that is read from files: what is missing or wrong is told alike for all of them.

    Attributes:
        name: as results call it.
        places: its files below the data root, in each of the ways in which they may lie there.
    """

    name: str
    places: ClassVar[Places] = ()

    def wanted(self, root: Path) -> list[Path]:
        """The files in the first of the `places` where the fewest are lacking."""
        ways = [[root / name for name in names] for names in self.places]
        return min(ways, key=lambda files: sum(not file.is_file() for file in files) / len(files))

    @property
    @abstractmethod
    def source(self) -> str:
        """Where the data come from, told beside results; empty: from the file they are in."""

    @abstractmethod
    def remedy(self, root: Path) -> str:
        """How to get what is missing."""

    @abstractmethod
    def read(self, files: list[Path]) -> Dataset:
        """Samples, labels and split from these files.

        Raises:
            DataError: one of them is corrupt or holds something else.
        """

    def files(self, root: Path) -> list[Path]:
        """The files that are read; empty if one of them is missing."""
        wanted = self.wanted(root)
        return wanted if all(path.is_file() for path in wanted) else []

    def mend(self, problem: str) -> str:  # noqa: ARG002 - what other loaders go by
        """The way out of a `problem` of files that are there."""
        return "replace it with an intact copy"

    def unknown(self, files: list[Path]) -> tuple[str, ...]:  # noqa: ARG002 - of files that bring their own
        """The files whose checksum isn't the known one, or of which none is known."""
        return ()

    def inspect(self, files: list[Path], *, verify: bool) -> str:
        """The note on files that are there; only with `verify` are their numbers read.

        Raises:
            DataError: they can't be used.
        """
        return self.read(files).note if verify else ""

    def check(self, root: Path, *, verify: bool) -> Availability:
        """Look for the files; with `verify`, read them and compare checksums where one is known."""
        files = self.files(root)
        first, *others = files or self.wanted(root)
        place = first.parent if others else first
        source = self.source or str(place)
        if not files:
            return Availability(present=False, path=place, source=source, remedy=self.remedy(root))
        note = problem = ""
        unknown = self.unknown(files) if verify else ()
        try:
            note = self.inspect(files, verify=verify)
        except UaeError as error:
            problem = str(error)
        return Availability(
            present=True,
            path=place,
            size_bytes=sum(path.stat().st_size for path in files),
            source=source,
            note=note,
            unknown=unknown,
            problem=problem,
            remedy=self.mend(problem) if problem else "",
        )

    def load(self, root: Path, *, download: bool) -> Dataset:  # noqa: ARG002 - nothing fetches these
        """Read the set.

        Raises:
            ConfigError: a setting that says what is read isn't given, or is at odds with the file.
            DataError: files are missing (which, where it looked, how to get them), corrupt, or hold
                something else.
        """
        files = self.files(root)
        if not files:
            raise self.not_found(root)
        try:
            return self.read(files)
        except DataError as error:
            raise DataError(f"dataset {self.name}: {error}; {self.mend(str(error))}") from None

    def not_found(self, root: Path) -> UaeError:
        """What is raised where a file is missing."""
        return DataError(f"dataset {self.name}: no {self.lacking(root)}; {self.remedy(root)}, or {ROOT_HINT}")

    def lacking(self, root: Path) -> str:
        """The files that are missing and their folder, in words."""
        lacking = [path for path in self.wanted(root) if not path.is_file()]
        return f"{', '.join(path.name for path in lacking)} in {lacking[0].parent}"


class OwnFile(FileLoader):
    """A file or folder of a user's own; messages name `dataset.path`, and their way out is in them.

    Attributes:
        path: of it.
        expected: what it may be, in words.
        example: a path as one gives it.
    """

    path: Path | None
    expected: ClassVar[str]
    example: ClassVar[str]

    def wanted(self, root: Path) -> list[Path]:  # noqa: ARG002 - it is where the user says
        """The one file."""
        if self.path is None:
            raise ConfigError(f"dataset.path: must be given, e.g. dataset.path={self.example}")
        return [self.path.expanduser()]

    @property
    def source(self) -> str:
        """The path."""
        return str(self.wanted(Path())[0])

    def remedy(self, root: Path) -> str:  # noqa: ARG002
        """What to give instead."""
        return f"give {self.expected}"

    def mend(self, problem: str) -> str:  # noqa: ARG002
        """Told with the problem."""
        return ""

    def load(self, root: Path, *, download: bool) -> Dataset:  # noqa: ARG002
        """Read the set; see `FileLoader.load`."""
        if files := self.files(root):
            return self.read(files)
        raise self.not_found(root)

    def not_found(self, root: Path) -> UaeError:
        """What is there instead, if anything."""
        (path,) = self.wanted(root)
        found = "is a folder" if path.is_dir() else "is a file" if path.is_file() else "no such file"
        return DataError(f"dataset.path = {path}: {found}; {self.remedy(root)}")


def _at(places: "Tensor | None", count: int) -> "Tensor":
    """A (count,) mask of these places."""
    import torch

    mask = torch.zeros(count, dtype=torch.bool)
    mask[places] = True
    return mask


def _check_split(what: str, x: "Tensor", y: "Tensor", rows: "Tensor | None") -> None:
    for each, name in ((y, "label"), (x if rows is None else rows, "row number")):
        if len(each) != len(x):
            raise DataError(f"{what}: {len(x)} samples but {len(each)} {name}s; give one {name} per sample")
    if len(x) == 0:
        raise DataError(f"{what}: no samples")
    if bool(x.isnan().any()):
        raise DataError(f"{what}: holds NaN; fill or drop missing values first")
    low, high = float(x.min()), float(x.max())
    if low < 0 or high > 1:
        raise DataError(f"{what}: values from {low:g} to {high:g}; scale them to [0, 1] first")
