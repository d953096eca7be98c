import numpy as np
import pytest
import torch
from published import checked_refusal, image, packed, refusal

from uae_cli.datasets import TinyImageNet, tiny_imagenet

LOADER = TinyImageNet(name="tiny_imagenet")
FOLDER, FILE = "tiny-imagenet-200", "tiny-imagenet-200.zip"
NAMES = ["n02124075", "n04067472", "n04540053"]


def jpeg(level, size=(64, 64), mode="RGB"):
    return image("JPEG", level if mode == "L" else (level, 0, 0), size, mode, quality=95)


@pytest.fixture
def members(monkeypatch):
    """Three classes of two images and four to validate, in the published layout; levels tell them apart."""
    for name, value in (("CLASSES", 3), ("IMAGES", 2), ("VALIDATION", 4)):
        monkeypatch.setattr(tiny_imagenet, name, value)
    made = {
        f"{FOLDER}/train/{name}/images/{name}_{number}.JPEG": jpeg(40 * place + 120 * number)
        for place, name in enumerate(NAMES)
        for number in range(2)
    }
    made |= {f"{FOLDER}/val/images/val_{i}.JPEG": jpeg(60 * i, mode="L") for i in range(4)}
    made[f"{FOLDER}/wnids.txt"] = "\n".join(NAMES).encode()
    labels = (2, 0, 1, 2)
    rows = [f"val_{i}.JPEG\t{NAMES[label]}\t0\t32\t44\t62\n" for i, label in enumerate(labels)]
    made[f"{FOLDER}/val/val_annotations.txt"] = "".join(rows).encode()
    return made


def test_both_splits_in_their_order(tmp_path, members):
    (tmp_path / FILE).write_bytes(packed(members))
    data = LOADER.load(tmp_path, download=False)
    assert (data.shape, len(data.x_train), len(data.x_test)) == ((3, 64, 64), 6, 4)
    assert data.y_train.tolist() == [0, 1, 2, 0, 1, 2]
    assert data.y_test.tolist() == [2, 0, 1, 2]
    red = (data.x_train[:, 0].mean((1, 2)) * 255).numpy()
    np.testing.assert_allclose(red, [0, 40, 80, 120, 160, 200], atol=3)
    assert torch.equal(data.x_test[:, 0], data.x_test[:, 2]), "grey images become colour"
    np.testing.assert_allclose((data.x_test.mean((1, 2, 3)) * 255).numpy(), [0, 60, 120, 180], atol=3)


def test_it_is_fetched_from_its_publisher(tmp_path, members, network):
    network[TinyImageNet.url] = packed(members)
    assert len(LOADER.load(tmp_path / "new", download=True).x_train) == 6
    assert (tmp_path / "new" / FILE).is_file()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({f"{FOLDER}/wnids.txt": None}, "lacks tiny-imagenet-200/wnids.txt"),
        ({f"{FOLDER}/wnids.txt": b"n02124075"}, "1 classes in wnids.txt; expected 3"),
        (
            {f"{FOLDER}/val/val_annotations.txt": b"val_0.JPEG n0"},
            "1 rows in val_annotations.txt; expected 4",
        ),
        ({f"{FOLDER}/val/val_annotations.txt": b"val_0.JPEG n0\n" * 4}, "names no class"),
        ({f"{FOLDER}/val/images/val_2.JPEG": None}, "lacks 1 of 4 images"),
        ({f"{FOLDER}/val/images/val_2.JPEG": jpeg(5, size=(64, 32))}, "val_2.JPEG is 64×32; expected 64×64"),
        ({f"{FOLDER}/val/images/val_2.JPEG": b"no image"}, "corrupt or no zip of images"),
    ],
)
def test_other_content_is_named(tmp_path, members, change, expected):
    (tmp_path / FILE).write_bytes(packed({**members, **change}))
    assert expected in checked_refusal(LOADER, tmp_path)


def test_what_is_missing_or_no_archive_is_told(tmp_path):
    assert f"put {FILE} there" in refusal(LOADER, tmp_path)
    assert "from Stanford University, 248 MB" in LOADER.check(tmp_path, verify=False).remedy
    (tmp_path / FILE).write_bytes(b"no archive")
    assert "corrupt or no zip of images" in refusal(LOADER, tmp_path)


def test_the_real_one(load_real):
    data = load_real(LOADER)
    assert (data.shape, len(data.x_train), len(data.x_test)) == ((3, 64, 64), 100_000, 10_000)
    assert data.y_test.bincount().tolist() == [50] * 200
