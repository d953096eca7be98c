"""Models: one file per family; each is a plain `nn.Module` built from a sample's shape."""

from uae_cli.models.autoencoders import AdversarialAutoencoder, ConvAutoencoder, DenseAutoencoder
from uae_cli.models.base import Autoencoder, evaluating, glorot_
from uae_cli.models.classifiers import CarliniWagnerNet, Classifier, ProbedEncoder
from uae_cli.models.concrete import ConcreteAutoencoder, ConcreteSelector
from uae_cli.models.hooked import HookedModel, Response, first_convolution
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
    "HookedModel",
    "ProbedEncoder",
    "Response",
    "SimCLR",
    "evaluating",
    "first_convolution",
    "glorot_",
]
