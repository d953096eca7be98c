"""What a frozen encoder makes of a dataset, and what a linear probe and nearest neighbours make of that."""

import copy
from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError
from sklearn.linear_model import LogisticRegression
from torch import nn

from uae_cli.errors import ConfigError
from uae_cli.evaluation.representation import LinearProbe, NearestNeighbours, Representation, represent
from uae_cli.models import SimCLR

SETTINGS = {"lr": 0.1, "momentum": 0.9, "batch_size": 128, "epochs": 30}


def encoder() -> nn.Module:
    return SimCLR(shape=(1, 8, 8), encoder="small_conv", hidden_dim=8, projection_dim=4).encoder


def test_features_are_those_of_evaluation_mode_whatever_the_batches(labelled):
    network = encoder()
    network(labelled.x_train[:100])  # statistics that differ from the start's
    features = represent(network, labelled, batch_size=100)
    network.eval()
    torch.testing.assert_close(features.train, network(labelled.x_train).detach())
    torch.testing.assert_close(features.test, network(labelled.x_test).detach())
    assert features.y_test is labelled.y_test
    assert features.classes == 10


def test_the_encoder_is_left_as_it_was(labelled):
    network = encoder()
    before = copy.deepcopy(network.state_dict())
    features = represent(network, labelled, batch_size=500)
    assert not features.train.requires_grad
    assert network.training
    assert not represent(network.eval(), labelled, batch_size=500).test.requires_grad
    assert not network.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def probe(**changes: object) -> LinearProbe:
    return LinearProbe(**(SETTINGS | changes))


def test_the_probe_is_as_accurate_as_scikit_learns_logistic_regression(pixels):
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


def test_the_probes_accuracy_is_a_percentage_of_the_test_samples():
    """Two separable classes, with one of the four test labels wrong."""
    features = torch.tensor([[-1.0], [1.0], [-2.0], [2.0]])
    classes = torch.tensor([0, 1, 0, 1])
    told = Representation(features, classes, features, torch.tensor([0, 1, 0, 0]))
    assert probe().accuracy(told, seed=0) == 75.0


@pytest.mark.parametrize("change", [{"lr": 0.0}, {"momentum": 1.0}, {"batch_size": 0}, {"epochs": 0}])
def test_settings_out_of_range_are_refused_by_name(change):
    with pytest.raises(ValidationError, match=next(iter(change))):
        probe(**change)


def test_nearest_neighbours_are_a_vote_of_the_most_similar_by_the_cosine(pixels):
    train, test = (torch.nn.functional.normalize(x, dim=1) for x in (pixels.train, pixels.test))
    votes = pixels.y_train[(test @ train.T).topk(5).indices]
    expected = 100 * float((votes.mode(1).values == pixels.y_test).double().mean())
    assert expected > 95
    assert NearestNeighbours(k=5).accuracy(pixels) == pytest.approx(expected, abs=0.3)


def test_the_length_of_a_feature_does_not_matter():
    train = torch.tensor([[1.0, 0.1], [0.1, 1.0]])
    test = torch.tensor([[0.1, 0.0], [0.0, 100.0]])
    classes = torch.tensor([0, 1])
    assert NearestNeighbours(k=1).accuracy(Representation(train, classes, test, classes)) == 100.0
    assert NearestNeighbours(k=1).accuracy(Representation(train, classes, test, 1 - classes)) == 0.0


def test_more_neighbours_than_samples_are_refused(pixels):
    with pytest.raises(ConfigError, match=r"k = 2000: there are only 1437 training samples"):
        NearestNeighbours(k=2000).accuracy(pixels)
