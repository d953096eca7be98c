"""Arrays in one `.npz` or `.npy` file: a user's own data, the partial sets, and any set kept offline."""

import math
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass

from uae_cli.datasets.base import ROOT_HINT, Dataset, FileLoader
from uae_cli.datasets.tabular import SplitSeed, Table, random_split
from uae_cli.errors import ConfigError, DataError, UaeError
from uae_cli.settings import STRICT
from uae_cli.text import gib, listed, one_line

if TYPE_CHECKING:
    from torch import Tensor

KEYS = ("x_train", "y_train", "x_test", "y_test")
SAMPLES = "uint8 images (N×H×W or N×H×W×C) or floats in [0, 1] (N×d, N×H×W or N×H×W×C)"
_MOST_SPARE = 1000  # outputs of a classifier to each class that there is
_FEWEST = 5  # samples in an .npy, of which one is to test
LABELS = "N integers from 0 up"

# What a damaged header makes NumPy raise, which reads it as Python; a size in it may be any
NO_ARRAY = (ValueError, SyntaxError, TokenError, TypeError, EOFError, OSError, MemoryError, OverflowError)
# What a damaged archive makes zipfile and zlib raise, besides BadZipFile for a wrong CRC.
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class NpzDataset(FileLoader):
    """`path`, or `NAME.npz` in the data root, with the keys x_train, y_train, x_test, y_test and note.

    Images are uint8, N×H×W×C or N×H×W, and come out as float32 of shape (N, C, H, W), divided by 255.
    Floats must lie in [0, 1] already: N×d for tables, N×H×W or N×H×W×C for images. Labels are integers
    from 0 up, as many as samples. `note` (a string) may be left out. Nothing in the file is ever unpickled,
    so a file can't run code.

    Attributes:
        name: as results call it.
        path: an .npz; or an .npy that is one array of samples, which are split 80/20 and have no labels.
        source: told beside results; empty, it is the file's path.
        scale: whether real numbers of any range and type are brought to [0, 1] by the smallest and largest
            of the training samples (one for all values, so that a signal keeps its form); told in the note.
        split_seed: draws the split of an .npy.
    """

    name: str
    path: Path | None = None
    source: str = ""
    scale: bool = False
    split_seed: SplitSeed = 0

    def wanted(self, root: Path) -> list[Path]:
        """The one file: `path` if given, else `NAME.npz` in `root`."""
        return [(self.path or root / f"{self.name}.npz").expanduser()]

    def remedy(self, root: Path) -> str:
        """What to put where."""
        (path,) = self.wanted(root)
        return f"put {path.name} (arrays {', '.join(KEYS)}; note, if you like) in {path.parent}"

    def mend(self, problem: str) -> str:
        """A file of the user's own may lack an array; a damaged one is to be had again."""
        if "lacks" in problem:
            return "save it again with all of them (labels are used by no unsupervised model: zeros will do)"
        if "corrupt" in problem:
            return "replace the file with an intact copy"
        scaling = any(words in problem for words in ("scale them", " is int", " is uint"))
        return f"mend the arrays and save them again{', or set dataset.scale=true' if scaling else ''}"

    def not_found(self, root: Path) -> UaeError:
        """A set of ours says its source; without one, this is a file of the user's own."""
        if self.path or self.source:
            return super().not_found(root)
        return ConfigError(
            f"dataset.path: must be given, e.g. dataset.path=mine.npz, for there is no "
            f"{self.wanted(root)[0]}; or {self.remedy(root)}, or {ROOT_HINT}"
        )

    def inspect(self, files: list[Path], *, verify: bool) -> str:
        """Look for the keys; with `verify`, read the file: CRCs, shapes, ranges."""
        (path,) = files
        if verify or path.suffix == ".npy":
            return self.read(files).note if verify else ""
        with _told_of(path):
            _check_archive(path, verify=False)
            return _read_note(path)

    def read(self, files: list[Path]) -> Dataset:
        """Read the file whole; an archive once its CRCs hold and it has all keys."""
        (path,) = files
        with _told_of(path):
            return self._read_single(path) if path.suffix == ".npy" else self._read_archive(path)

    def _read_archive(self, path: Path) -> Dataset:
        # Before any header is believed: a flipped bit in one could ask for terabytes.
        _check_archive(path, verify=True)
        with np.load(path, allow_pickle=False) as arrays:
            x_train, x_test = (_array(arrays, key, SAMPLES) for key in ("x_train", "x_test"))
            y_train, y_test = (_labels(arrays, key) for key in ("y_train", "y_test"))
        note = _read_note(path)
        if self.scale:
            (x_train, x_test), told = _scaled(x_train, x_train, x_test)
            note = f"{note} {told}".lstrip()
        train, test = array_samples(x_train, "x_train"), array_samples(x_test, "x_test")
        if train.shape[1:] != test.shape[1:]:
            shapes = f"{tuple(train.shape[1:])} in x_train and {tuple(test.shape[1:])} in x_test"
            raise DataError(f"samples have shapes {shapes}; expected one shape for both")
        return Dataset(
            name=self.name,
            x_train=train,
            y_train=y_train,
            x_test=test,
            y_test=y_test,
            source=self.source or str(path),
            note=note,
        )

    def _read_single(self, path: Path) -> Dataset:
        x = read_array(path)
        if x.ndim < 2 or len(x) < _FEWEST:
            found = f"{x.dtype} of shape {x.shape}"
            raise DataError(f"{found}; expected {_FEWEST} or more samples, N first: {SAMPLES}")
        (train, test), note = random_split(len(x), seed=self.split_seed), ""
        if self.scale:
            (x,), note = _scaled(x[train], x)
        table = Table(array_samples(x, "the array"), np.zeros(len(x), np.int64), train, test, note)
        return table.dataset(name=self.name, source=self.source or str(path))


