import sys

import numpy as np
import pandas as pd
import pytest
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from pydantic import ValidationError
from sklearn.datasets import load_iris, load_wine

from uae_cli.datasets import CsvTable
from uae_cli.errors import ConfigError, DataError, UaeError

DEFAULTS = {
    "name": "csv",
    "label": None,
    "drop": [],
    "missing": "mean",
    "scaler_fit": "train",
    "split_seed": 0,
}


def load(path, **settings):
    return CsvTable(**{**DEFAULTS, "path": path, **settings}).load("/nonexistent", download=False)


def refusal(path, kind=UaeError, **settings):
    """The message, which must be one line that starts with a setting."""
    with pytest.raises(kind) as caught:
        load(path, **settings)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("dataset.")
    return message


@pytest.fixture
def iris():
    """150 flowers, 4 measures and the species by name."""
    bunch = load_iris(as_frame=True)
    return bunch.data.assign(species=bunch.target_names[bunch.target])


@pytest.fixture
def save(tmp_path):
    def save_csv(table):
        path = tmp_path / "my.csv"
        if isinstance(table, str):
            path.write_text(table)
        else:
            table.to_csv(path, index=False)
        return path

    return save_csv


def test_numbers_are_scaled_and_rows_split_by_class(save, iris):
    path = save(iris)
    data = load(path, label="species")
    assert (data.shape, len(data.x_train), len(data.x_test)) == ((4,), 120, 30)
    assert data.y_test.bincount().tolist() == [10, 10, 10]
    assert torch.equal(data.x_train.amin(0), torch.zeros(4))
    assert torch.equal(data.x_train.amax(0), torch.ones(4))
    assert sorted([*data.train_rows.tolist(), *data.test_rows.tolist()]) == list(range(150))
    # A row number leads back to the row: its scaled values keep the order of the file's
    column = iris["sepal length (cm)"].to_numpy()[data.train_rows]
    assert np.corrcoef(column, data.x_train[:, 0])[0, 1] == pytest.approx(1)
    names = iris["species"].to_numpy()[data.test_rows]
    assert (np.array(["setosa", "versicolor", "virginica"])[data.y_test] == names).all()
    assert data.source == str(path)
    assert data.features == tuple(iris.columns[:4])


def test_without_label_there_are_only_zeros(save, iris):
    data = load(save(iris), drop=["species"])
    assert (data.y_train.sum(), len(data.x_test)) == (0, 30)


def test_the_seed_draws_the_split(save, iris):
    path = save(iris)
    rows = [load(path, label="species", split_seed=seed).test_rows.tolist() for seed in (0, 0, 1)]
    assert rows[0] == rows[1]
    assert rows[0] != rows[2]


def test_scaling_on_all_rows(save, iris):
    data = load(save(iris), label="species", scaler_fit="all")
    assert torch.equal(torch.cat([data.x_train, data.x_test]).amax(0), torch.ones(4))


def test_dropping_rows_keeps_the_numbers_of_the_others(save, iris):
    iris.iloc[[0, 5], 1] = np.nan
    data = load(save(iris), label="species", missing="drop")
    assert sorted([*data.train_rows.tolist(), *data.test_rows.tolist()]) == [*range(1, 5), *range(6, 150)]
    assert data.note == "2 of 150 rows had empty cells and were left out."


def test_filling_by_class_differs_from_filling_by_column(save, iris):
    iris.iloc[[0, 60, 120], 2] = np.nan
    path = save(iris)
    plain, by_class = (
        load(path, label="species", missing=missing, scaler_fit="all") for missing in ("mean", "class_mean")
    )
    column, place = iris.iloc[:, 2], torch.cat([plain.train_rows, plain.test_rows]).argsort()
    scaled = (column - column.min()) / (column.max() - column.min())
    values = torch.cat([plain.x_train, plain.x_test])[place, 2]
    assert values[60].item() == pytest.approx(scaled.mean(), abs=1e-6)
    values = torch.cat([by_class.x_train, by_class.x_test])[place, 2]
    assert values[60].item() == pytest.approx(scaled[iris.species == "versicolor"].mean(), abs=1e-6)
    assert plain.note == "3 of 600 values were missing and are means of their columns."
    assert by_class.note.startswith("3 of 600 values were missing and are class means: labels went into")


