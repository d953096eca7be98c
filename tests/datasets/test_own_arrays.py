import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import published
import pytest
import torch

from uae_cli.datasets import NpzDataset
from uae_cli.errors import ConfigError, DataError

DRAW = np.random.default_rng(0)
LOADER = NpzDataset(name="made")


def save(root, arrays, **changed):
    path = root / "made.npz"
    np.savez(path, **{**arrays, **changed})
    return path


def load(root):
    return LOADER.load(root, download=False)


def refusal(root):
    """The message, which must be one line that names the file."""
    message = published.refusal(LOADER, root)
    assert str(root / "made.npz") in message
    return message


def test_colour_images_are_divided_by_255_and_channels_come_first(tmp_path, arrays):
    save(tmp_path, arrays)
    data = load(tmp_path)
    expected = torch.from_numpy(arrays["x_train"]).permute(0, 3, 1, 2) / 255
    assert torch.equal(data.x_train, expected)
    assert data.x_train.is_contiguous()
    assert data.x_train.dtype == torch.float32
    assert data.x_test.shape == (3, 3, 4, 5)
    assert torch.equal(data.y_train, torch.arange(6))
    assert (data.name, data.note, data.source) == ("made", "a made set", str(tmp_path / "made.npz"))


def test_grey_images_get_one_channel(tmp_path, arrays):
    save(tmp_path, arrays, x_train=arrays["x_train"][..., 0], x_test=arrays["x_test"][..., 0])
    data = load(tmp_path)
    assert data.shape == (1, 4, 5)
    assert torch.equal(data.x_train[:, 0] * 255, torch.from_numpy(arrays["x_train"][..., 0]).float())


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
@pytest.mark.parametrize(
    ("shape", "sample"), [((7,), (7,)), ((4, 5), (1, 4, 5)), ((4, 5, 3), (3, 4, 5))], ids=str
)
def test_floats_keep_their_values(tmp_path, arrays, dtype, shape, sample):
    x = np.linspace(0, 1, 6 * np.prod(shape)).reshape(6, *shape).astype(dtype)
    save(tmp_path, arrays, x_train=x, x_test=x[:3])
    data = load(tmp_path)
    assert data.shape == sample
    assert data.x_train.dtype == torch.float32
    back = data.x_train if len(shape) != 3 else data.x_train.permute(0, 2, 3, 1)
    assert np.array_equal(back.numpy().ravel(), x.astype(np.float32).ravel())


def test_compressed_files_and_explicit_paths_are_read(tmp_path, arrays):
    path = tmp_path / "elsewhere" / "mine.npz"
    path.parent.mkdir()
    np.savez_compressed(path, **arrays)
    data = NpzDataset(name="any", path=path).load(tmp_path, download=False)
    assert len(data.x_train) == 6


def test_note_is_optional_and_source_can_be_told(tmp_path, arrays):
    del arrays["note"]
    save(tmp_path, arrays)
    data = NpzDataset(name="made", source="my camera").load(tmp_path, download=False)
    assert (data.note, data.source) == ("", "my camera")


@pytest.mark.parametrize("labels", [np.array([0, 1, 2], np.uint8), np.array([0.0, 1.0, 2.0])], ids=str)
def test_any_whole_numbers_are_labels(tmp_path, arrays, labels):
    save(tmp_path, arrays, y_test=labels)
    assert load(tmp_path).y_test.tolist() == [0, 1, 2]


def test_without_path_and_file_the_path_is_asked_for(tmp_path):
    with pytest.raises(
        ConfigError, match=r"^dataset\.path: must be given, e\.g\. dataset\.path=mine\.npz"
    ) as caught:
        load(tmp_path)
    message = str(caught.value)
    assert "\n" not in message
    assert f"there is no {tmp_path / 'made.npz'}" in message


@pytest.mark.parametrize("settings", [{"source": "a part of SVHN"}, {"path": "made.npz"}])
def test_missing_file_says_where_and_how(tmp_path, settings):
    settings = {key: tmp_path / value if key == "path" else value for key, value in settings.items()}
    with pytest.raises(DataError) as caught:
        NpzDataset(name="made", **settings).load(tmp_path, download=False)
    message = str(caught.value)
    assert (
        f"put made.npz (arrays x_train, y_train, x_test, y_test; note, if you like) in {tmp_path}" in message
    )
    assert "UAE_DATA" in message
    found = LOADER.check(tmp_path, verify=True)
    assert (found.present, found.path, found.size_bytes) == (False, tmp_path / "made.npz", 0)
    assert found.remedy


@pytest.mark.parametrize("key", ["x_train", "y_train", "x_test", "y_test"])
def test_missing_key_is_named(tmp_path, arrays, key):
    del arrays[key]
    save(tmp_path, arrays)
    assert f"lacks {key};" in refusal(tmp_path)
    assert f"lacks {key};" in LOADER.check(tmp_path, verify=False).problem


