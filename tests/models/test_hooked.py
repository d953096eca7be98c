import pytest
import torch
from torch import nn

from uae_cli.errors import ConfigError
from uae_cli.models import HookedModel


@pytest.fixture
def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.5), nn.Linear(6, 4))


X = torch.rand(5, 4, generator=torch.Generator().manual_seed(0))


def test_a_response_holds_input_output_and_the_hooked_layer(network):
    response = HookedModel(network, "2")(X)
    assert response.x is X
    torch.testing.assert_close(response.output, network(X))
    torch.testing.assert_close(response.features, network[:3](X))


def test_without_a_layer_there_are_no_features(network):
    assert HookedModel(network, None)(X).features is None


def test_the_model_is_frozen_and_in_evaluation_mode(network):
    model = HookedModel(network.train(), "2")
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert torch.equal(model(X).output, model(X).output), "dropout is active"
    torch.testing.assert_close(model(X[:1]).output, model(X).output[:1])  # BatchNorm doesn't see neighbours


def test_output_and_features_are_differentiable_in_x(network):
    x = X.clone().requires_grad_()
    response = HookedModel(network, "2")(x)
    for value in (response.output, response.features):
        (slope,) = torch.autograd.grad(value.sum(), x, retain_graph=True)
        assert bool(slope.any())


def test_each_response_keeps_its_own_features(network):
    model = HookedModel(network, "2")
    first, second = model(X), model(X + 1)
    torch.testing.assert_close(first.features, network[:3](X))
    assert not torch.equal(first.features, second.features)


def test_two_taps_on_one_model_do_not_mix(network):
    early, late, none = HookedModel(network, "0"), HookedModel(network, "2"), HookedModel(network, None)
    torch.testing.assert_close(early(X).features, network[0](X))
    torch.testing.assert_close(late(X).features, network[:3](X))
    assert none(X).features is None


def test_an_unknown_layer_is_named_with_those_there_are(network):
    with pytest.raises(
        ConfigError, match=r"layer = encoder\.9: the model has no such layer; it has 0, 1, 2, 3, 4"
    ):
        HookedModel(network, "encoder.9")


def test_the_device_is_the_parameters(network):
    assert HookedModel(network, None).device == torch.device("cpu")
