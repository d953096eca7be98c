from pathlib import Path

import torch
from sklearn.datasets import load_digits

from uae_cli.datasets import Digits

LOADER = Digits(name="digits")
NOWHERE = Path("/nonexistent")


def test_digits_are_images_in_the_unit_interval():
    data = LOADER.load(NOWHERE, download=False)
    assert data.shape == (1, 8, 8)
    assert (len(data.x_train), len(data.x_test)) == (1437, 360)
    assert data.x_train.dtype == torch.float32
    assert (float(data.x_train.min()), float(data.x_train.max())) == (0.0, 1.0)


def test_every_digit_lands_in_one_split_with_its_label():
    data = LOADER.load(NOWHERE, download=False)
    pixels = (torch.cat([data.x_train, data.x_test]) * 16).int().flatten(1)
    rows = [
        (*x, y) for x, y in zip(pixels.tolist(), torch.cat([data.y_train, data.y_test]).tolist(), strict=True)
    ]
    original = load_digits()
    expected = [
        (*x, y) for x, y in zip(original.data.astype(int).tolist(), original.target.tolist(), strict=True)
    ]
    assert sorted(rows) == sorted(expected)


def test_the_split_is_fixed_and_keeps_the_share_of_each_class():
    first, second = (LOADER.load(NOWHERE, download=False) for _ in range(2))
    assert torch.equal(first.x_train, second.x_train)
    assert torch.equal(first.y_test, second.y_test)
    share = first.y_test.bincount() / (first.y_test.bincount() + first.y_train.bincount())
    assert torch.all((share - 0.2).abs() < 0.01)


def test_row_numbers_lead_back_to_the_source():
    data = LOADER.load(NOWHERE, download=False)
    assert (load_digits().target[data.test_rows] == data.y_test.numpy()).all()
    assert len({*data.train_rows.tolist(), *data.test_rows.tolist()}) == 1797


def test_digits_are_always_present():
    found = LOADER.check(NOWHERE, verify=True)
    assert (found.present, found.problem, found.path) == (True, "", None)
    assert "scikit-learn" in found.source
