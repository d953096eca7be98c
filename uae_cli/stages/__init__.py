"""Cached work: fit, attack and evaluate, each stage found again by what determines it."""

from uae_cli.stages.ahead import side_by_side
from uae_cli.stages.stages import Fitted, Metrics, Stages
from uae_cli.stages.tensorboard import TensorBoard

__all__ = ["Fitted", "Metrics", "Stages", "TensorBoard", "side_by_side"]
