"""Sets by name: torchvision's, and what Hugging Face's `datasets` reads; nothing that is read runs code."""

import struct
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torchvision.datasets
from PIL import Image
from torchvision.datasets.utils import verify_str_arg

from uae_cli.datasets import HubDataset, TorchvisionByName
from uae_cli.errors import ConfigError, DataError

FAKE = {"size": 20, "image_size": [3, 6, 5], "num_classes": 4}


def by_name(name: str | None, **changes: Any) -> TorchvisionByName:
    settings: dict[str, Any] = {"options": None, "size": None, "gray": False, "split_seed": 0}
    return TorchvisionByName(name=name, **(settings | changes))


def hub(path: object, **changes: Any) -> HubDataset:
    settings: dict[str, Any] = dict.fromkeys(("config", "revision", "column", "label", "size"))
    return HubDataset(name="hub", path=str(path), **(settings | {"gray": False, "split_seed": 0} | changes))


def write_idx(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    )


def test_a_set_without_a_split_is_split_at_random(tmp_path: Path) -> None:
    data = by_name("FakeData", options=FAKE).load(tmp_path, download=False)
    assert (data.x_train.shape, data.x_test.shape) == ((16, 3, 6, 5), (4, 3, 6, 5))
    assert data.source == "torchvision FakeData"
    whole = torchvision.datasets.FakeData(**FAKE)
    assert data.train_rows is not None
    for x, y, row in zip(data.x_train, data.y_train, data.train_rows.tolist(), strict=True):
        image, label = whole[row]
        assert torch.equal(x, torch.from_numpy(np.asarray(image).copy()).movedim(-1, 0) / 255)
        assert int(y) == int(label)


def test_images_are_resized_and_made_grey_and_that_is_told(tmp_path: Path) -> None:
    data = by_name("FakeData", options=FAKE, size="4x3", gray=True).load(tmp_path, download=False)
    assert data.shape == (1, 4, 3)
    assert "20 of 20 images were resized to 4×3" in data.note
    assert "20 of 20 images were made grey" in data.note


def test_torchvisions_own_split_is_kept(tmp_path: Path) -> None:
    draw, images = np.random.default_rng(0), {}
    for stem, count in (("train", 6), ("t10k", 3)):
        images[stem] = draw.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        write_idx(tmp_path / f"KMNIST/raw/{stem}-images-idx3-ubyte", images[stem])
        write_idx(tmp_path / f"KMNIST/raw/{stem}-labels-idx1-ubyte", np.arange(count, dtype=np.uint8))
    loader = by_name("KMNIST")
    assert loader.check(tmp_path, verify=False).present
    data = loader.load(tmp_path, download=False)
    assert torch.equal(data.x_train, torch.from_numpy(images["train"])[:, None] / 255)
    assert torch.equal(data.x_test, torch.from_numpy(images["t10k"])[:, None] / 255)
    assert data.y_test.tolist() == [0, 1, 2]


class Validated(torchvision.datasets.VisionDataset):
    """Like those that call their second split val, and give no classes."""

    def __init__(self, root: Path, split: str = "train", download: bool = False) -> None:
        super().__init__(root)
        self.count = {"train": 6, "val": 2}[verify_str_arg(split, "split", ("train", "val"))]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Image.Image, str]:
        return Image.new("L", (4, 4), index), "no class"


def test_a_second_split_of_another_name_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision.datasets, "STL10", Validated)
    data = by_name("STL10").load(tmp_path, download=False)
    assert (len(data.x_train), len(data.x_test)) == (6, 2)
    assert "No labels" in data.note


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("KMIST", "torchvision has no such set; did you mean KMNIST"),
        ("LSUN", "reads a pickle for it, which may run code"),
        ("ImageFolder", "is dataset=folder"),
        ("KMNIST", "can't read it in .*; put its files there, or fetch it with data.download=true"),
        ("EMNIST", "missing 1 required positional argument: 'split'.*dataset.options="),
    ],
)
def test_mistakes_in_a_torchvision_name_are_told(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises((ConfigError, DataError), match=message) as error:
        by_name(name).load(tmp_path, download=False)
    assert "\n" not in str(error.value)
    assert not by_name(name).check(tmp_path, verify=False).present


def test_without_the_package_or_with_an_old_one_the_way_out_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ConfigError, match=r"pip install 'uae\[hub\]'"):
        hub(tmp_path).load(tmp_path, download=False)
    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(__version__="3.6.0"))
    with pytest.raises(ConfigError, match="may run a dataset's script"):
        hub(tmp_path).load(tmp_path, download=False)


