"""Training: one loop, and one objective per kind of model."""

from uae_cli.training.checkpoint import History
from uae_cli.training.contrastive import AdversarialViews, ContrastiveObjective
from uae_cli.training.lars import LARS
from uae_cli.training.objectives import (
    AdversarialObjective,
    ConcreteObjective,
    Loss,
    Objective,
    ReconstructionObjective,
    Sparsity,
)
from uae_cli.training.supervised import Adversary, ClassificationObjective, MadryObjective, TradesObjective
from uae_cli.training.trainer import Callbacks, EarlyStopping, Renewal, Trainer, Updater, lend_a_hand

__all__ = [
    "LARS",
    "AdversarialObjective",
    "AdversarialViews",
    "Adversary",
    "Callbacks",
    "ClassificationObjective",
    "ConcreteObjective",
    "ContrastiveObjective",
    "EarlyStopping",
    "History",
    "Loss",
    "MadryObjective",
    "Objective",
    "ReconstructionObjective",
    "Renewal",
    "Sparsity",
    "TradesObjective",
    "Trainer",
    "Updater",
    "lend_a_hand",
]
