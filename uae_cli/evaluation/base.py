"""What every evaluation of a trained model is given and answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from torch import nn

from uae_cli.datasets import Dataset
from uae_cli.progress import Bars


@dataclass(frozen=True)
class Subject:
    """What models are judged on.

    Attributes:
        data: training and test samples in use.
        seed: the experiment's seed.
        batch_size: samples put through a model at once.
        bars: progress.
    """

    data: Dataset
    seed: int
    batch_size: int
    bars: Bars


@runtime_checkable
class Evaluation(Protocol):
    """Settings of an evaluation; `conf/evaluation/` names them."""

    def check(self, model: nn.Module, data: Dataset) -> None:
        """See whether such a model (untrained, on the CPU) can be judged on these data.

        Raises:
            ConfigError: it can't.
        """
        ...

    def measure(self, model: nn.Module, subject: Subject) -> dict[str, float]:
        """Metrics (names of `uae_cli.results.columns.METRICS`) of a trained model on its device."""
        ...

    def draw(self, models: Mapping[str, nn.Module], subject: Subject, folder: Path, title: str) -> None:
        """Figures and lists of the trained models, by arm, as files in `folder`."""
        ...
