"""How well a classifier classifies."""

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from uae_cli.datasets import Dataset
from uae_cli.errors import ConfigError
from uae_cli.evaluation.base import Evaluation, EvaluationData
from uae_cli.settings import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ClassificationEvaluation(Evaluation):
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

    def measure(self, model: nn.Module, data: EvaluationData) -> dict[str, float]:
        """See `Evaluation.measure`."""
        x, labels = data.dataset.x_test, data.dataset.y_test
        correct = predicted(model, x, batch_size=data.batch_size) == labels
        return {"test_accuracy": 100 * float(correct.double().mean())}


@torch.no_grad()
def predicted(model: nn.Module, x: Tensor, *, batch_size: int) -> Tensor:
    """Classes (N,) int64 of (N, *shape) samples, on the CPU."""
    device = next(model.parameters()).device
    return torch.cat([model(batch.to(device)).argmax(1).cpu() for batch in x.split(batch_size)])