def test_nothing_is_said_of_filling_where_nothing_was(save, iris):
    assert load(save(iris), label="species", missing="class_mean").note == ""


def test_columns_called_by_numbers(save):
    wine = load_wine()
    path = save(pd.DataFrame(wine.data).assign(**{"99": wine.target}))
    data = load(path, label=99, drop=[0, "1"])
    assert data.shape == (11,)
    assert data.y_test.unique().tolist() == [0, 1, 2]


def test_true_and_false_are_numbers(save, iris):
    data = load(save(iris.assign(large=iris.iloc[:, 0] > 6)), label="species")
    assert data.x_train[:, 4].unique().tolist() == [0, 1]


def test_packed_files_and_home_are_found(tmp_path, iris, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    iris.to_csv(tmp_path / "my.csv.gz", index=False)
    assert load("~/my.csv.gz", label="species").shape == (4,)


def test_parquet(tmp_path, iris):
    pytest.importorskip("pyarrow")
    iris.to_parquet(tmp_path / "my.parquet")
    assert load(tmp_path / "my.parquet", label="species").shape == (4,)
    (tmp_path / "bad.parquet").write_bytes(b"no parquet")
    assert "can't be read as a table" in refusal(tmp_path / "bad.parquet")


def test_parquet_without_its_library(tmp_path, monkeypatch):
    (tmp_path / "my.parquet").touch()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "needs pyarrow; pip install pyarrow" in refusal(tmp_path / "my.parquet")


def test_a_path_must_be_given():
    assert refusal(None, ConfigError) == "dataset.path: must be given, e.g. dataset.path=my.csv"


def test_missing_file_and_folder(tmp_path):
    assert f"dataset.path = {tmp_path / 'no.csv'}: no such file" in refusal(tmp_path / "no.csv")
    assert "is a folder" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "the file is empty"),
        ("a,b\n", "no rows below the header"),
        ("a,b,a,c,b\n1,2,3,4,5\n", "columns a, b: more than once in the header"),
        ("a;b\n1;2\n", "separated by commas"),
        ("5.1,3.5\n4.9,3.0\n", "the first line is numbers (5.1, 3.5), not names"),
        ("5.1,3.5,rose\n4.9,3.0,lily\n", "the first line is numbers (5.1, 3.5, rose), not names"),
        ("0,0,3\n1,2,3\n", "the first line is numbers (0, 0, 3), not names"),
        ("a,b\n1,2,3\n4,5,6\n", "can't be read as a table"),
        ("a,b\n1,2\n4,5,6\n", "can't be read as a table"),
        ("a,b\n1,2\n3,4\n", "only 2 rows; at least 10 are needed"),
        ('a,b\n"1,2\n3,4\n', "can't be read as a table"),
    ],
)
def test_files_that_hold_no_table(save, text, expected):
    assert expected in refusal(save(text))


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "my.csv").write_bytes(b"\xff\xfe\x00\x80" * 9)
    assert "can't be read as a table" in refusal(tmp_path / "my.csv")


def filled(table, column, value):
    return table.assign(**{column: value})


