"""What the runner expects of an autoencoder, and how its weights start."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from uae_cli.errors import ConfigError


class Autoencoder(nn.Module):
    """A network Φ: [0, 1]^shape → [0, 1]^shape.

    Attributes:
        encoder: samples to codes; a network that has none of that name reconstructs in its own `forward`.
        decoder: codes to samples.
        feature_layer: the submodule whose output is the K feature maps of the first convolution, after its
            activation (paper §6.2); None for a network without a convolution.
    """

    encoder: nn.Module
    decoder: nn.Module
    feature_layer: str | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruct (B, *shape) samples; same shape, values in [0, 1]."""
        reconstruction: Tensor = self.decoder(self.encoder(x))
        return reconstruction


def generator_here() -> torch.Generator:
    """A copy of torch's own generator as it stands, for `glorot_` once the layers have drawn from that."""
    copy = torch.Generator()
    copy.set_state(torch.get_rng_state())
    return copy


def glorot_(module: nn.Module, generator: torch.Generator) -> None:
    """Start every linear and convolutional layer as Keras does: Glorot-uniform weights, zero biases.

    The authors trained with Keras's defaults, and sigmoid autoencoders train visibly slower from
    torch's own start. The models here do so in their constructors; a user's own start as they like.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            nn.init.xavier_uniform_(layer.weight, generator=generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """In evaluation mode meanwhile; the model is left in the mode it came in."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


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
