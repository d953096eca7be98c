import re
from functools import partial

import pytest
import torch
from pydantic import ValidationError

from uae_cli.errors import ConfigError
from uae_cli.models import HookedModel, SimCLR

simclr = partial(SimCLR, hidden_dim=16, projection_dim=6)
ADMITTED = [
    ("resnet18", (3, 32, 32), 64),
    ("resnet18", (1, 8, 8), 64),
    ("small_conv", (1, 28, 28), 32),
    ("small_conv", (2, 4, 5), 32),
]


def images(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.rand(3, *shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("encoder", "shape", "maps"), ADMITTED)
def test_images_are_projected_and_the_first_convolution_can_be_tapped(encoder, shape, maps):
    model = simclr(shape=shape, encoder=encoder)
    response = HookedModel(model, model.feature_layer)(images(shape))
    assert response.output.shape == (3, 6)
    assert response.features.shape == (3, maps, *shape[1:])
    assert float(response.features.min()) == 0


@pytest.mark.parametrize(
    ("encoder", "conv", "norm"), [("resnet18", "conv1", "bn1"), ("small_conv", "0", "1")]
)
def test_the_feature_layer_is_the_first_convolution_normalised_and_activated(encoder, conv, norm):
    model, x = simclr(shape=(3, 8, 8), encoder=encoder), images((3, 8, 8))
    features = HookedModel(model, model.feature_layer)(x).features
    first, then = (model.get_submodule(f"encoder.{name}") for name in (conv, norm))
    torch.testing.assert_close(features, torch.relu(then(first(x))))


@pytest.mark.parametrize("encoder", ["resnet18", "small_conv"])
def test_an_images_projection_does_not_depend_on_its_batch(encoder):
    model, x = simclr(shape=(3, 8, 8), encoder=encoder).eval().double(), images((3, 8, 8)).double()
    torch.testing.assert_close(model(x)[1:2], model(x[1:2]))


def test_the_resnet_has_the_stem_for_small_images():
    """11,173,962 parameters with a 10-class head is the CIFAR ResNet-18; here without its 5,130."""
    encoder = simclr(shape=(3, 32, 32), encoder="resnet18").encoder
    assert sum(p.numel() for p in encoder.parameters()) == 11_173_962 - 5_130
    assert encoder(images((3, 32, 32))).shape == (3, 512)
    last: list[torch.Tensor] = []
    encoder.layer4.register_forward_hook(lambda _module, _inputs, output: last.append(output))
    encoder(images((3, 32, 32)))
    assert last[0].shape == (3, 512, 4, 4)


@pytest.mark.parametrize(
    ("encoder", "shape", "message"),
    [
        ("resnet18", (3, 7, 32), "resnet18: needs images of at least 8×8, but the dataset's are 7×32"),
        ("small_conv", (1, 8, 3), "small_conv: needs images of at least 4×4, but the dataset's are 8×3"),
        (
            "small_conv",
            (617,),
            "model = simclr: needs images (C, H, W), but the dataset's samples have shape",
        ),
    ],
)
def test_what_the_stem_cannot_take_is_refused(encoder, shape, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        simclr(shape=shape, encoder=encoder)


@pytest.mark.parametrize("changes", [{"encoder": "resnet50"}, {"projection_dim": 0}, {"hidden_dim": -1}])
def test_settings_out_of_range_are_refused_by_name(changes):
    settings = {"encoder": "small_conv", "hidden_dim": 16, "projection_dim": 6} | changes
    with pytest.raises(ValidationError, match=next(iter(changes))):
        SimCLR(shape=(1, 8, 8), **settings)
