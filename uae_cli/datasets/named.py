"""Image sets that a library knows by name, here torchvision's; `hub` has Hugging Face's.

Nothing that is read may run code: what is a pickle without a checksum is refused.
"""

import dataclasses
import inspect
import pickle
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from http.client import HTTPException
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BeforeValidator
from pydantic.dataclasses import dataclass

from uae_cli.datasets.base import Availability, Dataset
from uae_cli.datasets.own_arrays import array_samples, image_tensor
from uae_cli.datasets.own_images import Size, read_images
from uae_cli.datasets.tabular import SplitSeed, Table, random_split
from uae_cli.errors import ConfigError, DataError, UaeError
from uae_cli.settings import STRICT
from uae_cli.text import nearest, one_line

if TYPE_CHECKING:
    from torch import Tensor

TRAIN, TEST = ("train", "trainval", "train-standard"), ("test", "validation", "valid", "val")
_PICKLED = {"LSUN"}  # of torchvision; CIFAR's pickles have checksums, which it compares before it reads them
_FOLDERS = {"DatasetFolder", "ImageFolder"}
# What servers, archives, damaged files and missing packages raise
FAILURES = (
    OSError,
    RuntimeError,
    ValueError,
    TypeError,
    KeyError,
    EOFError,
    ImportError,
    HTTPException,
    pickle.UnpicklingError,
)


def given(example: str) -> BeforeValidator:
    """Refuse null for a setting, with an example of what is given."""

    def check(value: object) -> object:
        if value is None:
            raise ValueError(f"must be given, e.g. {example}")
        return value

    return BeforeValidator(check)


@dataclasses.dataclass(frozen=True)
class Part:
    """A split of a set.

    Attributes:
        size: number of samples.
        samples: images one by one, or one array, as `own_arrays.array_samples` takes it.
        labels: one per sample, once the samples are read; or none.
    """

    size: int
    samples: Iterable[Image.Image] | NDArray[Any]
    labels: list[Any]

    def first(self, count: int | None) -> "Part":
        """The first so many of them; None for all."""
        some = self.samples
        samples = some[:count] if isinstance(some, np.ndarray) else islice(some, count)
        labels = self.labels[:count] if self.labels else self.labels  # an empty list may be filled by reading
        return Part(self.size if count is None else min(count, self.size), samples, labels)


