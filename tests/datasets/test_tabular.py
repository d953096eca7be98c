from dataclasses import replace

import numpy as np
import pytest
import torch

from uae_cli.datasets.tabular import Table, min_max_scale, random_split, stratified_split
from uae_cli.errors import ConfigError, DataError

TRAIN = np.array([[0.0, 5.0, 1.0], [10.0, 5.0, 3.0]])
TEST = np.array([[20.0, 5.0, 2.0], [-5.0, 6.0, 2.0]])


def test_fit_on_train_alone_clips_the_test_rows():
    train, test = min_max_scale(TRAIN, TEST, scaler_fit="train")
    assert train.dtype == test.dtype == torch.float32
    assert train.tolist() == [[0.0, 0.0, 0.0], [1.0, 0.0, 1.0]]
    assert test.tolist() == [[1.0, 0.0, 0.5], [0.0, 1.0, 0.5]]


def test_fit_on_all_rows_sees_the_test_rows():
    train, test = min_max_scale(TRAIN, TEST, scaler_fit="all")
    assert torch.allclose(train[:, 0], torch.tensor([0.2, 0.6]))
    assert torch.allclose(test[:, 0], torch.tensor([1.0, 0.0]))


def test_the_training_rows_decide_nothing_about_themselves_when_test_changes():
    train, _ = min_max_scale(TRAIN, TEST, scaler_fit="train")
    other, _ = min_max_scale(TRAIN, TEST * 100, scaler_fit="train")
    assert torch.equal(train, other)


def test_the_split_is_a_fixed_partition_class_by_class():
    labels = np.repeat(np.arange(4), [10, 20, 30, 40])
    train, test = stratified_split("made", labels, seed=0)
    assert sorted([*train, *test]) == list(range(100))
    assert np.bincount(labels[test]).tolist() == [2, 4, 6, 8]
    again, _ = stratified_split("made", labels, seed=0)
    assert np.array_equal(train, again)


def test_a_class_with_one_row_cannot_be_split():
    with pytest.raises(DataError, match=r"made: can't be split 80/20 class by class .*give more rows"):
        stratified_split("made", np.array([0] * 20 + [1]), seed=0)


def test_another_seed_draws_another_split():
    labels = np.repeat(np.arange(4), 25)
    splits = [stratified_split("made", labels, seed=seed)[1].tolist() for seed in (0, 1)]
    assert splits[0] != splits[1]
    train, test = random_split(100, seed=0)
    assert sorted([*train, *test]) == list(range(100))
    assert len(test) == 20


NAN = np.nan
GAPS = Table(
    x=np.array([[1.0, 2.0], [NAN, 4.0], [3.0, NAN], [NAN, 10.0], [9.0, NAN], [5.0, NAN]]),
    y=np.array([0, 0, 0, 1, 1, 1]),
    train=np.array([0, 1, 2, 3]),
    test=np.array([4, 5]),
)


@pytest.mark.parametrize(
    ("missing", "fit", "first", "second"),
    [
        ("mean", "train", [1, 2, 3, 2, 9, 5], [2, 4, 16 / 3, 10, 16 / 3, 16 / 3]),
        ("mean", "all", [1, 4.5, 3, 4.5, 9, 5], [2, 4, 16 / 3, 10, 16 / 3, 16 / 3]),
        # No training row of class 1 has the first feature: the mean over all classes stands in
        ("class_mean", "train", [1, 2, 3, 2, 9, 5], [2, 4, 3, 10, 10, 10]),
        ("class_mean", "all", [1, 2, 3, 7, 9, 5], [2, 4, 3, 10, 10, 10]),
    ],
)
def test_gaps_get_the_mean_of_the_rows_that_are_seen(missing, fit, first, second):
    filled = GAPS.filled(missing, fit=fit)
    assert np.allclose(filled.x, np.column_stack([first, second]))
    assert np.isnan(GAPS.x).sum() == 5


def test_a_feature_without_any_seen_value_stays_nan():
    table = Table(np.array([[NAN], [NAN], [1.0]]), np.zeros(3, int), np.array([0, 1]), np.array([2]))
    assert np.isnan(table.filled("mean", fit="train").x[:2]).all()
    assert not np.isnan(table.filled("mean", fit="all").x).any()


def test_a_dataset_tells_its_rows_and_keeps_them_when_cut():
    table = Table(np.arange(12.0)[:, None], np.arange(12), np.arange(2, 12), np.array([1, 0]))
    data = table.dataset(name="made", scaler_fit="all", source="here", rows=np.arange(12) * 10)
    assert data.test_rows.tolist() == [10, 0]
    assert torch.allclose(data.x_test * 11, torch.tensor([[1.0], [0.0]]))
    cut = data.first(3, 1)
    assert (cut.train_rows.tolist(), cut.test_rows.tolist()) == ([20, 30, 40], [10])
    assert cut.train_rows.dtype == torch.int64


def test_row_numbers_must_be_as_many_as_samples():
    data = Table(np.arange(12.0)[:, None], np.zeros(12, int), np.arange(10), np.arange(10, 12)).dataset(
        name="made", scaler_fit="all", source="here"
    )
    with pytest.raises(DataError, match="train split: 10 samples but 3 row numbers"):
        replace(data, train_rows=torch.arange(3))


def made(rows=12):
    table = Table(
        np.arange(rows + 2.0)[:, None], np.arange(rows + 2), np.arange(rows), np.arange(rows, rows + 2)
    )
    return table.dataset(name="made", scaler_fit="all", source="here", rows=np.arange(rows + 2) * 10)


def test_samples_set_aside_are_training_samples_no_more():
    whole, data = made(), made().set_aside(0.25, seed=3)
    assert (len(data.x_train), len(data.x_validation)) == (9, 3)
    for split in ("train", "validation"):
        rows = getattr(data, f"{split}_rows") // 10
        assert torch.equal(getattr(data, f"x_{split}"), whole.x_train[rows])
        assert torch.equal(getattr(data, f"y_{split}"), whole.y_train[rows])
    both = torch.cat([data.train_rows, data.validation_rows])
    assert sorted(both.tolist()) == whole.train_rows.tolist()
    assert torch.equal(data.x_test, whole.x_test)
    assert torch.equal(data.undivided, whole.x_train)
    assert data.classes == whole.classes
    assert torch.equal(data.for_validation.x_test, data.x_validation)


def test_the_seed_draws_them():
    aside = [made().set_aside(0.5, seed).aside.tolist() for seed in (0, 0, 1)]
    assert aside[0] == aside[1] != aside[2]


def test_nothing_set_aside_is_the_same_dataset():
    data = made()
    assert data.set_aside(0, seed=0) is data
    assert data.for_validation is None


@pytest.mark.parametrize(("share", "told"), [(0.01, "none"), (0.99, "all")])
def test_some_samples_must_be_on_either_side(share, told):
    with pytest.raises(ConfigError, match=f"data.validation_share = {share}: of 12 .* that is {told}; use"):
        made().set_aside(share, seed=0)