@pytest.mark.parametrize("key", ["x_train", "y_test", "note"])
def test_python_objects_are_never_unpickled(tmp_path, arrays, key):
    class Bomb:
        def __reduce__(self):
            return Path.touch, (tmp_path / "exploded",)

    save(tmp_path, {**arrays, key: np.array([Bomb()] * 3, dtype=object)})
    assert f"{key} is refused: it holds Python objects" in refusal(tmp_path)
    assert not (tmp_path / "exploded").exists()


def shifted(images, value):
    images = images / 255
    images[1, 2, 3, 0] = value
    return images


@pytest.mark.parametrize(
    ("key", "change", "expected"),
    [
        ("x_train", lambda x: x.astype(np.int32), "x_train is int32"),
        ("x_train", lambda x: x.astype(np.complex64), "x_train is complex64"),
        ("x_test", lambda x: x[..., 0, 0], r"x_test is uint8 of shape (3, 4)"),
        ("x_test", lambda x: x[0, 0, 0, 0] / 255, "x_test is float64 of shape ()"),
        ("x_train", lambda x: x[None], "of shape (1, 6, 4, 5, 3)"),
        ("x_train", lambda x: np.moveaxis(x, -1, 1), "channels last"),
        ("x_train", lambda x: x[:, :0], "x_train is empty"),
        ("x_train", lambda x: x[:, :3], "one shape for both"),
        ("x_train", lambda x: shifted(x, np.nan), "train split: holds NaN"),
        ("x_test", lambda x: shifted(x, 1.5), "test split: values from 0"),
        ("x_test", lambda x: shifted(x, -0.5), "values from -0.5"),
        ("x_test", lambda x: shifted(x, np.inf), "to inf"),
        ("x_test", lambda x: shifted(x, 1e300), "to inf"),
        ("y_train", lambda y: y[:, None], "y_train is int64 of shape (6, 1)"),
        ("y_train", lambda y: y[:5], "6 samples but 5 labels"),
        ("y_train", lambda y: y - 1, "y_train goes from -1 to 4"),
        (
            "y_train",
            lambda y: y * 2_000_000,
            "6 different labels, of which the largest is 10000000",
        ),
        ("y_train", lambda y: y + 0.5, "no whole numbers"),
        ("y_train", lambda y: y * np.nan, "no whole numbers"),
        ("y_train", lambda y: y.astype(str), "y_train is <U21"),
        ("note", lambda note: np.array(["two", "notes"]), "note is <U5 of shape (2,)"),
    ],
)
def test_what_no_experiment_can_use_is_named(tmp_path, arrays, key, change, expected):
    save(tmp_path, {**arrays, key: change(arrays[key])})
    assert expected in refusal(tmp_path)


@pytest.mark.parametrize("writer", [np.savez, np.savez_compressed])
def test_a_flipped_byte_is_found(tmp_path, arrays, flip, writer):
    path = tmp_path / "made.npz"
    writer(path, **arrays)
    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo("x_train.npy")
    flip(path, entry.header_offset + entry.compress_size - 20)
    assert "corrupt" in refusal(tmp_path)
    found = LOADER.check(tmp_path, verify=True)
    assert found.present
    assert "corrupt" in found.problem
    assert found.remedy


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut off"])
def test_what_is_no_archive_is_refused(tmp_path, content):
    (tmp_path / "made.npz").write_bytes(content)
    assert "corrupt or no .npz file" in refusal(tmp_path)
    assert "corrupt or no .npz file" in LOADER.check(tmp_path, verify=False).problem


def test_an_intact_file_is_reported_with_size_and_note(tmp_path, arrays):
    path = save(tmp_path, arrays)
    found = LOADER.check(tmp_path, verify=True)
    assert (found.present, found.problem, found.remedy) == (True, "", "")
    assert (found.path, found.size_bytes, found.note) == (path, path.stat().st_size, "a made set")


def test_a_bad_note_is_a_problem_of_the_file(tmp_path, arrays):
    save(tmp_path, arrays, note=np.zeros(3))
    assert "note is float64" in LOADER.check(tmp_path, verify=False).problem


def single(tmp_path, array, **settings):
    np.save(tmp_path / "one.npy", array)
    return NpzDataset(name="npz", path=tmp_path / "one.npy", **settings)


