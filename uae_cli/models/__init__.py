"""Models: one file per family; each is a plain `nn.Module` built from a sample's shape."""

from uae_cli.models.adversarial import AdversarialAutoencoder
from uae_cli.models.base import Autoencoder, glorot_
from uae_cli.models.classifiers import CarliniWagnerNet, Classifier
from uae_cli.models.concrete import ConcreteAutoencoder, ConcreteSelector
from uae_cli.models.conv import ConvAutoencoder
from uae_cli.models.dense import DenseAutoencoder
from uae_cli.models.hooked import Response, TappedModel
from uae_cli.models.probed import ProbedEncoder
from uae_cli.models.simclr import SimCLR

__all__ = [
    "AdversarialAutoencoder",
    "Autoencoder",
    "CarliniWagnerNet",
    "Classifier",
    "ConcreteAutoencoder",
    "ConcreteSelector",
    "ConvAutoencoder",
    "DenseAutoencoder",
    "ProbedEncoder",
    "Response",
    "SimCLR",
    "TappedModel",
    "glorot_",
]
