"""Autoencoders of the paper, §4.4, with the settings of the authors' program."""

import math
from collections import OrderedDict
from typing import Annotated

from pydantic import Field, validate_call
from torch import nn

from uae_cli.errors import ConfigError
from uae_cli.models.base import Autoencoder, generator_here, glorot_, image_shape
from uae_cli.settings import Count


class DenseAutoencoder(Autoencoder):
    """d–L–d with a sigmoid after both layers; the sparse autoencoder is the same network.

    Args:
        shape: shape of one sample.
        latent_dim: L, the width of the code.
    """

    @validate_call
    def __init__(self, *, shape: tuple[int, ...], latent_dim: Count) -> None:
        super().__init__()
        generator = generator_here()
        size = math.prod(shape)
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(size, latent_dim), nn.Sigmoid())
        self.decoder = nn.Sequential(nn.Linear(latent_dim, size), nn.Sigmoid(), nn.Unflatten(1, shape))
        glorot_(self, generator)


class AdversarialAutoencoder(Autoencoder):
    """Encoder d–H–H–L with a sigmoid code, mirrored decoder, and a discriminator L–H–H–1 on the code.

    Of Makhzani et al. (2016); the discriminator plays no part in reconstructing.

    Args:
        shape: shape of one sample.
        latent_dim: L, the width of the code.
        hidden_dim: H, the width of every hidden layer.
    """

    @validate_call
    def __init__(self, *, shape: tuple[int, ...], latent_dim: Count, hidden_dim: Count) -> None:
        super().__init__()
        generator = generator_here()
        size = math.prod(shape)
        self.latent_dim = latent_dim
        self.encoder = nn.Sequential(nn.Flatten(), *_hidden(size, hidden_dim, latent_dim), nn.Sigmoid())
        self.decoder = nn.Sequential(
            *_hidden(latent_dim, hidden_dim, size), nn.Sigmoid(), nn.Unflatten(1, shape)
        )
        self.discriminator = nn.Sequential(*_hidden(latent_dim, hidden_dim, 1))
        glorot_(self, generator)


def _hidden(inputs: int, hidden: int, outputs: int) -> list[nn.Module]:
    first, second, last = nn.Linear(inputs, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, outputs)
    return [first, nn.ReLU(), second, nn.ReLU(), last]


class ConvAutoencoder(Autoencoder):
    """5×5 'same' convolutions: each followed by ReLU and 2×2 max-pooling, then mirrored with upsampling.

    With channels [16, 8]: C–16–pool–8–pool, then 8–up–16–up–C with a sigmoid. Images whose sides are no
    multiples of 2 to the number of convolutions get a border of zeros, which is cut off at the end.

    Args:
        shape: (C, H, W).
        channels: feature maps of each encoder convolution; the decoder mirrors them.
        kernel: side of the square kernels, odd.

    Raises:
        ConfigError: the samples are not images, or the kernel is even.
    """

    feature_layer = "encoder.1"

    @validate_call
    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        channels: Annotated[list[Count], Field(min_length=1)],
        kernel: Count,
    ) -> None:
        super().__init__()
        generator = generator_here()
        colours, height, width = image_shape(shape, "conv_ae")
        if kernel % 2 == 0:
            raise ConfigError(f"model.network.kernel = {kernel}: must be odd, as in 'same' padding; try 5")

        def conv(inputs: int, outputs: int) -> nn.Conv2d:
            return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)

        above, beside = -height % 2 ** len(channels), -width % 2 ** len(channels)
        border = (beside // 2, beside - beside // 2, above // 2, above - above // 2)
        encoder: list[nn.Module] = []
        for inputs, outputs in zip([colours, *channels], channels, strict=False):
            encoder += [conv(inputs, outputs), nn.ReLU(), nn.MaxPool2d(2)]
        decoder: list[nn.Module] = []
        mirrored = channels[::-1]
        for inputs, outputs in zip([mirrored[0], *mirrored], mirrored, strict=False):
            decoder += [conv(inputs, outputs), nn.ReLU(), nn.Upsample(scale_factor=2)]
        decoder += [conv(channels[0], colours), nn.Sigmoid()]
        self.encoder, self.decoder = nn.Sequential(*encoder), nn.Sequential(*decoder)
        if any(border):
            # By names beside the numbers, so that weights fit images of any size
            layers = {"border": nn.ZeroPad2d(border), **dict(self.encoder.named_children())}
            self.encoder = nn.Sequential(OrderedDict(layers))
            self.decoder.add_module("cut", nn.ZeroPad2d(tuple(-side for side in border)))
        glorot_(self, generator)
