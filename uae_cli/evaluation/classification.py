"""How well a classifier classifies."""

from collections.abc import Mapping
from pathlib import Path

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from uae_cli.datasets import Dataset
from uae_cli.errors import ConfigError
from uae_cli.evaluation.base import Subject
from uae_cli.settings import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ClassificationEvaluation:
    """Share of the test samples whose class has the largest logit, in percent: `test_accuracy`."""

    def check(self, model: nn.Module, data: Dataset) -> None:
        """See `Evaluation.check`."""
        with torch.no_grad():
            output = model(data.x_test[:1])
        if output.ndim != 2 or output.shape[1] < data.classes:
            raise ConfigError(
                f"evaluation = classification: needs a logit for each of {data.classes} classes, but the "
                f"model answers with shape {tuple(output.shape[1:])}; use a classifier, or another evaluation"
            )

    def measure(self, model: nn.Module, subject: Subject) -> dict[str, float]:
        """See `Evaluation.measure`."""
        data = subject.data
        correct = predicted(model, data.x_test, batch_size=subject.batch_size) == data.y_test
        return {"test_accuracy": 100 * float(correct.double().mean())}

    def draw(self, models: Mapping[str, nn.Module], subject: Subject, folder: Path, title: str) -> None:
        """See `Evaluation.draw`: nothing."""


@torch.no_grad()
def predicted(model: nn.Module, x: Tensor, *, batch_size: int) -> Tensor:
    """Classes (N,) int64 of (N, *shape) samples, on the CPU."""
    device = next(model.parameters()).device
    return torch.cat([model(batch.to(device)).argmax(1).cpu() for batch in x.split(batch_size)])
