"""Datasets: one loader per family; every loader returns tensors in [0, 1] and says its source."""

from uae_cli.datasets.activity import Activity
from uae_cli.datasets.base import Availability, Dataset, Loader
from uae_cli.datasets.coil20 import Coil20
from uae_cli.datasets.embedded import Digits
from uae_cli.datasets.images import TorchvisionDataset
from uae_cli.datasets.isolet import Isolet
from uae_cli.datasets.isolet_subset import IsoletSubset
from uae_cli.datasets.mice_protein import MiceProtein
from uae_cli.datasets.own_arrays import NpzDataset
from uae_cli.datasets.own_table import CsvTable
from uae_cli.datasets.tiny_imagenet import TinyImageNet

__all__ = [
    "Activity",
    "Availability",
    "Coil20",
    "CsvTable",
    "Dataset",
    "Digits",
    "Isolet",
    "IsoletSubset",
    "Loader",
    "MiceProtein",
    "NpzDataset",
    "TinyImageNet",
    "TorchvisionDataset",
]
