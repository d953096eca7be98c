import numpy as np
import pandas as pd
import pytest
import torch
from published import checked_refusal, refusal
from pydantic import ValidationError
from scipy.io import savemat
from sklearn.utils import Bunch

from uae_cli.datasets import Isolet, IsoletSubset

WHOLE = Isolet(name="isolet", scaler_fit="train")
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
    check_content(WHOLE.load(tmp_path, download=False))
    assert WHOLE.check(tmp_path, verify=True).problem == ""


def test_packed_files_are_taken_and_plain_ones_first(tmp_path):
    for name in (f"{TRAIN}.Z", f"{TEST}.Z", TEST, "isolet.openml.csv"):
        (tmp_path / name).touch()
    assert [path.name for path in WHOLE.files(tmp_path)] == [f"{TRAIN}.Z", TEST]
    (tmp_path / f"{TRAIN}.Z").unlink()
    assert [path.name for path in WHOLE.files(tmp_path)] == ["isolet.openml.csv"]


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
        check_content(WHOLE.load(tmp_path, download=True))
    assert calls == [300]
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".lock") == ["isolet.openml.csv"]


def test_a_failing_download_is_one_line(tmp_path, monkeypatch):
    def fetch_openml(**_):
        raise ValueError("md5 checksum of local file\ndoes not match description")

    monkeypatch.setattr("sklearn.datasets.fetch_openml", fetch_openml)
    message = refusal(WHOLE, tmp_path, download=True)
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
    assert expected in refusal(WHOLE, tmp_path)


def test_missing_files(tmp_path, files):
    put(tmp_path, {TRAIN: files[TRAIN]})
    assert f"put {TRAIN} and {TEST} (or .Z) in {tmp_path}" in refusal(WHOLE, tmp_path)


def test_real_isolet(load_real):
    data = load_real(WHOLE)
    assert (len(data.x_train), len(data.x_test)) == (6238, 1559)


SUBSET = IsoletSubset(name="isolet_subset", scaler_fit="train", split_seed=0)


@pytest.fixture
def content():
    """Ten rows a letter."""
    draw = np.random.default_rng(0)
    return {
        "X": draw.uniform(-0.9, 0.9, (260, 617)),
        "Y": np.repeat(np.arange(1, 27, dtype=np.uint8), 10)[:, None],
    }


def save(root, content):
    savemat(root / "isolet_subset.mat", content, do_compression=True)


def subset_refusal(root):
    message = checked_refusal(SUBSET, root)
    assert str(root / "isolet_subset.mat") in message
    return message


def test_rows_are_split_by_letter_and_scaled_on_train(tmp_path, content):
    save(tmp_path, content)
    data = SUBSET.load(tmp_path, download=False)
    assert data.shape == (617,)
    assert data.y_train.bincount().tolist() == [8] * 26
    assert data.y_test.bincount().tolist() == [2] * 26
    assert torch.equal(data.x_train.amin(0), torch.zeros(617))
    assert torch.equal(data.x_train.amax(0), torch.ones(617))
    assert data.note == "PARTIAL: 260 of Isolet's 7,797 rows."
    assert sorted([*data.train_rows.tolist(), *data.test_rows.tolist()]) == list(range(260))
    expected = torch.from_numpy(content["X"][data.train_rows.numpy()]).float()
    assert torch.equal(data.x_train.argmax(0), expected.argmax(0))


def test_the_authors_scaling_differs(tmp_path, content):
    save(tmp_path, content)
    ours = SUBSET.load(tmp_path, download=False)
    theirs = IsoletSubset(name="isolet_subset", scaler_fit="all", split_seed=0).load(tmp_path, download=False)
    assert not torch.equal(ours.x_train, theirs.x_train)
    both = torch.cat([theirs.x_train, theirs.x_test])
    assert torch.equal(both.amax(0), torch.ones(617))


def test_an_unknown_scaler_fit_is_refused():
    with pytest.raises(ValidationError, match="scaler_fit"):
        IsoletSubset(name="isolet_subset", scaler_fit="test", split_seed=0)


def test_missing_part(tmp_path):
    message = refusal(SUBSET, tmp_path)
    assert f"no isolet_subset.mat in {tmp_path}; put isolet_subset.mat, X (N×617" in message
    assert "UAE_DATA or data.root=" in message
    found = SUBSET.check(tmp_path, verify=True)
    assert (found.present, found.path) == (False, tmp_path / "isolet_subset.mat")
    assert found.remedy


@pytest.mark.parametrize(
    ("key", "change", "expected"),
    [
        ("X", lambda x: x[:, :600], "X is float64 of shape (260, 600)"),
        ("X", lambda x: x * 2, "outside [-1, 1]"),
        ("X", lambda x: np.where(x > 0.8, np.nan, x), "outside [-1, 1] or NaN"),
        ("X", lambda x: x[:-1], "Y is uint8 of shape (260, 1) for 259 rows"),
        ("X", lambda x: np.array("text"), "X is <U4"),
        ("Y", lambda y: y - 1, "other values than 1 to 26"),
        ("Y", lambda y: y + 0.5, "other values than 1 to 26"),
    ],
)
def test_other_matrices_are_named(tmp_path, content, key, change, expected):
    save(tmp_path, {**content, key: change(content[key])})
    assert expected in subset_refusal(tmp_path)


def test_missing_matrix(tmp_path, content):
    save(tmp_path, {"X": content["X"]})
    assert "lacks Y; expected X" in subset_refusal(tmp_path)


def test_a_flipped_byte_is_found(tmp_path, content, flip):
    save(tmp_path, content)
    path = tmp_path / "isolet_subset.mat"
    flip(path, path.stat().st_size // 2)
    assert "corrupt" in subset_refusal(tmp_path)
    found = SUBSET.check(tmp_path, verify=True)
    assert found.present
    assert "corrupt" in found.problem


@pytest.mark.parametrize("content", [b"", b"text", b"\0" * 300])
def test_what_is_no_matlab_file_is_refused(tmp_path, content):
    (tmp_path / "isolet_subset.mat").write_bytes(content)
    assert "corrupt or no MATLAB file" in subset_refusal(tmp_path)


def test_real_part(load_real):
    data = load_real(SUBSET)
    assert data.shape == (617,)
    assert (len(data.x_train), len(data.x_test)) == (1248, 312)
    assert data.y_train.bincount().tolist() == [48] * 26
    assert "PARTIAL: 1,560 of" in data.note
