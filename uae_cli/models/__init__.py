"""Models: one file per family; each is a plain `nn.Module` built from a sample's shape."""

from uae_cli.models.adversarial import AdversarialAutoencoder
from uae_cli.models.base import Autoencoder, glorot_
from uae_cli.models.conv import ConvAutoencoder
from uae_cli.models.dense import DenseAutoencoder
from uae_cli.models.tapped import Response, TappedModel

__all__ = [
    "AdversarialAutoencoder",
    "Autoencoder",
    "ConvAutoencoder",
    "DenseAutoencoder",
    "Response",
    "TappedModel",
    "glorot_",
]