@pytest.fixture
def datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    pytest.importorskip("datasets", minversion="4")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()
    return datasets


def saved(datasets: Any, count: int, first: int = 0) -> Any:
    features = datasets.Features(
        {
            "picture": datasets.Image(),
            "label": datasets.ClassLabel(names=["a", "b"]),
            "id": datasets.Value("int64"),
        }
    )
    pictures = [Image.new("L", (5, 4), first + n) for n in range(count)]
    rows = {"picture": pictures, "label": [n % 2 for n in range(count)], "id": [*range(count)]}
    return datasets.Dataset.from_dict(rows, features=features)


@pytest.mark.parametrize("kind", ["saved", "parquet"])
def test_a_dataset_on_disk_keeps_its_splits(kind: str, datasets: Any, tmp_path: Path) -> None:
    splits = {"train": saved(datasets, 6), "test": saved(datasets, 3, first=50)}
    if kind == "saved":
        datasets.DatasetDict(splits).save_to_disk(tmp_path / "d")
    else:
        for name, split in splits.items():
            split.to_parquet(tmp_path / "d" / "data" / f"{name}-00000-of-00001.parquet")
    data = hub(tmp_path / "d").load(tmp_path, download=False)
    assert data.shape == (1, 4, 5)
    assert (255 * data.x_train[:, 0, 0, 0]).round().tolist() == [*range(6)]
    assert (255 * data.x_test[:, 0, 0, 0]).round().tolist() == [50, 51, 52]
    assert data.y_train.tolist() == [0, 1, 0, 1, 0, 1]


def test_arrays_and_a_label_by_name(datasets: Any, tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((10, 3), np.float32)
    datasets.Dataset.from_dict({"vector": x, "kind": [3] * 10}).save_to_disk(tmp_path / "d")
    data = hub(tmp_path / "d", label="kind").load(tmp_path, download=False)
    assert data.shape == (3,)
    assert data.train_rows is not None
    np.testing.assert_array_equal(data.x_train, x[data.train_rows])
    assert data.y_test.tolist() == [3, 3]
    with pytest.raises(ConfigError, match="no such column; did you mean kind"):
        hub(tmp_path / "d", label="kinds").load(tmp_path, download=False)


def test_what_might_run_code_or_is_no_table_is_refused(datasets: Any, tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "s.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(DataError, match="scripts are no longer supported"):
        hub(tmp_path / "s").load(tmp_path, download=True)
    assert not (tmp_path / "ran").exists()
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "t.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="is in the format csv, and only Arrow and Parquet are read"):
        hub(tmp_path / "c").load(tmp_path, download=True)


def test_other_mistakes_with_a_dataset_are_told(datasets: Any, tmp_path: Path) -> None:
    datasets.DatasetDict({"a": saved(datasets, 5), "b": saved(datasets, 5)}).save_to_disk(tmp_path / "d")
    with pytest.raises(DataError, match="has the splits a, b, none of them called train"):
        hub(tmp_path / "d").load(tmp_path, download=False)
    datasets.Dataset.from_dict({"a": [1], "b": [2.0]}).save_to_disk(tmp_path / "e")
    with pytest.raises(ConfigError, match="has no column of images or arrays; choose one of a, b"):
        hub(tmp_path / "e").load(tmp_path, download=False)
    with pytest.raises(DataError, match=r"no such folder, and data\.download=false"):
        hub("nobody/nothing").load(tmp_path, download=False)