@pytest.mark.parametrize(
    ("change", "settings", "expected"),
    [
        (
            lambda t: t,
            {},
            ["column species: not numeric ('setosa' in row 0", "drop=[species]", "dataset.label=species"],
        ),
        (
            lambda t: filled(t, "a", ["?", *range(149)]),
            {"label": "species"},
            ["column a: not numeric ('?' in row 0", "dataset.drop=[a]"],
        ),
        (lambda t: filled(t, "a", 7), {"label": "species"}, ["column a: one value only", "dataset.drop=[a]"]),
        (
            lambda t: filled(t, "a", range(150)).set_index("a").rename_axis(None).reset_index(names=""),
            {"label": "species"},
            ["column Unnamed: 0: no name in the header", "'dataset.drop=[\"Unnamed: 0\"]'"],
        ),
        (lambda t: filled(t, "a", np.nan), {"label": "species"}, ["column a: empty", "dataset.drop=[a]"]),
        (
            lambda t: filled(t, "a", [np.inf, *range(149)]),
            {"label": "species"},
            ["column a: infinite values"],
        ),
        (lambda t: t, {"label": "spices"}, ["dataset.label = spices", "did you mean species?"]),
        (lambda t: t, {"label": "zzz"}, ["there are: petal length (cm), petal width (cm)"]),
        (lambda t: t, {"drop": ["spices"]}, ["dataset.drop = spices", "did you mean species?"]),
        (lambda t: t, {"label": "species", "drop": ["species"]}, ["dataset.drop = species", "dataset.label"]),
        (lambda t: t[["species"]], {"label": "species"}, ["no column is left"]),
        (
            lambda t: filled(t, "species", ["rose", *t.species[1:]]),
            {"label": "species"},
            ["rose has a single row", "dataset.label=null dataset.drop=[species]"],
        ),
        (
            lambda t: filled(t, "species", [None, *t.species[1:]]),
            {"label": "species"},
            ["1 rows of", "no label, the first is row 0"],
        ),
        (
            lambda t: filled(t[:20], "species", [i // 2 for i in range(20)]),
            {"label": "species"},
            ["10 classes in 20 rows", "dataset.label=null"],
        ),
        (
            lambda t: filled(t, "a", [*range(9), *[np.nan] * 141]),
            {"label": "species", "missing": "drop"},
            ["only 9 of 150 rows have no empty cell"],
        ),
        (
            lambda t: t,
            {"missing": "class_mean", "drop": ["species"]},
            ["dataset.missing = class_mean", "needs dataset.label"],
        ),
    ],
)
def test_what_no_experiment_can_use_is_named(save, iris, change, settings, expected):
    message = refusal(save(change(iris)), **settings)
    for part in expected:
        assert part in message


def test_a_column_with_values_in_test_rows_alone(save, iris):
    path = save(iris)
    test_rows = load(path, label="species").test_rows
    iris["a"] = np.nan
    iris.loc[test_rows.tolist(), "a"] = range(30)
    assert "column a: no value in any training row" in refusal(save(iris), DataError, label="species")


def test_many_columns_are_told_by_the_first(save, iris):
    wide = pd.concat([iris, *(iris.species.rename(f"s{i}") for i in range(9))], axis=1)
    assert "columns s0, s1, s2, s3, s4 and 4 more: not numeric" in refusal(save(wide), label="species")


def test_settings_out_of_range(tmp_path):
    for wrong in ({"missing": "zero"}, {"split_seed": -1}, {"split_seed": 2**32}, {"scaler_fit": "test"}):
        with pytest.raises(ValidationError, match=next(iter(wrong))):
            CsvTable(**{**DEFAULTS, "path": tmp_path / "my.csv", **wrong})


def test_check(save, iris, tmp_path):
    path = save(iris)
    good = CsvTable(**{**DEFAULTS, "path": path, "label": "species"})
    found = good.check(tmp_path, verify=True)
    assert (found.present, found.problem, found.size_bytes) == (True, "", path.stat().st_size)
    assert "not numeric" in CsvTable(**{**DEFAULTS, "path": path}).check(tmp_path, verify=True).problem
    path.unlink()
    assert not good.check(tmp_path, verify=True).present


def test_the_way_out_keeps_what_is_dropped_already_and_quotes_what_hydra_needs_quoted(save, iris):
    iris["my petals (cm)"] = 1
    path = save(iris.assign(id="a"))
    message = refusal(path, label="species", drop=["id"])
    advice = message.partition("leave out with ")[2]
    assert advice == """'dataset.drop=["id","my petals (cm)"]'"""
    (override,) = OverridesParser.create().parse_overrides([advice.strip("'")])
    assert load(path, label="species", drop=override.value()).shape == (4,)
