"""Per-sample mutual information: the batched MINE estimator and its two samplings."""

from uae_cli.mi.mine import MineSettings, PerSampleMine
from uae_cli.mi.networks import initial_networks
from uae_cli.mi.sampling import FeatureMaps, RandomProjections, Sampling

__all__ = [
    "FeatureMaps",
    "MineSettings",
    "PerSampleMine",
    "RandomProjections",
    "Sampling",
    "initial_networks",
]
