"""Protocols: what is done with a model and an attack; one file each, read from top to bottom."""

from uae_cli.protocols.attack import AttackProtocol
from uae_cli.protocols.augmentation import Augment
from uae_cli.protocols.base import ORIGINAL, REPLICATE, Line, Result, Runnable
from uae_cli.protocols.classifiers import Probed, Source, Trained
from uae_cli.protocols.robustness import RobustnessProtocol

__all__ = [
    "ORIGINAL",
    "REPLICATE",
    "AttackProtocol",
    "Augment",
    "Line",
    "Probed",
    "Result",
    "RobustnessProtocol",
    "Runnable",
    "Source",
    "Trained",
]
