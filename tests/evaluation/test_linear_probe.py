from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError
from sklearn.linear_model import LogisticRegression

from uae_cli.evaluation.linear_probe import LinearProbe
from uae_cli.evaluation.representation import Representation

SETTINGS = {"lr": 0.1, "momentum": 0.9, "batch_size": 128, "epochs": 30}


def probe(**changes: object) -> LinearProbe:
    return LinearProbe(**(SETTINGS | changes))


def test_it_is_as_accurate_as_scikit_learns_logistic_regression(pixels):
    reference = LogisticRegression(max_iter=1000).fit(pixels.train.numpy(), pixels.y_train.numpy())
    expected = 100 * reference.score(pixels.test.numpy(), pixels.y_test.numpy())
    assert expected > 90
    assert probe().accuracy(pixels, seed=0) == pytest.approx(expected, abs=1.5)


def test_the_seed_and_nothing_else_decides(pixels):
    short = probe(epochs=1)
    first = short.accuracy(pixels, seed=0)
    torch.rand(5)
    assert short.accuracy(pixels, seed=0) == first
    assert {short.accuracy(pixels, seed=seed) for seed in range(1, 5)} != {first}


def test_features_that_say_nothing_give_chance(pixels):
    blind = replace(pixels, train=torch.zeros_like(pixels.train), test=torch.zeros_like(pixels.test))
    assert probe(epochs=3).accuracy(blind, seed=0) < 20


def test_accuracy_is_a_percentage_of_the_test_samples():
    """Two separable classes, with one of the four test labels wrong."""
    features = torch.tensor([[-1.0], [1.0], [-2.0], [2.0]])
    classes = torch.tensor([0, 1, 0, 1])
    told = Representation(features, classes, features, torch.tensor([0, 1, 0, 0]))
    assert probe().accuracy(told, seed=0) == 75.0


@pytest.mark.parametrize("change", [{"lr": 0.0}, {"momentum": 1.0}, {"batch_size": 0}, {"epochs": 0}])
def test_settings_out_of_range_are_refused_by_name(change):
    with pytest.raises(ValidationError, match=next(iter(change))):
        probe(**change)
