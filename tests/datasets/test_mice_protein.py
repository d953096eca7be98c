import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from published import checked_refusal, refusal
from pydantic import ValidationError
from sklearn.utils import Bunch

from uae_cli.datasets import MiceProtein
from uae_cli.datasets.mice_protein import CLASSES

SETTINGS = {"name": "mice_protein", "missing": "class_mean", "scaler_fit": "train", "split_seed": 0}
LOADER = MiceProtein(**SETTINGS)
FILE = "Data_Cortex_Nuclear.csv"


@pytest.fixture
def table():
    """The published layout: 1,080 × 77 with 1,396 gaps, 135 of each class."""
    draw = np.random.default_rng(0)
    x = draw.uniform(0, 8, (1080, 77))
    x.flat[draw.choice(x.size, 1396, replace=False)] = np.nan
    proteins = pd.DataFrame(x, columns=[f"P{i}_N" for i in range(77)])
    ids = pd.Series(range(1080), name="MouseID")
    return pd.concat([ids, proteins, pd.Series(np.tile(CLASSES, 135), name="class")], axis=1)


def test_content(tmp_path, table):
    table.to_csv(tmp_path / FILE, index=False)
    data = LOADER.load(tmp_path, download=False)
    assert (data.shape, len(data.x_train), len(data.x_test)) == ((77,), 864, 216)
    assert data.y_test.bincount().tolist() == [27] * 8
    assert [CLASSES[y] for y in data.y_train] == table["class"][data.train_rows.numpy()].tolist()
    assert f"no checksum is known of this {FILE}" in LOADER.check(tmp_path, verify=True).note


def test_means_on_the_training_split_do_not_see_the_test_rows(tmp_path, table):
    table.to_csv(tmp_path / FILE, index=False)
    before = LOADER.load(tmp_path, download=False)
    test = before.test_rows.numpy()
    columns = table.columns[1:78]
    table.loc[test, columns] = table.loc[test, columns] / 2
    table.to_csv(tmp_path / FILE, index=False)
    assert torch.equal(LOADER.load(tmp_path, download=False).x_train, before.x_train)
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
def test_other_content_is_named(tmp_path, table, change, expected):
    change(table).to_csv(tmp_path / FILE, index=False)
    message = checked_refusal(LOADER, tmp_path)
    assert expected in message
    assert str(tmp_path / FILE) in message


def test_missing_file(tmp_path):
    assert f"put {FILE} (UCI's table saved as CSV) there" in refusal(LOADER, tmp_path)


def test_openml_gives_the_same(tmp_path, table, monkeypatch):
    def fetch_openml(*, data_id, **_):
        assert data_id == 40966
        return Bunch(data=table.iloc[:, 1:78], target=table["class"])

    monkeypatch.setattr("sklearn.datasets.fetch_openml", fetch_openml)
    fetched = LOADER.load(tmp_path / "a", download=True)
    (tmp_path / "b").mkdir()
    table.to_csv(tmp_path / "b" / FILE, index=False)
    assert torch.equal(fetched.x_test, LOADER.load(tmp_path / "b", download=False).x_test)


def test_rows_are_no_way_to_fill(tmp_path):
    with pytest.raises(ValidationError, match="missing"):
        MiceProtein(**{**SETTINGS, "missing": "drop"})


def test_real_mice(load_real):
    data = load_real(LOADER)
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
    assert "labels went into the features" in LOADER.check(Path(os.environ["UAE_DATA"]), verify=True).note
    other = load_real(MiceProtein(**{**SETTINGS, "missing": "mean"}))
    changed = int((other.x_train != data.x_train).sum() + (other.x_test != data.x_test).sum())
    assert 1300 < changed <= 1396
