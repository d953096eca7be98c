import numpy as np
import published
import pytest
import torch
from pydantic import ValidationError
from scipy.io import savemat

from uae_cli.datasets import IsoletSubset

LOADER = IsoletSubset(name="isolet_subset", scaler_fit="train", split_seed=0)


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


def refusal(root):
    message = published.refusal(LOADER, root)
    assert str(root / "isolet_subset.mat") in message
    assert LOADER.check(root, verify=True).problem in ("", message)
    return message


def test_rows_are_split_by_letter_and_scaled_on_train(tmp_path, content):
    save(tmp_path, content)
    data = LOADER.load(tmp_path, download=False)
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
    ours = LOADER.load(tmp_path, download=False)
    theirs = IsoletSubset(name="isolet_subset", scaler_fit="all", split_seed=0).load(tmp_path, download=False)
    assert not torch.equal(ours.x_train, theirs.x_train)
    both = torch.cat([theirs.x_train, theirs.x_test])
    assert torch.equal(both.amax(0), torch.ones(617))


def test_an_unknown_scaler_fit_is_refused():
    with pytest.raises(ValidationError, match="scaler_fit"):
        IsoletSubset(name="isolet_subset", scaler_fit="test", split_seed=0)


def test_missing_file(tmp_path):
    assert "put isolet_subset.mat" in refusal(tmp_path)
    found = LOADER.check(tmp_path, verify=True)
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
def test_other_content_is_named(tmp_path, content, key, change, expected):
    save(tmp_path, {**content, key: change(content[key])})
    assert expected in refusal(tmp_path)


def test_missing_matrix(tmp_path, content):
    save(tmp_path, {"X": content["X"]})
    assert "lacks Y; expected X" in refusal(tmp_path)


def test_a_flipped_byte_is_found(tmp_path, content, flip):
    save(tmp_path, content)
    path = tmp_path / "isolet_subset.mat"
    flip(path, path.stat().st_size // 2)
    assert "corrupt" in refusal(tmp_path)
    found = LOADER.check(tmp_path, verify=True)
    assert found.present
    assert "corrupt" in found.problem


@pytest.mark.parametrize("content", [b"", b"text", b"\0" * 300])
def test_what_is_no_matlab_file_is_refused(tmp_path, content):
    (tmp_path / "isolet_subset.mat").write_bytes(content)
    assert "corrupt or no MATLAB file" in refusal(tmp_path)


def test_real_isolet(load_real):
    data = load_real(LOADER)
    assert data.shape == (617,)
    assert (len(data.x_train), len(data.x_test)) == (1248, 312)
    assert data.y_train.bincount().tolist() == [48] * 26
    assert "PARTIAL: 1,560 of" in data.note
