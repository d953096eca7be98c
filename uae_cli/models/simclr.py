"""SimCLR's network: an encoder whose features are used, and a projection that only its loss sees."""

from typing import Literal

from pydantic import validate_call
from torch import Tensor, nn

from uae_cli.errors import ConfigError
from uae_cli.models.base import generator_here, glorot_, image_shape
from uae_cli.settings import Count

EncoderName = Literal["resnet18", "small_conv"]

_SMALL_CONV_CHANNELS = (32, 64, 128)
_SMALLEST_SIDE = {"resnet18": 8, "small_conv": 4}  # halved to a single value by the last stage
_FEATURE_LAYER = {"resnet18": "encoder.relu", "small_conv": "encoder.2"}


class SimCLR(nn.Module):
    """z = W₂ relu(W₁ h + b₁) + b₂ of an encoder's features h (Chen et al. 2020, §2; our paper §4.6).

    - `resnet18`: torchvision's, without its classifier, with the stem for small images of Chen et al.,
      B.9: a 3×3 first convolution of stride 1 and no max-pooling; 512 features.
    - `small_conv`: three 3×3 convolutions of 32, 64 and 128 maps, the last two of stride 2, each with batch
      normalisation and ReLU, then the mean of each map; 128 features. For digits on a CPU.

    Args:
        shape: (C, H, W), any number of channels.
        encoder: its name.
        hidden_dim: width of the projection's hidden layer.
        projection_dim: P, size of a projection.

    Attributes:
        encoder: (B, C, H, W) → (B, F).
        projection: (B, F) → (B, P).
        feature_layer: the submodule whose output is the first convolution's maps after activation.

    Raises:
        ConfigError: the samples are not images, or smaller than 8×8 (`resnet18`) or 4×4 (`small_conv`).
    """

    feature_layer: str

    @validate_call
    def __init__(
        self, *, shape: tuple[int, ...], encoder: EncoderName, hidden_dim: Count, projection_dim: Count
    ) -> None:
        super().__init__()
        generator = generator_here()
        channels, height, width = image_shape(shape, "simclr")
        if min(height, width) < (smallest := _SMALLEST_SIDE[encoder]):
            raise ConfigError(
                f"model.network.encoder = {encoder}: needs images of at least {smallest}×{smallest}, but the "
                f"dataset's are {height}×{width}; enlarge them or choose another dataset"
            )
        self.feature_layer = _FEATURE_LAYER[encoder]
        self.encoder, features = _resnet18(channels) if encoder == "resnet18" else _small_conv(channels)
        self.projection = nn.Sequential(
            nn.Linear(features, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, projection_dim)
        )
        glorot_(self, generator)

    def forward(self, x: Tensor) -> Tensor:
        """Project (B, C, H, W) images to (B, P); not normalised."""
        projections: Tensor = self.projection(self.encoder(x))
        return projections


def _resnet18(channels: int) -> tuple[nn.Module, int]:
    from torchvision.models import resnet18

    encoder = resnet18()
    width = encoder.fc.in_features
    encoder.conv1 = nn.Conv2d(channels, encoder.conv1.out_channels, 3, padding=1, bias=False)
    encoder.maxpool = nn.Identity()
    encoder.fc = nn.Identity()
    return encoder, width


def _small_conv(channels: int) -> tuple[nn.Module, int]:
    layers: list[nn.Module] = []
    inputs = [channels, *_SMALL_CONV_CHANNELS]
    for stage, (before, after) in enumerate(zip(inputs, _SMALL_CONV_CHANNELS, strict=False)):
        layers += [
            # Batch normalisation brings its own bias
            nn.Conv2d(before, after, 3, stride=2 if stage else 1, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()), _SMALL_CONV_CHANNELS[-1]
