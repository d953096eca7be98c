"""Classifiers that supervised attacks are aimed at (paper §4.1)."""

from abc import abstractmethod
from typing import Annotated, Literal

from pydantic import Field, validate_call
from torch import Tensor, nn

from uae_cli.errors import ConfigError
from uae_cli.models.base import generator_here, glorot_, image_shape
from uae_cli.models.simclr import SimCLR
from uae_cli.settings import Count


class Classifier(nn.Module):
    """A network M: [0, 1]^shape → logits of the classes.

    Attributes:
        head: the last linear layer.
        feature_layer: the submodule whose output is the first convolution's maps after activation.
    """

    head: nn.Linear
    feature_layer: str | None = None

    @abstractmethod
    def embed(self, x: Tensor) -> Tensor:
        """What the last linear layer sees of (B, *shape) samples, (B, F)."""

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, classes) of (B, *shape) samples."""
        logits: Tensor = self.head(self.embed(x))
        return logits


class CarliniWagnerNet(Classifier):
    """The convnets of Carlini and Wagner (2017): blocks of two 3×3 convolutions and a 2×2 max-pooling.

    With channels [32, 64] and hidden [200, 200] on MNIST: 32–32–pool–64–64–pool–200–dropout–200–logits, ReLU
    after every layer but the last.

    Args:
        shape: (C, H, W).
        classes: number of classes, at least 2.
        channels: feature maps of both convolutions of each block.
        hidden: widths of the two dense layers.
        dropout: share of the first dense layer's units that training leaves out, in [0, 1).
        padding: valid, as in the originals; or same, for images too small to lose a border.

    Raises:
        ConfigError: the samples are not images, too small for the blocks, or of a single class.
    """

    feature_layer = "features.1"

    @validate_call
    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        classes: int,
        channels: Annotated[list[Count], Field(min_length=1)],
        hidden: Annotated[list[Count], Field(min_length=2, max_length=2)],
        dropout: Annotated[float, Field(ge=0, lt=1)],
        padding: Literal["valid", "same"],
    ) -> None:
        super().__init__()
        generator = generator_here()
        colours, height, width = image_shape(shape, "a convolutional classifier")
        if classes < 2:
            raise ConfigError(
                f"dataset: {classes} class of samples, but a classifier needs 2; use another dataset"
            )
        sides = [_side_after(len(channels), side, padding) for side in (height, width)]
        if min(sides) < 1:
            raise ConfigError(
                f"model.network.channels = {channels}: {len(channels)} blocks leave nothing of "
                f"{height}×{width} images; use fewer blocks or model.network.padding=same"
            )
        layers: list[nn.Module] = []
        for inputs, outputs in zip([colours, *channels], channels, strict=False):
            layers += [
                nn.Conv2d(inputs, outputs, 3, padding=padding),
                nn.ReLU(),
                nn.Conv2d(outputs, outputs, 3, padding=padding),
                nn.ReLU(),
                nn.MaxPool2d(2),
            ]
        self.features = nn.Sequential(*layers)
        first, second = hidden
        self.dense = nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels[-1] * sides[0] * sides[1], first),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(first, second),
            nn.ReLU(),
        )
        self.head = nn.Linear(second, classes)
        glorot_(self, generator)

    def embed(self, x: Tensor) -> Tensor:
        """See `Classifier.embed`."""
        embedding: Tensor = self.dense(self.features(x))
        return embedding


class ProbedEncoder(Classifier):
    """Logits of a linear head on a frozen encoder's features (paper §6.17, Figure 10b).

    Args:
        model: whose encoder is used.
        head: (B, F) → (B, classes).
    """

    def __init__(self, model: SimCLR, head: nn.Linear) -> None:
        super().__init__()
        self.encoder, self.head = model.encoder, head
        self.feature_layer = model.feature_layer

    def embed(self, x: Tensor) -> Tensor:
        """Features of (B, C, H, W) images, (B, F)."""
        features: Tensor = self.encoder(x)
        return features


def _side_after(blocks: int, side: int, padding: str) -> int:
    for _ in range(blocks):
        side = (side - 4 if padding == "valid" else side) // 2
    return side
