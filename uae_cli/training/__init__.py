"""Training: one loop, and one objective per kind of model."""

from uae_cli.training.objectives import AdversarialObjective, ReconstructionObjective, Sparsity
from uae_cli.training.progress import History
from uae_cli.training.trainer import EarlyStopping, OnEpoch, Trainer

__all__ = [
    "AdversarialObjective",
    "EarlyStopping",
    "History",
    "OnEpoch",
    "ReconstructionObjective",
    "Sparsity",
    "Trainer",
]
