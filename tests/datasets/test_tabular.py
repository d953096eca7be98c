import numpy as np
import pytest
import torch

from uae_cli.datasets.tabular import min_max_scale, stratified_split
from uae_cli.errors import DataError

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
    train, test = stratified_split("made", labels)
    assert sorted([*train, *test]) == list(range(100))
    assert np.bincount(labels[test]).tolist() == [2, 4, 6, 8]
    again, _ = stratified_split("made", labels)
    assert np.array_equal(train, again)


def test_a_class_with_one_row_cannot_be_split():
    with pytest.raises(DataError, match=r"made: can't be split 80/20 class by class .*give more rows"):
        stratified_split("made", np.array([0] * 20 + [1]))
