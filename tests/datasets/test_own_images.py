from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from uae_cli.datasets import ImageFolder
from uae_cli.errors import ConfigError, DataError

DEFAULTS = {"name": "folder", "size": None, "gray": False, "labels": True, "split_seed": 0}
DRAW = np.random.default_rng(0)
GREY, COLOUR = (4, 6), (4, 6, 3)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "imgs"


def put(folder, name, shape=GREY, **saved):
    """An image of random pixels, which are returned."""
    pixels = DRAW.integers(0, 256, shape, dtype=np.uint8)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(folder / name, **saved)
    return pixels


def load(folder, **settings):
    return ImageFolder(**DEFAULTS | settings, path=folder).load(Path("/nonexistent"), download=False)


def whole(data):
    """Images (N, H, W, C) from 0 to 255 and labels, in the order of the files."""
    order = torch.cat([data.train_rows, data.test_rows]).argsort()
    x = torch.cat([data.x_train, data.x_test])[order]
    return (x.permute(0, 2, 3, 1) * 255).round().numpy(), torch.cat([data.y_train, data.y_test])[order]


def refusal(folder, error=DataError, **settings):
    with pytest.raises(error) as caught:
        load(folder, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_pixels_and_names_are_kept_at_any_depth(folder):
    names = ["a.png", "b/c.PNG", "b/d/e.bmp", "f.tif", "g.png"]
    pixels = [put(folder, name) for name in names]
    (folder / "notes.txt").write_text("no image")
    (folder / "._a.png").write_bytes(b"what macOS leaves beside a.png")
    data = load(folder)
    assert data.files == tuple(names)
    assert data.shape == (1, 4, 6)
    assert np.array_equal(whole(data)[0][..., 0], pixels)
    assert (len(data.x_train), len(data.x_test), data.source) == (4, 1, str(folder))
    assert data.note == "No labels: some images lie beside the subfolders."
    assert data.classes == 1


def test_folders_are_classes_and_alike_in_both_parts(folder):
    for name in ("cat", "dog/old", "dog/young"):
        for i in range(10):
            put(folder, f"{name}/{i}.png", COLOUR)
    data = load(folder)
    assert whole(data)[1].tolist() == [0] * 10 + [1] * 20
    assert data.y_test.bincount().tolist() == [2, 4]
    assert (data.note, data.shape) == ("", (3, 4, 6))
    assert load(folder, labels=False).classes == 1
    assert not torch.equal(load(folder, split_seed=1).test_rows, data.test_rows)


@pytest.mark.parametrize("held_out", ["test", "val"])
def test_a_split_by_folders_is_kept(folder, held_out):
    for part, count in (("train", 3), (held_out, 2)):
        for i in range(count):
            put(folder, f"{part}/{'ab'[i % 2]}/{i}.png")
    data = load(folder)
    assert [data.files[row] for row in data.test_rows] == [f"{held_out}/a/0.png", f"{held_out}/b/1.png"]
    assert (data.y_train.tolist(), data.y_test.tolist()) == ([0, 0, 1], [0, 1])


def test_any_size_is_resized_and_told(folder):
    for i, shape in enumerate([(8, 8), (8, 8), (5, 9), (30, 20, 3), (16, 16, 3)]):
        pixels = put(folder, f"{i}.png", shape)
    data = load(folder, size="8x16")
    assert data.shape == (3, 8, 16)
    assert data.note == (
        "5 of 5 images were resized to 8×16. "
        "3 of 5 images were made colour, as others are (dataset.gray=true makes all grey)."
    )
    expected = Image.fromarray(pixels).resize((16, 8), Image.Resampling.BICUBIC)
    assert np.array_equal(whole(data)[0][4], expected)
    assert load(folder, size=8).shape == (3, 8, 8)


def test_mixed_sizes_are_refused_with_the_sizes(folder):
    for i in range(6):
        put(folder, f"{i}.png", (4, 6) if i < 4 else (7, 9 + i))
    message = refusal(folder)
    assert f"dataset.path = {folder}: the images have 3 sizes, height x width: 4x6 (4), 7x13 (1)" in message
    assert message.endswith("resize them with, e.g., dataset.size=4x6")


def test_grey_beside_colour(folder):
    grey = [put(folder, f"a{i}.png") for i in range(4)]
    colour = put(folder, "b.png", COLOUR)
    assert np.array_equal(whole(load(folder))[0], [*(np.repeat(g[..., None], 3, -1) for g in grey), colour])
    data = load(folder, gray=True)
    assert data.note == "1 of 5 images were made grey."
    as_grey = np.asarray(Image.fromarray(colour).convert("L"))
    assert np.array_equal(whole(data)[0][..., 0], [*grey, as_grey])


def test_what_is_transparent_is_laid_on_white(folder):
    for i in range(4):
        put(folder, f"a{i}.png")
    pixels = put(folder, "b.png", (4, 6, 4))
    data = load(folder)
    alpha = pixels[..., 3:] / 255
    np.testing.assert_allclose(whole(data)[0][4], pixels[..., :3] * alpha + 255 * (1 - alpha), atol=1)
    assert "1 of 5 images were laid on white where they are transparent." in data.note


def test_deep_images_keep_their_upper_bits(folder):
    folder.mkdir()
    deep = DRAW.integers(0, 2**16, (5, 4, 6), dtype=np.uint16)
    for i, pixels in enumerate(deep):
        Image.fromarray(pixels).save(folder / f"{i}.png")
    data = load(folder)
    assert np.array_equal(whole(data)[0][..., 0], deep >> 8)
    assert data.note == "5 of 5 images were cut from 16 to 8 bits."


def test_photographs_are_turned_as_the_camera_says(folder):
    exif = Image.Exif()
    exif[0x0112] = 6  # the top is on the right
    pixels = [put(folder, f"{i}.png", COLOUR, exif=exif) for i in range(5)]
    data = load(folder)
    assert data.shape == (3, 6, 4)
    assert np.array_equal(whole(data)[0], [np.rot90(each, -1) for each in pixels])


def test_what_is_no_image_is_named(folder):
    for i in range(5):
        put(folder, f"{i}.png")
    (folder / "5.png").write_bytes(b"no image")
    (folder / "6.png").write_bytes((folder / "0.png").read_bytes()[:60])
    Image.fromarray(np.zeros((4, 6), np.float32)).save(folder / "7.tif")
    message = refusal(folder)
    assert "3 files can't be read as images: 5.png, 6.png, 7.tif (cannot identify" in message
    assert message.endswith("mend or remove them")


@pytest.mark.parametrize(
    ("names", "settings", "expected"),
    [
        ([], {}, "no such file; give a folder of images (.bmp, "),
        (["a.txt"], {}, "no images in this folder; give a folder of images (.bmp, "),
        (["a.png", "b.png"], {}, "only 2 images; at least 5 are needed"),
        ([f"{i}/a.png" for i in range(6)], {}, "or go without labels: dataset.labels=false"),
    ],
)
def test_what_no_experiment_can_use_is_named(folder, names, settings, expected):
    for name in names:
        put(folder, name) if name.endswith("png") else (folder.mkdir(), (folder / name).write_text(""))
    assert expected in refusal(folder, **settings)


def test_a_path_is_needed_and_is_a_folder(tmp_path):
    assert refusal(None, ConfigError) == "dataset.path: must be given, e.g. dataset.path=imgs/"
    (tmp_path / "a.png").write_text("")
    assert "is a file; give a folder of images" in refusal(tmp_path / "a.png")
    for wrong in ("0", "32x", "32X32", "axb", "3x3x3"):
        with pytest.raises(ValidationError, match="size"):
            load(tmp_path, size=wrong)


def test_check(folder):
    put(folder, "a.png")
    found = ImageFolder(**DEFAULTS, path=folder).check(Path(), verify=True)
    assert found.present
    assert "only 1 image;" in found.problem
