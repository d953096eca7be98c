"""A dataset of the Hugging Face hub, or a folder that `datasets` saved; no script of a dataset is run."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass

from uae_cli.datasets.named import FAILURES, TEST, TRAIN, NamedDataset, Part, given, images_alone
from uae_cli.datasets.own_images import Size
from uae_cli.datasets.tabular import SplitSeed
from uae_cli.errors import ConfigError, DataError
from uae_cli.settings import STRICT
from uae_cli.text import listed, nearest, one_line

_OLDEST = 4  # version of `datasets`, from which on it runs no scripts


@dataclass(frozen=True, kw_only=True, config=STRICT)
class HubDataset(NamedDataset):
    """A dataset of the Hugging Face hub, or a folder that `datasets` saved; Arrow and Parquet alone.

    Needs the extra `hub`. A dataset in any other format is refused, and one with a script is not run: the
    hub keeps a Parquet copy of most, at the revision refs/convert/parquet.

    Attributes:
        name: as results call it.
        path: OWNER/NAME on the hub, or a folder: of `save_to_disk`, or of Parquet files.
        config: which of the dataset's configurations, where it has several.
        revision: branch, tag or commit on the hub; a commit never changes.
        column: of the images, or of arrays (uint8, or floats in [0, 1]); null: the only one that there is.
        label: the column of classes (never shown to an unsupervised model); null: the only one, or none.
    """

    name: str
    path: Annotated[str, given("dataset.path=ylecun/mnist")]
    config: str | None
    revision: str | None
    column: str | None
    label: str | None
    size: Size
    gray: bool
    split_seed: SplitSeed

    @property
    def source(self) -> str:
        """The path, and the revision."""
        return f"Hugging Face {self.path}{f'@{self.revision}' if self.revision else ''}"

    def parts(self, root: Path, *, download: bool) -> list[Part]:  # noqa: ARG002 - it has a place of its own
        """See `NamedDataset.parts`."""
        try:
            splits = self._splits(download=download)
        except FAILURES as error:
            way = "give OWNER/NAME as on the hub, or a folder that `datasets` saved"
            raise DataError(f"dataset.path = {self.path}: can't be had ({one_line(error)}); {way}") from error
        if len(splits) == 1:
            return [self._part(*splits.values())]
        chosen = [next((name for name in names if name in splits), None) for names in (TRAIN, TEST)]
        if None in chosen:
            raise DataError(
                f"dataset.path = {self.path}: has the splits {listed(splits)}, none of them called "
                f"{'train' if chosen[0] is None else 'test'}; give the folder of one of them, "
                "saved by save_to_disk"
            )
        return [self._part(splits[str(name)]) for name in chosen]

    def _splits(self, *, download: bool) -> dict[str, Any]:
        datasets = _library()
        folder = Path(self.path).expanduser()
        if not download and not folder.is_dir():
            raise ValueError(
                "no such folder, and data.download=false; what was fetched once needs no network"
            )
        if any((folder / name).is_file() for name in ("dataset_dict.json", "state.json")):
            read = datasets.load_from_disk(str(folder))
            return dict(read) if isinstance(read, datasets.DatasetDict) else {"all": read}
        from datasets.packaged_modules.arrow.arrow import Arrow
        from datasets.packaged_modules.parquet.parquet import Parquet

        place = str(folder) if folder.is_dir() else self.path
        builder = datasets.load_dataset_builder(place, self.config, revision=self.revision)
        if not isinstance(builder, Arrow | Parquet):
            found = type(builder).__module__.rpartition(".")[2]
            raise DataError(
                f"dataset.path = {self.path}: is in the format {found}, and only Arrow and Parquet are read; "
                "the hub keeps a Parquet copy of most, dataset.revision=refs/convert/parquet"
            )
        builder.download_and_prepare()
        return dict(builder.as_dataset())

    def _part(self, split: Any) -> Part:
        from datasets import ClassLabel
        from datasets import Image as Images

        features: Mapping[str, Any] = split.features
        images = [name for name, feature in features.items() if isinstance(feature, Images)]
        arrays = [name for name, feature in features.items() if _is_array(feature)]
        column = self._chosen("column", self.column, images or arrays, features)
        classes = [name for name, feature in features.items() if isinstance(feature, ClassLabel)]
        label = self.label or (classes[0] if len(classes) == 1 else None)
        labels: list[Any] = []
        if label is not None:
            self._chosen("label", label, classes, features)
            if "int" not in str(getattr(features[label], "dtype", "")):
                raise ConfigError(
                    f"dataset.label = {label}: holds {features[label]}, no whole numbers from 0 up"
                )
            labels = list(split[label])
        if column not in images:
            return Part(len(split), _bytes(np.asarray(split.with_format("numpy")[column][:])), labels)
        pictures = split.select_columns([column])
        return Part(len(split), images_alone(row[column] for row in pictures), labels)

    def _chosen(self, setting: str, given: str | None, found: Sequence[str], known: Iterable[str]) -> str:
        if given is not None and given not in known:
            raise ConfigError(f"dataset.{setting} = {given}: no such column; {nearest(given, known)}")
        if given is None and len(found) != 1:
            raise ConfigError(
                f"dataset.path = {self.path}: has {'several columns' if found else 'no column'} of images or "
                f"arrays; choose one of {listed(known)}: dataset.{setting}=NAME"
            )
        return found[0] if given is None else given


def _library() -> Any:
    try:
        import datasets

        version = datasets.__version__
    except (ImportError, AttributeError):  # a folder called datasets can be imported, and is nothing
        raise ConfigError("dataset = hub: needs Hugging Face's package; pip install 'uae[hub]'") from None
    if int(version.partition(".")[0]) < _OLDEST:
        raise ConfigError(
            f"dataset = hub: datasets {version} may run a dataset's script; pip install 'datasets>={_OLDEST}'"
        )
    return datasets


def _is_array(feature: Any) -> bool:
    """Whether a column holds arrays of numbers, of one shape or another."""
    nested = hasattr(feature, "shape")
    while getattr(feature, "feature", None) is not None:
        feature, nested = feature.feature, True
    return nested and any(kind in str(getattr(feature, "dtype", "")) for kind in ("int", "float"))


def _bytes(array: NDArray[Any]) -> NDArray[Any]:
    """Whole numbers from 0 to 255 as uint8, which the library makes int64."""
    fits = array.dtype.kind in "iu" and array.size and array.min() >= 0 and array.max() <= 255
    return array.astype(np.uint8) if fits else array
