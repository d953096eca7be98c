"""Datasets: one loader per family; every loader returns tensors in [0, 1] and says its source."""

from uae_cli.datasets.arrays import NpzDataset
from uae_cli.datasets.base import Availability, Dataset, Loader
from uae_cli.datasets.embedded import Digits
from uae_cli.datasets.isolet import IsoletSubset
from uae_cli.datasets.torchvision_sets import TorchvisionDataset

__all__ = [
    "Availability",
    "Dataset",
    "Digits",
    "IsoletSubset",
    "Loader",
    "NpzDataset",
    "TorchvisionDataset",
]
