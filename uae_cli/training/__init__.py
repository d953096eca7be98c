"""Training: one loop, and one objective per kind of model."""

from uae_cli.training.checkpoint import History
from uae_cli.training.classification import ClassificationObjective
from uae_cli.training.concrete import ConcreteObjective
from uae_cli.training.contrastive import AdversarialViews, ContrastiveObjective
from uae_cli.training.lars import LARS
from uae_cli.training.objectives import AdversarialObjective, ReconstructionObjective, Sparsity
from uae_cli.training.robust import Adversary, MadryObjective, TradesObjective
from uae_cli.training.trainer import EarlyStopping, OnEpoch, Trainer

__all__ = [
    "LARS",
    "AdversarialObjective",
    "AdversarialViews",
    "Adversary",
    "ClassificationObjective",
    "ConcreteObjective",
    "ContrastiveObjective",
    "EarlyStopping",
    "History",
    "MadryObjective",
    "OnEpoch",
    "ReconstructionObjective",
    "Sparsity",
    "TradesObjective",
    "Trainer",
]
