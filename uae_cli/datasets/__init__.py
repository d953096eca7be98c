"""Datasets: one loader per family; every loader returns tensors in [0, 1] and says its source."""

from uae_cli.datasets.base import Availability, Dataset, FileLoader, Loader
from uae_cli.datasets.hub import HubDataset
from uae_cli.datasets.image_archives import Coil20, TinyImageNet
from uae_cli.datasets.images import Digits, TorchvisionDataset
from uae_cli.datasets.named import TorchvisionByName
from uae_cli.datasets.own_arrays import NpzDataset
from uae_cli.datasets.own_images import ImageFolder
from uae_cli.datasets.own_table import CsvTable
from uae_cli.datasets.published_tables import Activity, Isolet, IsoletSubset, MiceProtein

__all__ = [
    "Activity",
    "Availability",
    "Coil20",
    "CsvTable",
    "Dataset",
    "Digits",
    "FileLoader",
    "HubDataset",
    "ImageFolder",
    "Isolet",
    "IsoletSubset",
    "Loader",
    "MiceProtein",
    "NpzDataset",
    "TinyImageNet",
    "TorchvisionByName",
    "TorchvisionDataset",
]
