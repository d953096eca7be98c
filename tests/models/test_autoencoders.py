from functools import partial

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from uae_cli.errors import ConfigError
from uae_cli.models import (
    AdversarialAutoencoder,
    ConvAutoencoder,
    DenseAutoencoder,
    HookedModel,
    glorot_,
)

dense = partial(DenseAutoencoder, latent_dim=7)
adversarial = partial(AdversarialAutoencoder, latent_dim=2, hidden_dim=9)
conv = partial(ConvAutoencoder, channels=[16, 8], kernel=5)

IMAGES = [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 64, 64), (2, 4, 12)]
ADMITTED = [(family, shape) for family in (dense, adversarial, conv) for shape in IMAGES] + [
    (dense, (617,)),
    (adversarial, (5,)),
    (partial(ConvAutoencoder, channels=[4], kernel=3), (1, 6, 10)),
    (partial(ConvAutoencoder, channels=[8, 16, 32], kernel=7), (3, 64, 8)),
    (partial(ConvAutoencoder, channels=[8, 4], kernel=1), (1, 4, 4)),
    (conv, (1, 25, 25)),
    (conv, (3, 1, 30)),
    (conv, (3, 224, 224)),
    (partial(ConvAutoencoder, channels=[8, 8, 8, 8], kernel=3), (1, 28, 37)),
]


def samples(shape: tuple[int, ...], count: int = 3) -> torch.Tensor:
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("family", "shape"), ADMITTED)
def test_a_reconstruction_has_the_samples_shape_and_range(family, shape):
    model = family(shape=shape)
    output = model(samples(shape))
    assert output.requires_grad
    assert output.shape == (3, *shape)
    assert 0 < float(output.detach().min()) < float(output.detach().max()) < 1


@pytest.mark.parametrize("family", [dense, adversarial, conv])
def test_a_sample_is_reconstructed_the_same_whatever_its_batch(family):
    model, x = family(shape=(1, 8, 8)).eval().double(), samples((1, 8, 8)).double()
    torch.testing.assert_close(model(x)[1:2], model(x[1:2]))


@pytest.mark.parametrize(
    ("changes", "shape", "message"),
    [
        ({"kernel": 4}, (1, 28, 28), r"model\.network\.kernel = 4: must be odd"),
        ({}, (617,), r"needs images \(C, H, W\), but .* shape \(617,\); choose model=dense_ae"),
    ],
)
def test_what_the_convolutions_cannot_take_is_said_with_the_setting(changes, shape, message):
    with pytest.raises(ConfigError, match=message):
        conv(shape=shape, **changes)


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        (conv, {"channels": []}),
        (conv, {"channels": [16, 0]}),
        (conv, {"kernel": 0}),
        (dense, {"latent_dim": 0}),
        (adversarial, {"latent_dim": -1}),
        (adversarial, {"hidden_dim": "wide"}),
    ],
)
def test_sizes_out_of_range_are_refused_by_name(family, changes):
    with pytest.raises(ValidationError, match=next(iter(changes))):
        family(shape=(1, 8, 8), **changes)


def test_the_feature_layer_is_the_first_convolution_after_its_activation():
    model, x = conv(shape=(3, 8, 8)), samples((3, 8, 8))
    features = HookedModel(model, model.feature_layer)(x).features
    assert features.shape == (3, 16, 8, 8)
    torch.testing.assert_close(features, torch.relu(model.encoder[0](x)))
    assert int((features == 0).sum()) > 0


def test_an_odd_size_is_the_bordered_images_reconstruction_without_its_border():
    odd, even, x = conv(shape=(1, 25, 30)), conv(shape=(1, 28, 32)), samples((1, 25, 30))
    odd.load_state_dict(even.state_dict())
    bordered = torch.zeros(3, 1, 28, 32)
    bordered[:, :, 1:26, 1:31] = x
    assert torch.equal(odd(x), even(bordered)[:, :, 1:26, 1:31])
    assert torch.equal(odd.decoder(odd.encoder(x)), odd(x)), "as the penalty on the code sees it"
    features = HookedModel(odd, odd.feature_layer)(x).features
    assert torch.equal(features, torch.relu(even.encoder[0](bordered)))


@pytest.mark.parametrize("family", [dense, adversarial])
def test_models_without_a_convolution_name_no_feature_layer(family):
    assert family(shape=(1, 8, 8)).feature_layer is None


def test_the_conv_autoencoder_is_the_papers():
    """5×5 16, pool, 5×5 8, pool; mirrored with upsampling; 7,569 parameters on MNIST."""
    layers = [
        type(layer).__name__ for layer in [*conv(shape=(1, 28, 28)).encoder, *conv(shape=(1, 28, 28)).decoder]
    ]
    down, up = ["Conv2d", "ReLU", "MaxPool2d"], ["Conv2d", "ReLU", "Upsample"]
    assert layers == [*down, *down, *up, *up, "Conv2d", "Sigmoid"]
    parameters = sum(p.numel() for p in conv(shape=(1, 28, 28)).parameters())
    assert parameters == (25 * 16 + 16) + (25 * 16 * 8 + 8) + (25 * 8 * 8 + 8) + (25 * 8 * 16 + 16) + (
        25 * 16 + 1
    )


def test_the_discriminator_judges_codes_in_the_unit_interval():
    model = adversarial(shape=(1, 8, 8))
    code = model.encoder(samples((1, 8, 8))).detach()
    assert code.shape == (3, model.latent_dim)
    assert 0 < float(code.min()) < float(code.max()) < 1
    assert model.discriminator(code).shape == (3, 1)


@pytest.mark.parametrize("family", [dense, adversarial, conv])
def test_weights_are_glorots_and_the_seeds(family):
    def weights(seed: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(seed)
        return family(shape=(1, 8, 8)).state_dict()

    first, again, other = weights(0), weights(0), weights(1)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first if name.endswith("weight"))
    assert not any(bool(value.any()) for name, value in first.items() if name.endswith("bias"))


@pytest.mark.parametrize(
    ("layer", "limit"),
    [(nn.Linear(64, 200), (6 / 264) ** 0.5), (nn.Conv2d(8, 16, 5), (6 / (25 * 8 + 25 * 16)) ** 0.5)],
)
def test_glorots_limit(layer, limit):
    glorot_(layer, torch.Generator().manual_seed(0))
    assert float(layer.weight.detach().abs().max()) == pytest.approx(limit, rel=1e-2)
    assert float(layer.weight.detach().std()) == pytest.approx(limit / 3**0.5, rel=0.05)
