"""What may look at a model while it is trained."""

from typing import Protocol, runtime_checkable

from torch import nn

from uae_cli.evaluation.base import Subject


@runtime_checkable
class Watcher(Protocol):
    """An evaluation that also has something to tell every now and then during training."""

    def watch(self, model: nn.Module, subject: Subject, epoch: int) -> dict[str, float]:
        """Points of TensorBoard curves, by name, after this epoch (from 1); often none.

        The model is left as it is, its mode included, and training learns nothing from the answer.
        """
        ...
