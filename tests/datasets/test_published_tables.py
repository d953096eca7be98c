"""What every published set has in common, on the smallest to make: the activity files."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from published import checked_refusal, packed, refusal
from pydantic import ValidationError
from sklearn.utils import Bunch

from uae_cli.datasets import Activity, MiceProtein
from uae_cli.datasets.published_tables import ACTIVITY_SHAPES, MICE_CLASSES
from uae_cli.datasets.tabular import check_range, read_numbers, whole_labels
from uae_cli.errors import DataError

ACTIVITY = Activity(name="activity", scaler_fit="train")


@pytest.fixture(scope="module")
def files():
    """The four files in their published form and size; only the first feature tells rows apart."""
    made = {}
    for name, (rows, columns) in ACTIVITY_SHAPES.items():
        if columns == 1:
            made[name] = "".join(f"{i % 6 + 1}\n" for i in range(rows))
        else:
            made[name] = "".join(f"{i / rows:.4f}{',0.5' * (columns - 1)}\n" for i in range(rows))
    return made


def put_activity(root, files):
    (root / "dataset_uci").mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (root / "dataset_uci" / name).write_text(content)


def test_the_published_split(tmp_path, files):
    put_activity(tmp_path, files)
    data = ACTIVITY.load(tmp_path, download=False)
    assert data.shape == (561,)
    assert (len(data.x_train), len(data.x_test)) == (4252, 1492)
    assert data.y_train[:8].tolist() == [0, 1, 2, 3, 4, 5, 0, 1]
    assert torch.equal(data.test_rows, torch.arange(4252, 5744))
    assert torch.equal(data.x_train[:, 0].argsort(), torch.arange(4252))
    assert ACTIVITY.check(tmp_path, verify=False).note == ""
    assert "final_X_train.txt" in ACTIVITY.check(tmp_path, verify=True).unknown


@pytest.mark.parametrize(
    ("name", "change", "expected"),
    [
        (
            "final_X_train.txt",
            lambda s: s.partition("\n")[2],
            "4,251 rows of 561 values; expected 4,252 rows",
        ),
        ("final_X_test.txt", lambda s: s.replace(",0.5\n", "\n"), "1,492 rows of 560 values"),
        ("final_X_test.txt", lambda s: s.replace("0.5", "x", 1), "corrupt or no table of numbers"),
        ("final_X_test.txt", lambda s: s.replace("0.5", "", 1), "no finite number in row 1, column 2"),
        ("final_X_test.txt", lambda s: s.replace("0.5", "inf", 1), "no finite number in row 1, column 2"),
        ("final_X_test.txt", lambda s: s + "1" + ",1" * 561, "corrupt or no table of numbers"),
        ("final_X_test.txt", lambda s: "", "corrupt or no table of numbers"),
        ("final_y_test.txt", lambda s: s.replace("6", "7"), "the labels aren't 1 to 6"),
        ("final_y_train.txt", lambda s: s.replace("6", "5"), "the labels aren't 1 to 6"),
    ],
)
def test_other_activities_are_named(tmp_path, files, name, change, expected):
    put_activity(tmp_path, {**files, name: change(files[name])})
    message = checked_refusal(ACTIVITY, tmp_path)
    assert name in message
    assert expected in message
    assert "data.download=true" in ACTIVITY.check(tmp_path, verify=True).remedy


def test_missing_activity(tmp_path, files):
    put_activity(tmp_path, {name: content for name, content in files.items() if name != "final_y_test.txt"})
    message = refusal(ACTIVITY, tmp_path)
    assert f"no final_y_test.txt in {tmp_path / 'dataset_uci'}; run with data.download=true" in message
    assert "put dataset_uci/ with final_X_train.txt" in message
    assert "UAE_DATA or data.root=" in message
    found = ACTIVITY.check(tmp_path, verify=True)
    assert not found.present
    assert "data.download=true (from UCI)" in found.remedy


@pytest.mark.parametrize("nested", [False, True])
def test_download_fetches_what_is_missing(tmp_path, files, network, nested):
    inner = packed({**files, "final_acc_train.txt": "0"}, "dataset_uci/")
    network[Activity.url] = packed({"inner.zip": inner}) if nested else inner
    root = tmp_path / "not" / "yet"
    data = ACTIVITY.load(root, download=True)
    assert sorted(path.name for path in (root / "dataset_uci").iterdir()) == sorted(ACTIVITY_SHAPES)
    network.clear()
    assert torch.equal(ACTIVITY.load(root, download=True).x_train, data.x_train)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "Name or service not known"),
        (b"<html>moved</html>", "not a zip file"),
        (packed({"README.txt": "hello"}), "lacks final_X_train.txt"),
    ],
)
def test_a_failing_download_is_one_line_and_leaves_nothing(tmp_path, network, content, expected):
    if content is not None:
        network[Activity.url] = content
    message = refusal(ACTIVITY, tmp_path, download=True)
    assert f"download to {tmp_path} failed" in message
    assert expected in message
    assert "put dataset_uci/ with" in message
    assert not list((tmp_path / "dataset_uci").iterdir())


def test_scaling_on_all_rows(tmp_path, files):
    x_test = files["final_X_test.txt"].replace("0.5", "0.75", 1)
    put_activity(tmp_path, {**files, "final_X_test.txt": x_test})
    both = Activity(name="activity", scaler_fit="all").load(tmp_path, download=False)
    assert float(both.x_test[0, 1]) == 1


SETTINGS = {"name": "mice_protein", "missing": "class_mean", "scaler_fit": "train", "split_seed": 0}
MICE = MiceProtein(**SETTINGS)
MICE_FILE = "Data_Cortex_Nuclear.csv"


@pytest.fixture
def table():
    """The published layout: 1,080 × 77 with 1,396 gaps, 135 of each class."""
    draw = np.random.default_rng(0)
    x = draw.uniform(0, 8, (1080, 77))
    x.flat[draw.choice(x.size, 1396, replace=False)] = np.nan
    proteins = pd.DataFrame(x, columns=[f"P{i}_N" for i in range(77)])
    ids = pd.Series(range(1080), name="MouseID")
    return pd.concat([ids, proteins, pd.Series(np.tile(MICE_CLASSES, 135), name="class")], axis=1)


def test_the_split_of_mice(tmp_path, table):
    table.to_csv(tmp_path / MICE_FILE, index=False)
    data = MICE.load(tmp_path, download=False)
    assert (data.shape, len(data.x_train), len(data.x_test)) == ((77,), 864, 216)
    assert data.y_test.bincount().tolist() == [27] * 8
    assert [MICE_CLASSES[y] for y in data.y_train] == table["class"][data.train_rows.numpy()].tolist()
    assert MICE.check(tmp_path, verify=True).unknown == (MICE_FILE,)


def test_means_on_the_training_split_do_not_see_the_test_rows(tmp_path, table):
    table.to_csv(tmp_path / MICE_FILE, index=False)
    before = MICE.load(tmp_path, download=False)
    test = before.test_rows.numpy()
    columns = table.columns[1:78]
    table.loc[test, columns] = table.loc[test, columns] / 2
    table.to_csv(tmp_path / MICE_FILE, index=False)
    assert torch.equal(MICE.load(tmp_path, download=False).x_train, before.x_train)
    other = MiceProtein(**{**SETTINGS, "scaler_fit": "all"}).load(tmp_path, download=False)
    assert not torch.equal(other.x_train, before.x_train)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda t: t[:-1], "1,079 rows, 77 columns named …_N"),
        (lambda t: t.drop(columns="P3_N"), "1,080 rows, 76 columns"),
        (lambda t: t.drop(columns="class"), "no column class"),
        (lambda t: t.assign(**{"class": t["class"].replace("c-CS-m", "x")}), "other classes than"),
        (lambda t: t.fillna(0), "0 values are missing; of the published ones, 1,396 are"),
        (lambda t: t.assign(P3_N=t.P3_N * 100), "levels from"),
        (lambda t: t.assign(P3_N="?"), "corrupt or no CSV file"),
        (lambda t: t[:0].drop(columns=t.columns), "corrupt or no CSV file"),
    ],
)
def test_other_mice_are_named(tmp_path, table, change, expected):
    change(table).to_csv(tmp_path / MICE_FILE, index=False)
    message = checked_refusal(MICE, tmp_path)
    assert expected in message
    assert str(tmp_path / MICE_FILE) in message


def test_missing_mice(tmp_path):
    assert f"put {MICE_FILE} (UCI's table saved as CSV) in {tmp_path}" in refusal(MICE, tmp_path)


def test_openml_gives_the_same_mice(tmp_path, table, monkeypatch):
    def fetch_openml(*, data_id, **_):
        assert data_id == 40966
        return Bunch(data=table.iloc[:, 1:78], target=table["class"])

    monkeypatch.setattr("sklearn.datasets.fetch_openml", fetch_openml)
    fetched = MICE.load(tmp_path / "a", download=True)
    (tmp_path / "b").mkdir()
    table.to_csv(tmp_path / "b" / MICE_FILE, index=False)
    assert torch.equal(fetched.x_test, MICE.load(tmp_path / "b", download=False).x_test)


def test_rows_are_no_way_to_fill(tmp_path):
    with pytest.raises(ValidationError, match="missing"):
        MiceProtein(**{**SETTINGS, "missing": "drop"})


def test_real_mice(load_real):
    data = load_real(MICE)
    assert (data.shape, len(data.x_train), len(data.x_test)) == ((77,), 864, 216)
    assert (data.y_train.bincount() + data.y_test.bincount()).tolist() == [
        150,
        135,
        150,
        135,
        135,
        105,
        135,
        135,
    ]
    assert "labels went into the features" in MICE.check(Path(os.environ["UAE_DATA"]), verify=True).note
    other = load_real(MiceProtein(**{**SETTINGS, "missing": "mean"}))
    changed = int((other.x_train != data.x_train).sum() + (other.x_test != data.x_test).sum())
    assert 1300 < changed <= 1396


def compressed(content):
    """Unix compress at its plainest: 9-bit codes, each a literal byte; the table is cleared in time."""
    clear, per_block = 256, 247
    codes = []
    for start in range(0, len(content), per_block):
        codes += [*content[start : start + per_block], clear]
    bits = "".join(f"{code:09b}"[::-1] for code in codes)
    bits += "0" * (-len(bits) % 8)
    return b"\x1f\x9d\x90" + bytes(int(bits[i : i + 8][::-1], 2) for i in range(0, len(bits), 8))


def test_unix_compress_is_unpacked(tmp_path):
    expected = np.arange(600.0).reshape(200, 3)
    text = "".join(f"{a:.4f}, {b:.4f}, {c:.4f}\n" for a, b, c in expected)
    path = tmp_path / "numbers.data.Z"
    path.write_bytes(compressed(text.encode()))
    assert np.array_equal(read_numbers(path, (200, 3)), expected)


def test_what_is_no_compressed_file(tmp_path, monkeypatch):
    path = tmp_path / "numbers.data.Z"
    path.write_bytes(b"1, 2, 3")
    with pytest.raises(DataError, match=r"numbers\.data\.Z: corrupt: gzip: .*not in gzip format$"):
        read_numbers(path, (1, 3))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match="needs gzip, which isn't installed"):
        read_numbers(path, (1, 3))


def test_labels_count_from_0(tmp_path):
    assert whole_labels(tmp_path, np.array([3.0, 1.0, 2.0]), 3).tolist() == [2, 0, 1]
    for wrong in ([1.0, 2.0], [0.0, 1.0, 2.0, 3.0], [1.0, 2.5, 2.0, 3.0]):
        with pytest.raises(DataError, match="aren't 1 to 3"):
            whole_labels(tmp_path, np.array(wrong), 3)


def test_ranges_include_their_ends(tmp_path):
    check_range(tmp_path, np.array([-1.0, 1.0]), -1, 1)
    for wrong in ([-1.01, 0.0], [0.0, 1.01]):
        with pytest.raises(DataError, match=r"expected \[-1, 1\]"):
            check_range(tmp_path, np.array(wrong), -1, 1)