def read_array(path: Path) -> NDArray[Any]:
    """The array of an .npy; of an .npz, x_train, x, or its only one. Nothing is unpickled.

    Raises:
        DataError: it can't be read, or holds several or none of these names.
    """
    try:
        read = np.load(path, allow_pickle=False)
        if isinstance(read, np.ndarray):
            return read
        with read:
            name = next((name for name in ("x_train", "x") if name in read.files), None)
            if name is None and len(read.files) != 1:
                raise DataError(f"holds {listed(read.files) or 'nothing'}; call the samples x")
            return _array(read, name or read.files[0], SAMPLES)
    except (*NO_ARRAY, *_BROKEN) as error:
        kind = f"{path.suffix} file of numbers"
        raise DataError(f"corrupt or no {kind} ({one_line(error)})") from None


def image_tensor(images: NDArray[Any]) -> "Tensor":
    """Images N×H×W or N×H×W×C as float32 (N, C, H, W); uint8 is divided by 255, floats keep their values.

    One copy at most, made in the final layout: the large sets are hundreds of megabytes.
    """
    channels_first = images[:, None] if images.ndim == 3 else np.moveaxis(images, -1, 1)
    tensor = _float_tensor(channels_first)
    return tensor.div_(255) if images.dtype == np.uint8 else tensor


def _float_tensor(array: NDArray[Any]) -> "Tensor":
    import torch

    # Too large for float32 becomes inf, which the range check of Dataset names.
    with np.errstate(over="ignore"):
        return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))


@contextmanager
def _told_of(path: Path) -> Iterator[None]:
    """Mistakes in this file name it."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def _check_archive(path: Path, *, verify: bool) -> None:
    """Refuse what is no archive of the four arrays; with `verify`, what is damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
            if verify:
                _check_sizes(archive)
            damaged = archive.testzip() if verify else None
    except _BROKEN as error:
        raise DataError(f"corrupt or no .npz file ({error})") from None
    if damaged:
        raise DataError(f"corrupt: {damaged} fails its checksum")
    if missing := [key for key in KEYS if f"{key}.npy" not in names]:
        lacks = f"lacks {', '.join(missing)}; expected the arrays {', '.join(KEYS)} (and note, if you like)"
        raise DataError(f"{lacks}")


