"""What the runner expects of an autoencoder, and how its weights start."""

import math
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from uae_cli.errors import ConfigError


class Autoencoder(nn.Module):
    """A network Φ: [0, 1]^shape → [0, 1]^shape.

    `feature_layer` names the submodule whose output is the K feature maps of the first convolution,
    after its activation (paper §6.2); None for a network without a convolution.
    """

    feature_layer: str | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruct (B, *shape) samples; same shape, values in [0, 1]."""
        raise NotImplementedError


@runtime_checkable
class StartsItself(Protocol):
    """A layer with a start of its own."""

    def start_(self, generator: torch.Generator) -> None:
        """Draw the starting weights, in place."""
        ...


def glorot_(module: nn.Module, generator: torch.Generator) -> None:
    """Start every linear and convolutional layer as Keras does: Glorot-uniform weights, zero biases.

    A layer that `StartsItself` does so.

    The authors trained with Keras's defaults, and sigmoid autoencoders train visibly slower from
    torch's own start.
    """
    for layer in module.modules():
        if isinstance(layer, StartsItself):
            layer.start_(generator)
        elif isinstance(layer, nn.Linear | nn.Conv2d):
            nn.init.xavier_uniform_(layer.weight, generator=generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def flat_size(shape: tuple[int, ...]) -> int:
    """Number of values in one sample."""
    return math.prod(shape)


def image_shape(shape: tuple[int, ...], model: str) -> tuple[int, int, int]:
    """The (C, H, W) of an image.

    Raises:
        ConfigError: the samples are not images.
    """
    if len(shape) != 3:
        raise ConfigError(
            f"model = {model}: needs images (C, H, W), but the dataset's samples have shape {shape}; "
            "choose model=dense_ae, sparse_ae or adversarial_ae"
        )
    return shape[0], shape[1], shape[2]