class NamedDataset(ABC):
    """Images that a library knows by name: float32 (N, C, H, W) in [0, 1].

    The set's own train and test (or validation) are kept; a set without them is split 80/20.

    Attributes:
        name: as results call it.
        size: to resize images to, HEIGHTxWIDTH or the side of a square; None: they have one size already.
        gray: whether colour images become grey.
        split_seed: draws the split of a set that brings none.
    """

    name: str
    size: Size
    gray: bool
    split_seed: SplitSeed

    @property
    @abstractmethod
    def source(self) -> str:
        """Where the data come from, told beside results."""

    @abstractmethod
    def parts(self, root: Path, *, download: bool) -> list[Part]:
        """The training samples, and those to judge by if the set has some.

        Raises:
            DataError: the set isn't there, or can't be fetched or read.
            ConfigError: a setting is unknown, or a package is missing.
        """

    def check(self, root: Path, *, verify: bool) -> Availability:  # noqa: ARG002
        """Whether it is there; see `Loader.check`."""
        try:
            self.parts(root, download=False)
        except UaeError as error:
            return Availability(present=False, source=self.source, remedy=str(error))
        return Availability(present=True, source=self.source)

    def load(self, root: Path, *, download: bool) -> Dataset:
        """Read the set, fetching it first if it is missing and `download` is set; see `Loader.load`."""
        parts = self.parts(root, download=download)
        x, y, told = self.read(parts)
        first, whole = parts[0].size, sum(part.size for part in parts)
        split = np.arange(first), np.arange(first, whole)
        if len(parts) == 1:
            split = random_split(whole, seed=self.split_seed)
        note = " ".join(f"{sentence}." for sentence in ([*told, "No labels"] if y is None else told))
        table = Table(x, np.zeros(whole, np.int64) if y is None else y, *split, note)
        return table.dataset(name=self.name, source=self.source)

    def read(self, parts: Sequence[Part]) -> tuple["Tensor", NDArray[np.int64] | None, list[str]]:
        """Samples of all parts, their classes (N,) if each has one, and what was changed (`read_images`).

        Raises:
            DataError: they can't be read, differ in size, or aren't in [0, 1].
        """
        try:
            arrays = [part.samples for part in parts if isinstance(part.samples, np.ndarray)]
            if arrays:
                x, told = array_samples(np.concatenate(arrays), "the array"), list[str]()
            else:
                each = chain.from_iterable(part.samples for part in parts)
                images, told = read_images(each, self.size, gray=self.gray)
                x = image_tensor(images)
        except (DataError, *FAILURES) as error:
            raise DataError(f"dataset {self.name}: {one_line(error)}") from error
        labels = [label for part in parts for label in part.labels]
        if len(labels) < len(x) or not all(
            isinstance(label, int | np.integer) and label >= 0 for label in labels
        ):
            return x, None, told
        return x, np.array(labels, np.int64), told


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TorchvisionByName(NamedDataset):
    """Any image set of torchvision, by the name of its class: KMNIST, EMNIST, CIFAR100, STL10, ….

    Looked for in the data root, as torchvision lays it out.

    Attributes:
        name: of the class in `torchvision.datasets`; as results call it.
        options: what else its constructor wants, as EMNIST does: {split: letters}.
    """

    name: Annotated[str, given("dataset.name=KMNIST")]
    options: Mapping[str, Any] | None
    size: Size
    gray: bool
    split_seed: SplitSeed

    @property
    def source(self) -> str:
        """Torchvision and the class."""
        return f"torchvision {self.name}"

    def parts(self, root: Path, *, download: bool) -> list[Part]:
        """See `NamedDataset.parts`."""
        make, known = self._maker()
        settings: dict[str, Any] = {"root": root, "download": download}
        settings = {name: value for name, value in settings.items() if name in known}
        ways: list[list[dict[str, Any]]] = [[{}]]
        if "train" in known:
            ways = [[{"train": True}], [{"train": False}]]
        elif "split" in known and "split" not in (self.options or {}):
            ways = [[{"split": name} for name in names] for names in (TRAIN, TEST)]
        try:
            return [_part(_first(make, settings | dict(self.options or {}), way)) for way in ways]
        except FAILURES as error:
            fetch = "" if download or "download" not in known else ", or fetch it with data.download=true"
            raise DataError(
                f"dataset.name = {self.name}: torchvision can't read it in {root} ({one_line(error)}); put "
                f"its files there{fetch}; what its class needs is set in dataset.options={{NAME: VALUE}}"
            ) from error

    def _maker(self) -> tuple[Callable[..., Any], set[str]]:
        """The class, and what its constructor takes."""
        from torchvision import datasets

        classes = {name: getattr(datasets, name) for name in datasets.__all__}
        offered = {
            name: made
            for name, made in classes.items()
            if isinstance(made, type) and issubclass(made, datasets.VisionDataset) and name not in _FOLDERS
        }
        if self.name in _FOLDERS:
            raise ConfigError(f"dataset.name = {self.name}: a folder of your own is dataset=folder")
        if self.name in _PICKLED:
            raise ConfigError(
                f"dataset.name = {self.name}: torchvision reads a pickle for it, which may run code; make it "
                "a folder of images, dataset=folder"
            )
        if self.name not in offered:
            known = nearest(self.name, offered.keys() - _PICKLED)
            raise ConfigError(f"dataset.name = {self.name}: torchvision has no such set; {known}")
        return offered[self.name], _taken(offered[self.name])


def _taken(made: type) -> set[str]:
    """The names that a constructor takes, with those of its parent's where it passes on **kwargs."""
    names = set[str]()
    for each in (each for each in made.__mro__ if "__init__" in vars(each)):
        parameters = inspect.signature(each).parameters
        names |= parameters.keys()
        if all(one.kind is not one.VAR_KEYWORD for one in parameters.values()):
            break
    return names


def _first(make: Callable[..., Any], settings: Mapping[str, Any], ways: Sequence[Mapping[str, Any]]) -> Any:
    """The set made in the first of these ways that it knows."""
    for way in ways[:-1]:
        try:
            return make(**settings, **way)
        except ValueError as error:
            if "Unknown value" not in str(error):
                raise
    return make(**settings, **ways[-1])


def _part(made: Any) -> Part:
    labels: list[Any] = []

    def images() -> Iterator[object]:
        for position in range(len(made)):
            image, label = made[position]
            labels.append(label)
            yield image

    return Part(len(made), images_alone(images()), labels)


def images_alone(found: Iterable[object]) -> Iterator[Image.Image]:
    """The same one by one.

    Raises:
        ValueError: one is no image.
    """
    for position, image in enumerate(found):
        if not isinstance(image, Image.Image):
            raise ValueError(f"sample {position} is no image but a {type(image).__name__}")
        yield image
