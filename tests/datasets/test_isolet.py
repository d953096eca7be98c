import numpy as np
import pandas as pd
import pytest
import torch
from published import refusal
from sklearn.utils import Bunch

from uae_cli.datasets import Isolet

LOADER = Isolet(name="isolet", scaler_fit="train")
TRAIN, TEST = "isolet1+2+3+4.data", "isolet5.data"


def lines(letters):
    """As published: values with four digits, the label last and with a dot."""
    middle = ", 0.2500" * 615
    return [
        f"{i / len(letters):.4f}, {-1 + i % 3:.4f}{middle}, {letter}.\n" for i, letter in enumerate(letters)
    ]


@pytest.fixture(scope="module")
def files():
    """Full size: 240 and 60 of each letter, less the three recordings that were lost."""
    train, test = (np.repeat(np.arange(1, 27), n).tolist() for n in (240, 60))
    for letters, lost in ((train, (6, 6)), (test, (13,))):
        for letter in lost:
            letters.remove(letter)
    return {TRAIN: lines(train), TEST: lines(test)}


def put(root, files):
    for name, content in files.items():
        (root / name).write_text("".join(content))


def check_content(data):
    assert data.shape == (617,)
    assert (len(data.x_train), len(data.x_test)) == (6238, 1559)
    assert data.y_train.bincount().tolist() == [238 if letter == 5 else 240 for letter in range(26)]
    assert data.y_test.bincount().tolist() == [59 if letter == 12 else 60 for letter in range(26)]
    assert torch.equal(data.test_rows, torch.arange(6238, 7797))
    assert data.x_train[:3, 1].tolist() == [0, 0.5, 1]


def test_the_two_files_are_the_two_splits(tmp_path, files):
    put(tmp_path, files)
    check_content(LOADER.load(tmp_path, download=False))
    assert LOADER.check(tmp_path, verify=True).problem == ""


def test_packed_files_are_taken_and_plain_ones_first(tmp_path):
    for name in (f"{TRAIN}.Z", f"{TEST}.Z", TEST, "isolet.openml.csv"):
        (tmp_path / name).touch()
    assert [path.name for path in LOADER.files(tmp_path)] == [f"{TRAIN}.Z", TEST]
    (tmp_path / f"{TRAIN}.Z").unlink()
    assert [path.name for path in LOADER.files(tmp_path)] == ["isolet.openml.csv"]


def test_openml_is_fetched_once_and_split_alike(tmp_path, files, monkeypatch):
    letters = [int(line[-4:-2].strip()) for line in [*files[TRAIN], *files[TEST]]]
    x = np.zeros((len(letters), 617), dtype=int)
    x[:, 1] = np.arange(len(letters)) % 3 - 1
    table = pd.DataFrame(x).add_prefix("f")
    target = pd.Series(letters, dtype="category")
    calls = []

    def fetch_openml(*, data_id, **_):
        calls.append(data_id)
        return Bunch(data=table, target=target)

    monkeypatch.setattr("sklearn.datasets.fetch_openml", fetch_openml)
    for _ in range(2):
        check_content(LOADER.load(tmp_path, download=True))
    assert calls == [300]
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".lock") == ["isolet.openml.csv"]


def test_a_failing_download_is_one_line(tmp_path, monkeypatch):
    def fetch_openml(**_):
        raise ValueError("md5 checksum of local file\ndoes not match description")

    monkeypatch.setattr("sklearn.datasets.fetch_openml", fetch_openml)
    message = refusal(LOADER, tmp_path, download=True)
    assert "does not match description" in message
    assert f"put {TRAIN} and {TEST} (or .Z) in {tmp_path}" in message


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda c: {TRAIN: [*c[TRAIN][:-1], c[TEST][0]], TEST: [*c[TEST][:-1], c[TEST][0]]},
            "published order",
        ),
        (lambda c: {TRAIN: c[TRAIN], TEST: c[TEST][1:]}, "1,558 rows of 618 values; expected 1,559"),
        (lambda c: {TRAIN: c[TRAIN], TEST: ["2" + c[TEST][0], *c[TEST][1:]]}, "values from -1 to 20"),
        (lambda c: {name: [s.replace(" 26.", " 27.") for s in c[name]] for name in c}, "aren't 1 to 26"),
    ],
)
def test_other_content_is_named(tmp_path, files, change, expected):
    put(tmp_path, change(files))
    assert expected in refusal(LOADER, tmp_path)


def test_missing_files(tmp_path, files):
    put(tmp_path, {TRAIN: files[TRAIN]})
    assert f"put {TRAIN} and {TEST} (or .Z) there" in refusal(LOADER, tmp_path)


def test_real_isolet(load_real):
    data = load_real(LOADER)
    assert (len(data.x_train), len(data.x_test)) == (6238, 1559)
