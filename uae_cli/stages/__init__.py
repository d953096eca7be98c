"""Cached work: fit, attack and evaluate, each stage found again by what determines it."""

from uae_cli.stages.ahead import side_by_side
from uae_cli.stages.stages import Fitted, Metrics, Stages
from uae_cli.stages.tensorboard import TensorBoard
from uae_cli.stages.trackers import MLflow, Tracked, Trackio, Wandb

__all__ = [
    "Fitted",
    "MLflow",
    "Metrics",
    "Stages",
    "TensorBoard",
    "Tracked",
    "Trackio",
    "Wandb",
    "side_by_side",
]
