import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from published import checked_refusal, image, packed, refusal

from uae_cli.datasets import Coil20

LOADER = Coil20(name="coil20", split_seed=0)
FILE = "coil-20-proc.zip"


def png(level, size=(128, 128), mode="L"):
    return image("PNG", level, size, mode)


@pytest.fixture(scope="module")
def images():
    """Every image in one grey level: object and view can be told from it."""
    grey = [png(level) for level in range(256)]
    return {f"obj{i}__{j}.png": grey[i * 3 + j] for i in range(1, 21) for j in range(72)}


def put(root, images):
    # Not in the order of objects and views: the publisher's isn't either
    (root / FILE).write_bytes(packed(dict(sorted(images.items())), "coil-20-proc/"))


def test_views_are_split_by_object(tmp_path, images):
    put(tmp_path, images)
    data = LOADER.load(tmp_path, download=False)
    assert (data.shape, len(data.x_train), len(data.x_test)) == ((1, 20, 20), 1152, 288)
    assert set(data.y_train.bincount().tolist()) <= {57, 58}
    expected = (data.train_rows // 72 + 1) * 3 + data.train_rows % 72
    assert torch.equal((data.x_train * 255).round().long()[:, 0, 7, 7], expected)
    assert torch.equal(data.y_test, data.test_rows // 72)
    other = Coil20(name="coil20", split_seed=1).load(tmp_path, download=False)
    assert not torch.equal(other.test_rows, data.test_rows)
    assert "no checksum is known" in LOADER.check(tmp_path, verify=True).note


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
def test_other_content_is_named(tmp_path, images, change, expected):
    put(tmp_path, {**images, **change})
    assert expected in checked_refusal(LOADER, tmp_path)


def test_damage_is_found(tmp_path, images, flip):
    put(tmp_path, images)
    with zipfile.ZipFile(tmp_path / FILE) as archive:
        entry = archive.getinfo("coil-20-proc/obj7__3.png")
    flip(tmp_path / FILE, entry.header_offset + entry.compress_size)
    assert "corrupt" in refusal(LOADER, tmp_path)
    (tmp_path / FILE).write_bytes(b"no archive")
    assert "corrupt or no zip of images" in refusal(LOADER, tmp_path)


def test_it_is_fetched_from_its_publisher(tmp_path, images, network):
    network[Coil20.url] = packed(images)
    assert len(LOADER.load(tmp_path / "new", download=True).x_train) == 1152
    assert (tmp_path / "new" / FILE).is_file()


def test_missing_archive(tmp_path):
    assert f"put {FILE} there" in refusal(LOADER, tmp_path)
    assert "from Columbia University, 13 MB" in LOADER.check(tmp_path, verify=False).remedy


def test_real_coil(load_real):
    data = load_real(LOADER)
    assert (data.shape, len(data.x_train), len(data.x_test)) == ((1, 20, 20), 1152, 288)
    assert (data.y_train.bincount() + data.y_test.bincount()).tolist() == [72] * 20
    # Neighbouring views of an object look alike, those of other objects don't
    both = torch.cat([data.x_train, data.x_test])[torch.cat([data.train_rows, data.test_rows]).argsort()]
    views = both.flatten(1).reshape(20, 72, 400)
    turned = (views[:, 1:] - views[:, :-1]).square().mean()
    assert turned < 0.1 * (views[1:] - views[:-1]).square().mean()
    assert LOADER.check(Path(os.environ["UAE_DATA"]), verify=True).note == ""
    assert np.isclose(float(both.mean()), 0.3, atol=0.15)
