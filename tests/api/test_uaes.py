"""UAEs in files, beside the samples they are of, and made anew while a model trains."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from uae_cli import Refresh, Uaes, augmented
from uae_cli.errors import ConfigError


def found(x: Tensor, names: tuple[str, ...] = ()) -> Uaes:
    """UAEs of all but the first sample, each brighter by 0.1."""
    success = torch.arange(len(x)) > 0
    moved = torch.where(success[:, None, None, None], x + 0.1, x)
    similarity = torch.zeros(len(x)).masked_fill(~success, torch.nan)
    f = torch.where(success, -1.0, 0.25)
    settings = {"alpha": 0.1, "delta_start": 0.05}
    return Uaes(moved, x, success, f, similarity, torch.arange(len(x)), settings, names)


@pytest.fixture
def x() -> Tensor:
    return torch.rand(3, 1, 4, 4) * 0.8


def test_what_is_saved_can_be_read_again(x: Tensor, tmp_path: Path) -> None:
    uaes = found(x, ("cat/a.jpg", "cat/b.jpg", "dog/a.jpg"))
    uaes.save(tmp_path)
    uaes.save(tmp_path)  # again, over its own files
    table = pd.read_csv(tmp_path / "uaes.csv")
    assert list(table.columns) == ["file", "index", "success", "f", "similarity", "delta_l2", "delta_linf"]
    assert table["file"].tolist() == ["cat/a.png", "cat/b.png", "dog/a.png"]
    np.testing.assert_allclose(table["delta_l2"], [0, 0.4, 0.4], atol=1e-6)
    np.testing.assert_allclose(table["delta_linf"], [0, 0.1, 0.1], atol=1e-6)
    pixels = np.asarray(Image.open(tmp_path / "images" / "cat" / "b.png"))
    np.testing.assert_array_equal(pixels, (255 * uaes.x[1, 0]).round().numpy())
    assert torch.equal(load_file(tmp_path / "uaes.safetensors")["x"], uaes.x)


def test_names_that_differ_by_their_ending_alone_are_kept_apart(x: Tensor, tmp_path: Path) -> None:
    found(x, ("a.jpg", "a.png", "b.png")).save(tmp_path, csv=False, safetensors=False)
    assert {path.name for path in (tmp_path / "images").iterdir()} == {"a.jpg.png", "a.png.png", "b.png.png"}


def test_no_images_are_written_of_what_is_none(x: Tensor, tmp_path: Path) -> None:
    found(2 * x - 1).save(tmp_path)
    assert not (tmp_path / "images").exists()
    assert pd.read_csv(tmp_path / "uaes.csv")["index"].tolist() == [0, 1, 2]


def test_other_files_in_the_folder_are_refused(x: Tensor, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ConfigError, match=r"holds other files \(thesis.tex\)"):
        found(x).save(tmp_path)


def test_why_there_is_no_uae_is_told(x: Tensor) -> None:
    text = found(x).summary()
    assert text.startswith("2 of 3 samples have a UAE, mean ‖δ‖₂ 0.4; 1 never reached f ≤ 0: smallest f 0.25")
    assert "attack.alpha=0.3" in text


def test_labels_come_along_shuffled_or_not(x: Tensor) -> None:
    data = augmented(TensorDataset(x, torch.tensor([7, 8, 9])), found(x))
    assert len(data) == 5
    images, labels = next(iter(DataLoader(data, batch_size=5)))
    assert labels.tolist() == [7, 8, 9, 8, 9]
    torch.testing.assert_close(images[3:], x[1:] + 0.1)
    shuffled = [
        label for _, batch in DataLoader(data, batch_size=2, shuffle=True) for label in batch.tolist()
    ]
    assert sorted(shuffled) == [7, 8, 8, 9, 9]


def test_samples_without_labels_stay_alone(x: Tensor) -> None:
    data = augmented(x, found(x))
    torch.testing.assert_close(data[-1], x[2] + 0.1)
    assert len(list(data)) == 5  # by position, until it raises IndexError


def test_uaes_of_another_dataset_are_refused(x: Tensor) -> None:
    with pytest.raises(ConfigError, match="UAEs of 3 samples, but the dataset has 2"):
        augmented(x[:2], found(x))


def test_uaes_are_made_anew_every_so_many_epochs(x: Tensor) -> None:
    seeds = list[int]()

    def attack(seed: int) -> Uaes:
        seeds.append(seed)
        return found(x)

    refresh = Refresh(x, attack, every=2)
    loader = DataLoader(refresh.data, batch_size=5, shuffle=True)
    sizes = []
    for epoch in range(5):
        assert refresh(epoch) == (epoch in (2, 4))
        sizes.append(len(next(iter(loader))))
    assert sizes == [3, 3, 5, 5, 5]
    assert seeds == [2, 4]
    with pytest.raises(ConfigError, match="every = 0"):
        Refresh(x, attack, every=0)
