import pytest
import torch
from pydantic import ValidationError

from uae_cli.errors import ConfigError
from uae_cli.models import CarliniWagnerNet

PAPER = {"dropout": 0.5, "padding": "valid"}
SMALL = {"channels": [4, 8], "hidden": [16, 12], "dropout": 0.0, "padding": "same"}


# Weights and biases counted by hand from the layers of Carlini and Wagner's Table I
@pytest.mark.parametrize(
    ("shape", "channels", "hidden", "count"),
    [
        ((1, 28, 28), [32, 64], [200, 200], 312_202),
        ((3, 32, 32), [64, 128], [256, 256], 1_147_978),
    ],
)
def test_the_papers_networks(shape, channels, hidden, count):
    model = CarliniWagnerNet(shape=shape, classes=10, channels=channels, hidden=hidden, **PAPER)
    assert sum(parameter.numel() for parameter in model.parameters()) == count
    assert model(torch.rand(2, *shape)).shape == (2, 10)
    assert model.eval().embed(torch.rand(2, *shape)).shape == (2, hidden[1])


def test_the_hooked_layer_is_the_first_convolutions_activation():
    model = CarliniWagnerNet(shape=(1, 8, 8), classes=10, **SMALL)
    x = torch.rand(3, 1, 8, 8)
    layer = model.get_submodule(model.feature_layer)
    seen = []
    layer.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    model(x)
    torch.testing.assert_close(seen[0], torch.relu(model.features[0](x)))
    assert seen[0].shape == (3, 4, 8, 8)


def test_logits_are_a_linear_map_of_the_embedding():
    model = CarliniWagnerNet(shape=(1, 8, 8), classes=10, **SMALL).eval()
    x = torch.rand(3, 1, 8, 8)
    torch.testing.assert_close(model(x), model.head(model.embed(x)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shape": (64,)}, r"needs images"),
        ({"padding": "valid"}, r"channels = \[4, 8\]: 2 blocks leave nothing of 8×8 .*padding=same"),
        ({"classes": 1}, "needs 2"),
    ],
)
def test_data_that_do_not_suit_it_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        CarliniWagnerNet(**({"shape": (1, 8, 8), "classes": 10} | SMALL | changes))


@pytest.mark.parametrize("change", [{"dropout": 1.0}, {"hidden": [3]}, {"channels": []}], ids=str)
def test_settings_out_of_range_are_refused(change):
    with pytest.raises(ValidationError, match=next(iter(change))):
        CarliniWagnerNet(**({"shape": (1, 8, 8), "classes": 10} | SMALL | change))
