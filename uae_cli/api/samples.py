"""Samples as users have them: tensors and datasets; folders, files and sets by name, for `uae attack`."""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic.dataclasses import dataclass as settings_class
from torch import Tensor
from torch.utils.data import Dataset

from uae_cli.attacks import Criterion
from uae_cli.attacks.dataset import check_values
from uae_cli.datasets import ImageFolder, Loader
from uae_cli.datasets.command import default_root
from uae_cli.datasets.named import NamedDataset
from uae_cli.datasets.own_arrays import image_tensor, read_array
from uae_cli.datasets.own_images import read_images
from uae_cli.datasets.own_table import read_table
from uae_cli.errors import ConfigError, DataError
from uae_cli.experiment.compose import compose_jobs, register_resolvers
from uae_cli.experiment.schema import built
from uae_cli.settings import STRICT
from uae_cli.text import one_line

log = logging.getLogger(__name__)

_ARRAYS, _TABLES = (".npy", ".npz"), (".csv", ".parquet", ".pq")
# The setting that a name stands for, by what it begins with
_NAMED = {"torchvision": "name", "hub": "path"}
_PLACE = r"^dataset(\.name =|\.path =)? .*?: "  # what loaders' messages begin with


@settings_class(frozen=True, kw_only=True, config=STRICT)
class _Read:
    dataset: Loader


@dataclass(frozen=True)
class OwnSamples:
    """Samples (N, *shape) float32, their files' names if each is a file, and their classes (N,) if known."""

    x: Tensor
    names: tuple[str, ...] = ()
    labels: Tensor | None = None


def samples_of(x: "Tensor | Dataset[Any]") -> tuple[Tensor, Tensor | None]:
    """Samples (N, *shape) as float32 on the CPU, and labels (N,) where every item of a dataset brings one.

    Raises:
        DataError: there are none, or they differ in shape.
    """
    labels = None
    if not isinstance(x, Tensor):
        if not hasattr(x, "__getitem__"):
            raise DataError(
                f"samples: are a {type(x).__name__}; give a tensor, or a dataset (a loader's .dataset)"
            )
        items: Any = [x[position] for position in range(len(x))]  # type: ignore[arg-type]
        if items and isinstance(items[0], tuple | list):
            seconds = [item[1] for item in items if len(item) > 1 and _is_label(item[1])]
            labels = torch.tensor([int(one) for one in seconds]) if len(seconds) == len(items) else None
            items = [item[0] for item in items]
        shapes = sorted({tuple(torch.as_tensor(item).shape) for item in items})
        if len(shapes) > 1:
            raise DataError(
                f"samples: differ in shape, {shapes[0]} and {shapes[1]}; resize or pad them to one"
            )
        x = torch.stack([torch.as_tensor(item) for item in items]) if items else torch.empty(0)
    if x.ndim < 2 or not x.numel():
        raise DataError(
            f"samples: are of shape {tuple(x.shape)}; give (N, *shape), one row for each of N ≥ 1"
        )
    return x.detach().float().cpu(), labels


def labels_of(given: object, own: Tensor | None, count: int, criterion: Criterion) -> Tensor | None:
    """The classes (N,) int64 of N samples: those given, else the dataset's own.

    Raises:
        ConfigError: the criterion needs them and there are none; or they aren't one whole number a sample.
    """
    if given is None:
        if own is None and criterion.supervised:
            raise ConfigError(
                f"criterion: {type(criterion).__name__} needs the samples' classes; give labels=, or a "
                "dataset that brings them"
            )
        return own
    try:
        labels = torch.as_tensor(given).cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(f"labels: no tensor can be made of them ({one_line(error)})") from error
    whole = not (labels.is_floating_point() or labels.is_complex()) and labels.dtype != torch.bool
    if labels.shape != (count,) or not whole or bool((labels < 0).any()):
        raise ConfigError(
            f"labels: are {labels.dtype} of shape {tuple(labels.shape)}; give one whole number from 0 for "
            f"each of {count} samples"
        )
    return labels.long()


def in_unit_range(samples: Tensor, limits: tuple[float, float]) -> Tensor:
    """Samples on the scale [0, 1], of which 0 and 1 are `limits`.

    Raises:
        ConfigError: the limits are none.
        DataError: a value is no number or outside them.
    """
    low, span = limits[0], limits[1] - limits[0]
    if not span > 0:
        raise ConfigError(f"limits = {limits}: the first must be below the second")
    scaled = samples if limits == (0, 1) else (samples - low) / span
    check_values(scaled)
    return scaled


