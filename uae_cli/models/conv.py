"""Convolutional autoencoder (paper §4.4; settings of the authors' program)."""

from typing import Annotated

from pydantic import Field, validate_call
from torch import Tensor, nn

from uae_cli.errors import ConfigError
from uae_cli.models.base import Autoencoder, image_shape
from uae_cli.settings import Count


class ConvAutoencoder(Autoencoder):
    """5×5 'same' convolutions: each followed by ReLU and 2×2 max-pooling, then mirrored with upsampling.

    With channels [16, 8]: C–16–pool–8–pool, then 8–up–16–up–C with a sigmoid.

    Args:
        shape: (C, H, W); H and W must be multiples of 2 to the number of convolutions.
        channels: feature maps of each encoder convolution; the decoder mirrors them.
        kernel: side of the square kernels, odd.

    Raises:
        ConfigError: the samples are not images, or their sides don't divide.
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
        colours, height, width = image_shape(shape, "conv_ae")
        _check_sides(height, width, len(channels))
        if kernel % 2 == 0:
            raise ConfigError(f"model.network.kernel = {kernel}: must be odd, as in 'same' padding; try 5")

        def conv(inputs: int, outputs: int) -> nn.Conv2d:
            return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)

        encoder: list[nn.Module] = []
        for inputs, outputs in zip([colours, *channels], channels, strict=False):
            encoder += [conv(inputs, outputs), nn.ReLU(), nn.MaxPool2d(2)]
        decoder: list[nn.Module] = []
        mirrored = channels[::-1]
        for inputs, outputs in zip([mirrored[0], *mirrored], mirrored, strict=False):
            decoder += [conv(inputs, outputs), nn.ReLU(), nn.Upsample(scale_factor=2)]
        decoder += [conv(channels[0], colours), nn.Sigmoid()]
        self.encoder = nn.Sequential(*encoder)
        self.decoder = nn.Sequential(*decoder)

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruct (B, C, H, W) images."""
        reconstruction: Tensor = self.decoder(self.encoder(x))
        return reconstruction


def _check_sides(height: int, width: int, poolings: int) -> None:
    factor = 2**poolings
    if height % factor or width % factor:
        raise ConfigError(
            f"model = conv_ae: {poolings} poolings need sides that are multiples of {factor}, but images "
            f"are {height}×{width}; resize them or set model.network.channels to fewer layers"
        )
