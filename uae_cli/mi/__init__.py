"""Per-sample mutual information: the batched MINE estimator and its two samplings."""

from uae_cli.mi.mine import DrawnMine, MineSettings, PerSampleMine
from uae_cli.mi.networks import initial_networks
from uae_cli.mi.sampling import FeatureMaps, RandomProjections, Sampling, count_vectors, pair_vectors

__all__ = [
    "DrawnMine",
    "FeatureMaps",
    "MineSettings",
    "PerSampleMine",
    "RandomProjections",
    "Sampling",
    "count_vectors",
    "initial_networks",
    "pair_vectors",
]
