import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from published import checked_refusal, image, packed, refusal

from uae_cli.datasets import Coil20, TinyImageNet

COIL = Coil20(name="coil20", split_seed=0)
COIL_FILE = "coil-20-proc.zip"


def png(level, size=(128, 128), mode="L"):
    return image("PNG", level, size, mode)


@pytest.fixture(scope="module")
def views():
    """Every image in one grey level: object and view can be told from it."""
    grey = [png(level) for level in range(256)]
    return {f"obj{i}__{j}.png": grey[i * 3 + j] for i in range(1, 21) for j in range(72)}


def put_views(root, views):
    # Not in the order of objects and views: the publisher's isn't either
    (root / COIL_FILE).write_bytes(packed(dict(sorted(views.items())), "coil-20-proc/"))


def test_views_are_split_by_object(tmp_path, views):
    put_views(tmp_path, views)
    data = COIL.load(tmp_path, download=False)
    assert (data.shape, len(data.x_train), len(data.x_test)) == ((1, 20, 20), 1152, 288)
    assert set(data.y_train.bincount().tolist()) <= {57, 58}
    expected = (data.train_rows // 72 + 1) * 3 + data.train_rows % 72
    assert torch.equal((data.x_train * 255).round().long()[:, 0, 7, 7], expected)
    assert torch.equal(data.y_test, data.test_rows // 72)
    other = Coil20(name="coil20", split_seed=1).load(tmp_path, download=False)
    assert not torch.equal(other.test_rows, data.test_rows)
    assert COIL.check(tmp_path, verify=True).unknown == ("coil-20-proc.zip",)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"obj7__3.png": None}, "lacks 1 of 1,440 images, e.g. obj7__3.png"),
        ({"obj7__3.png": png(5, size=(64, 128))}, "obj7__3.png is 64×128 of mode L"),
        ({"obj7__3.png": png((1, 2, 3), mode="RGB")}, "of mode RGB"),
        ({"obj7__3.png": b"no image"}, "corrupt or no zip of images"),
        ({"obj7__3.png": png(5)[:80]}, "corrupt or no zip of images"),
    ],
)
def test_other_views_are_named(tmp_path, views, change, expected):
    put_views(tmp_path, {**views, **change})
    assert expected in checked_refusal(COIL, tmp_path)


def test_damage_is_found(tmp_path, views, flip):
    put_views(tmp_path, views)
    with zipfile.ZipFile(tmp_path / COIL_FILE) as archive:
        entry = archive.getinfo("coil-20-proc/obj7__3.png")
    flip(tmp_path / COIL_FILE, entry.header_offset + entry.compress_size)
    assert "corrupt" in refusal(COIL, tmp_path)
    (tmp_path / COIL_FILE).write_bytes(b"no archive")
    assert "corrupt or no zip of images" in refusal(COIL, tmp_path)


def test_coil_is_fetched_from_its_publisher(tmp_path, views, network):
    network[Coil20.url] = packed(views)
    assert len(COIL.load(tmp_path / "new", download=True).x_train) == 1152
    assert (tmp_path / "new" / COIL_FILE).is_file()


def test_missing_archive(tmp_path):
    assert f"put {COIL_FILE} in {tmp_path}" in refusal(COIL, tmp_path)
    assert "from Columbia University, 13 MB" in COIL.check(tmp_path, verify=False).remedy


def test_real_coil(load_real):
    data = load_real(COIL)
    assert (data.shape, len(data.x_train), len(data.x_test)) == ((1, 20, 20), 1152, 288)
    assert (data.y_train.bincount() + data.y_test.bincount()).tolist() == [72] * 20
    # Neighbouring views of an object look alike, those of other objects don't
    both = torch.cat([data.x_train, data.x_test])[torch.cat([data.train_rows, data.test_rows]).argsort()]
    views = both.flatten(1).reshape(20, 72, 400)
    turned = (views[:, 1:] - views[:, :-1]).square().mean()
    assert turned < 0.1 * (views[1:] - views[:-1]).square().mean()
    assert COIL.check(Path(os.environ["UAE_DATA"]), verify=True).note == ""
    assert np.isclose(float(both.mean()), 0.3, atol=0.15)


TINY = TinyImageNet(name="tiny_imagenet")
FOLDER, TINY_FILE = "tiny-imagenet-200", "tiny-imagenet-200.zip"
NAMES = ["n02124075", "n04067472", "n04540053"]


def jpeg(level, size=(64, 64), mode="RGB"):
    return image("JPEG", level if mode == "L" else (level, 0, 0), size, mode, quality=95)


@pytest.fixture
def members(monkeypatch):
    """Three classes of two images and four to validate, in the published layout; levels tell them apart."""
    for name, value in (("classes", 3), ("images_per_class", 2), ("validation_images", 4)):
        monkeypatch.setattr(TinyImageNet, name, value)
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
    (tmp_path / TINY_FILE).write_bytes(packed(members))
    data = TINY.load(tmp_path, download=False)
    assert (data.shape, len(data.x_train), len(data.x_test)) == ((3, 64, 64), 6, 4)
    assert data.y_train.tolist() == [0, 1, 2, 0, 1, 2]
    assert data.y_test.tolist() == [2, 0, 1, 2]
    red = (data.x_train[:, 0].mean((1, 2)) * 255).numpy()
    np.testing.assert_allclose(red, [0, 40, 80, 120, 160, 200], atol=3)
    assert torch.equal(data.x_test[:, 0], data.x_test[:, 2]), "grey images become colour"
    np.testing.assert_allclose((data.x_test.mean((1, 2, 3)) * 255).numpy(), [0, 60, 120, 180], atol=3)


def test_tiny_imagenet_is_fetched_from_its_publisher(tmp_path, members, network):
    network[TinyImageNet.url] = packed(members)
    assert len(TINY.load(tmp_path / "new", download=True).x_train) == 6
    assert (tmp_path / "new" / TINY_FILE).is_file()


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
        (
            {f"{FOLDER}/val/images/val_2.JPEG": jpeg(5, size=(64, 32))},
            "val_2.JPEG is 64×32 of mode RGB; expected 64×64",
        ),
        ({f"{FOLDER}/val/images/val_2.JPEG": b"no image"}, "corrupt or no zip of images"),
    ],
)
def test_other_photographs_are_named(tmp_path, members, change, expected):
    (tmp_path / TINY_FILE).write_bytes(packed({**members, **change}))
    assert expected in checked_refusal(TINY, tmp_path)


def test_what_is_missing_or_no_archive_is_told(tmp_path):
    assert f"put {TINY_FILE} in {tmp_path}" in refusal(TINY, tmp_path)
    assert "from Stanford University, 248 MB" in TINY.check(tmp_path, verify=False).remedy
    (tmp_path / TINY_FILE).write_bytes(b"no archive")
    assert "corrupt or no zip of images" in refusal(TINY, tmp_path)


def test_real_tiny_imagenet(load_real):
    data = load_real(TINY)
    assert (data.shape, len(data.x_train), len(data.x_test)) == ((3, 64, 64), 100_000, 10_000)
    assert data.y_test.bincount().tolist() == [50] * 200