@pytest.mark.parametrize(("shape", "sample"), [((12,), (12,)), ((4, 5), (1, 4, 5)), ((4, 5, 3), (3, 4, 5))])
def test_one_array_is_split(tmp_path, shape, sample):
    x = DRAW.random((10, *shape)).astype(np.float32)
    loader = single(tmp_path, x)
    data = loader.load(Path("/nonexistent"), download=False)
    assert (data.shape, len(data.x_train), len(data.x_test)) == (sample, 8, 2)
    rows = torch.cat([data.train_rows, data.test_rows])
    assert sorted(rows.tolist()) == list(range(10))
    back = torch.cat([data.x_train, data.x_test])[rows.argsort()]
    back = back.movedim(1, -1) if len(shape) > 1 else back
    assert np.array_equal(back.numpy().ravel(), x.ravel())
    assert not data.y_train.any()
    assert loader.check(tmp_path, verify=True).problem == loader.check(tmp_path, verify=False).problem == ""
    other = single(tmp_path, x, split_seed=1).load(tmp_path, download=False)
    assert not torch.equal(other.test_rows, data.test_rows)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.zeros((4, 3)), "float64 of shape (4, 3); expected 5 or more samples, N first"),
        (np.zeros(9), "float64 of shape (9,); expected"),
        (np.zeros((9, 3), np.int32), "the array is int32 of shape (9, 3); expected"),
        (np.full((9, 3), 1.5), "split: values from 1.5 to 1.5"),
        (np.array([[None] * 2] * 6), "corrupt or no .npy file of numbers"),
    ],
)
def test_one_array_that_cannot_be_used(tmp_path, array, expected):
    message = published.refusal(single(tmp_path, array), tmp_path)
    assert f"{tmp_path / 'one.npy'}: " in message
    assert expected in message
    assert ("or set dataset.scale=true" in message) == ("int32" in message or "values" in message)


def test_no_array_at_all(tmp_path):
    (tmp_path / "one.npy").write_bytes(b"no array")
    loader = NpzDataset(name="npz", path=tmp_path / "one.npy")
    assert "corrupt or no .npy file of numbers" in published.refusal(loader, tmp_path)


def test_values_of_any_range_are_scaled_by_the_training_samples(tmp_path, arrays):
    signals = np.arange(60, dtype=np.int16).reshape(10, 6) * 100 - 3000
    data = single(tmp_path, signals, scale=True).load(tmp_path, download=False)
    seen = signals[data.train_rows]
    expected = (signals - seen.min()) / (seen.max() - seen.min())
    np.testing.assert_allclose(data.x_train, expected[data.train_rows], atol=1e-6)
    np.testing.assert_allclose(data.x_test, expected[data.test_rows].clip(0, 1), atol=1e-6)
    assert data.note == f"Values from {seen.min()} to {seen.max()} were scaled to [0, 1]."

    save(tmp_path, arrays, x_train=arrays["x_train"] - 100.0, x_test=arrays["x_test"] - 100.0)
    data = NpzDataset(name="made", scale=True).load(tmp_path, download=False)
    low, high = int(arrays["x_train"].min()) - 100, int(arrays["x_train"].max()) - 100
    assert data.note == f"a made set Values from {low} to {high} were scaled to [0, 1]."
    assert (float(data.x_train.min()), float(data.x_train.max())) == (0, 1)


@pytest.mark.parametrize("array", [np.full((9, 3), 7.0), np.full((9, 3), np.nan), np.full((9, 3), 1j)])
def test_what_cannot_be_scaled(tmp_path, array):
    message = published.refusal(single(tmp_path, array, scale=True), tmp_path)
    assert "dataset.scale needs finite real numbers, not all of them the same" in message


@pytest.mark.parametrize(
    ("name", "shape", "sizes", "classes"),
    [
        ("svhn_test10k", (3, 32, 32), (8000, 2000), 10),
        ("tiny_imagenet_15k", (3, 64, 64), (10000, 5000), 200),
    ],
)
def test_real_partial_sets(load_real, name, shape, sizes, classes):
    data = load_real(NpzDataset(name=name))
    assert data.shape == shape
    assert (len(data.x_train), len(data.x_test)) == sizes
    assert data.y_train.unique().tolist() == list(range(classes))
    assert data.note.startswith("PARTIAL")


def test_more_than_memory_holds_is_refused_before_it_is_unpacked(tmp_path, arrays, monkeypatch):
    path = save(tmp_path, arrays)
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=100))
    unpacked = []
    monkeypatch.setattr(zipfile.ZipFile, "testzip", lambda archive: unpacked.append(archive))
    assert "GiB of memory is free" in refusal(tmp_path)
    assert not unpacked
    assert path.exists()


def test_an_array_of_another_size_than_its_header_says_is_refused(tmp_path, arrays):
    path = save(tmp_path, arrays)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["x_train.npy"] = members["x_train.npy"].replace(b"(6, 4, 5, 3)", b"(9, 4, 5, 3)")
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    assert "x_train.npy is shorter or longer than its header says" in refusal(tmp_path)