def _is_label(value: object) -> bool:
    return isinstance(value, int) or (isinstance(value, Tensor) and value.numel() == 1)


def read_samples(
    place: str, size: str | None, overrides: Sequence[str], *, gray: bool, most: int | None
) -> OwnSamples:
    """Read what `--data` names; of a named set the training samples.

    Images and uint8 arrays come out in [0, 1]; an array of floats keeps its values, and its shape, but for
    N×H×W×C with C ≤ 4, which becomes (N, C, H, W); of a table the numeric columns count.

    Args:
        place: a path, torchvision:NAME or hub:OWNER/NAME.
        size: to resize images to; None keeps theirs.
        overrides: of the settings of `dataset=folder`, torchvision or hub, as on the command line.
        gray: whether images become grey.
        most: how many to read; None for all.

    Raises:
        UaeError: there are none, or they can't be read, or a setting isn't known.
    """
    kind, colon, name = place.partition(":")
    path = Path(place)
    images = path.is_dir() or (bool(colon) and kind in _NAMED)
    chosen = [f"dataset.size={size}"] * bool(size) + ["dataset.gray=true"] * gray + [*overrides]
    try:
        if images:
            given = {"path": str(path)} if path.is_dir() else {_NAMED[kind]: name}
            return _read_images(_loader("folder" if path.is_dir() else kind, given, chosen), most)
        if chosen:
            raise ConfigError(
                f"{chosen[0]}: goes with a folder or a named set of images, and {place} is none"
            )
        if path.suffix.lower() not in (*_ARRAYS, *_TABLES) or not path.is_file():
            what = "of no kind that is read here" if path.exists() else "no such file"
            kinds = "a folder of images, .npy, .npz, .csv, .parquet, torchvision:NAME or hub:OWNER/NAME"
            raise DataError(f"{what}; give {kinds}")
        return OwnSamples(_read_numbers(path)[:most])
    except (DataError, ConfigError) as error:
        told = _as_options(str(error))
        if isinstance(error, ConfigError):
            raise ConfigError(told) from None
        raise DataError(f"--data {place}: {re.sub(_PLACE, '', told)}") from None


def _loader(group: str, given: dict[str, str], overrides: Sequence[str]) -> ImageFolder | NamedDataset:
    register_resolvers()
    config = compose_jobs(["~experiment", f"dataset={group}", *overrides], multirun=False, extra_dir=None)
    loader = built(_Read, {"dataset": config[0].config["dataset"] | given}).dataset
    assert isinstance(loader, ImageFolder | NamedDataset)  # as conf/dataset says of these three
    return loader


def _read_images(loader: ImageFolder | NamedDataset, most: int | None) -> OwnSamples:
    if isinstance(loader, NamedDataset):
        train, *_ = loader.parts(default_root(), download=True)
        x, y, told = loader.read([train.first(most)])
        names: tuple[str, ...] = ()
    else:
        if not (files := loader.files(Path())[:most]):
            raise loader.not_found(Path())
        (folder,) = loader.wanted(Path())
        images, told = read_images(files, loader.size, gray=loader.gray)
        x, y = image_tensor(images), None
        names = tuple(file.relative_to(folder).as_posix() for file in files)
    for sentence in told:
        log.warning("%s", _as_options(sentence))
    return OwnSamples(x, names, None if y is None else torch.from_numpy(y))


def _read_numbers(path: Path) -> Tensor:
    if path.suffix.lower() in _TABLES:
        read: Any = read_table(path).select_dtypes("number").to_numpy(np.float32)
    else:
        read = read_array(path)
    if read.dtype == np.uint8 and read.ndim > 2:
        return image_tensor(read)
    if read.dtype.kind not in "fiub":
        raise DataError(f"holds {read.dtype}, no numbers")
    last = read.ndim == 4 and read.shape[-1] <= 4 < read.shape[1]
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(read, -1, 1) if last else read, np.float32))


def _as_options(text: str) -> str:
    """A message of a loader's, with the options of `uae attack` for the settings that they stand for."""
    for theirs, ours in (
        ("dataset.size = ", "--size = "),
        ("dataset.size=", "--size "),
        ("dataset.gray=true", "--gray"),
    ):
        text = text.replace(theirs, ours)
    return text
