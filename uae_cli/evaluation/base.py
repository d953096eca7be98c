"""What every evaluation of a trained model is given, and answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from torch import nn

from uae_cli.datasets import Dataset
from uae_cli.progress import Bars


@dataclass(frozen=True)
class EvaluationData:
    """What models are judged on.

    Attributes:
        dataset: training and test samples in use.
        seed: the experiment's seed.
        batch_size: samples put through a model at once.
        bars: progress.
    """

    dataset: Dataset
    seed: int
    batch_size: int
    bars: Bars


@runtime_checkable
class Evaluation(Protocol):
    """Settings of an evaluation; `conf/evaluation/` names them.

    One that refuses nothing, or draws nothing, inherits that.
    """

    def check(self, model: nn.Module, data: Dataset) -> None:  # noqa: ARG002
        """See whether such a model (untrained, on the CPU) can be judged on these data.

        Raises:
            ConfigError: it can't.
        """
        return

    def measure(self, model: nn.Module, data: EvaluationData) -> dict[str, float]:
        """Metrics (names of `uae_cli.results.columns.METRICS`) of a trained model on its device."""
        ...

    def draw(
        self,
        models: Mapping[str, nn.Module],  # noqa: ARG002
        data: EvaluationData,  # noqa: ARG002
        folder: Path,  # noqa: ARG002
        title: str,  # noqa: ARG002
    ) -> None:
        """Figures and lists of the trained models, by arm, as files in `folder`."""
        return


@runtime_checkable
class Watcher(Protocol):
    """An evaluation that also has something to tell every now and then during training."""

    def watch(self, model: nn.Module, data: EvaluationData, epoch: int) -> dict[str, float]:
        """Points of TensorBoard curves, by name, after this epoch (from 1); often none.

        The model is left as it is, its mode included, and training learns nothing from the answer.
        """
        ...
