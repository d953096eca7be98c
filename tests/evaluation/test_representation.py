import copy

import torch
from torch import nn

from uae_cli.evaluation.representation import represent
from uae_cli.models import SimCLR


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