def _check_sizes(archive: zipfile.ZipFile) -> None:
    """See whether the arrays are as large as they say, and fit into memory, before any is unpacked."""
    needed = 0
    for member in archive.infolist():
        with archive.open(member) as file:
            try:
                version = np.lib.format.read_magic(file)
                read = (
                    np.lib.format.read_array_header_1_0
                    if version == (1, 0)
                    else np.lib.format.read_array_header_2_0
                )
                shape, _, dtype = read(file)
            except (*NO_ARRAY, zipfile.BadZipFile, zlib.error):
                continue  # which the checksum tells, or whoever reads it
            count = math.prod(shape)
            if not dtype.hasobject and file.tell() + count * dtype.itemsize != member.file_size:
                raise DataError(f"corrupt: {member.filename} is shorter or longer than its header says")
            needed += count * (dtype.itemsize + 4)  # as it is, and as float32
    free = int(psutil.virtual_memory().available)
    if needed > free:
        raise DataError(
            f"its arrays take {gib(needed)} GiB, and {gib(free)} GiB of memory is free; use fewer samples"
        )


def _array(arrays: Mapping[str, NDArray[Any]], key: str, expected: str) -> NDArray[Any]:
    try:
        return np.asarray(arrays[key])
    except NO_ARRAY as error:
        # NumPy's own words for pickled objects advise allow_pickle=True, which must never happen here.
        reason = "it holds Python objects" if "bject arrays" in str(error) else str(error)
        raise DataError(f"{key} is refused: {reason}; expected {expected}") from None


def _scaled(seen: NDArray[Any], *parts: NDArray[Any]) -> tuple[list[NDArray[Any]], str]:
    """All parts in [0, 1], float32, by the range of what is seen; and what is told of it."""
    finite = all(part.dtype.kind in "biuf" and np.isfinite(part).all() for part in (seen, *parts))
    low, high = (float(seen.min()), float(seen.max())) if finite and seen.size else (0.0, 0.0)
    if low == high:
        raise DataError("dataset.scale needs finite real numbers, not all of them the same")
    made = [((part - low) / (high - low)).clip(0, 1).astype(np.float32) for part in parts]
    return made, f"Values from {low:g} to {high:g} were scaled to [0, 1]."


def array_samples(array: NDArray[Any], key: str) -> "Tensor":
    """Samples (N, *shape) float32 of an array as `SAMPLES` says; `key` names it in messages.

    Raises:
        DataError: it is of another type or shape, or empty.
    """
    is_float = array.dtype.kind == "f"
    if not (is_float and array.ndim in (2, 3, 4)) and not (array.dtype == np.uint8 and array.ndim in (3, 4)):
        raise DataError(f"{key} is {array.dtype} of shape {array.shape}; expected {SAMPLES}")
    if array.ndim == 4 and array.shape[-1] > 4:
        raise DataError(f"{key} has shape {array.shape}; expected channels last, at most 4 of them")
    if array.size == 0:
        raise DataError(f"{key} is empty, of shape {array.shape}; expected {SAMPLES}")
    return _float_tensor(array) if array.ndim == 2 else image_tensor(array)


def _labels(arrays: Mapping[str, NDArray[Any]], key: str) -> "Tensor":
    import torch

    array = _array(arrays, key, LABELS)
    if array.ndim != 1 or array.dtype.kind not in "iufb":
        raise DataError(f"{key} is {array.dtype} of shape {array.shape}; expected {LABELS}")
    if array.dtype.kind == "f" and not (np.isfinite(array).all() and (array == np.floor(array)).all()):
        raise DataError(f"{key} holds values that are no whole numbers; expected {LABELS}")
    if len(array) and not (array.min() >= 0 and array.max() < 2**31):
        raise DataError(f"{key} goes from {array.min()} to {array.max()}; expected {LABELS}")
    if len(array) and array.max() >= _MOST_SPARE * (1 + len(np.unique(array))):
        raise DataError(
            f"{key} has {len(np.unique(array))} different labels, of which the largest is {array.max()}; "
            "a classifier has an output for each number up to it: count the classes from 0 up"
        )
    return torch.from_numpy(array.astype(np.int64))


def _read_note(path: Path) -> str:
    expected = "a single string"
    with np.load(path, allow_pickle=False) as arrays:
        if "note" not in arrays:
            return ""
        note = _array(arrays, "note", expected)
    if note.ndim != 0 or note.dtype.kind != "U":
        raise DataError(f"note is {note.dtype} of shape {note.shape}; expected {expected}")
    return one_line(note)
