"""How good a model's outputs are: an autoencoder's reconstructions (paper §4.4), a classifier's classes."""

from collections.abc import Callable

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from uae_cli.attacks import squared_error
from uae_cli.datasets import Dataset
from uae_cli.errors import ConfigError
from uae_cli.evaluation.base import Evaluation, EvaluationData
from uae_cli.settings import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ReconstructionEvaluation(Evaluation):
    """Mean squared error on test and training samples: `test_mse`, `train_mse`."""

    def check(self, model: nn.Module, data: Dataset) -> None:
        """See `Evaluation.check`."""
        if (shape := _answer(model, data)) != data.shape:
            raise ConfigError(
                f"evaluation = reconstruction: the model answers samples of shape {data.shape} with {shape}; "
                "use an autoencoder, or another evaluation"
            )

    def measure(self, model: nn.Module, data: EvaluationData) -> dict[str, float]:
        """See `Evaluation.measure`."""
        samples = {"test_mse": data.dataset.x_test, "train_mse": data.dataset.x_train}
        with data.bars.bar("evaluate", sum(map(len, samples.values()))) as advance:
            return {
                name: mean_squared_error(model, x, batch_size=data.batch_size, on_batch=advance)
                for name, x in samples.items()
            }


@torch.no_grad()
def mean_squared_error(
    model: nn.Module,
    x: Tensor,
    *,
    batch_size: int,
    on_batch: Callable[[int], None] = lambda _samples: None,
) -> float:
    """Mean of (x − Φ(x))² over samples *and* values, of (N, *shape) samples in [0, 1].

    `on_batch` is told the number of samples of every batch that is done.
    """
    device = next(model.parameters()).device
    total = torch.zeros((), dtype=torch.float64, device=device)
    for batch in x.split(batch_size):
        batch = batch.to(device)
        total += squared_error(batch, model(batch)).double().sum()
        on_batch(len(batch))
    return float(total) / x.numel()


@torch.no_grad()
def reconstruct(model: nn.Module, x: Tensor) -> Tensor:
    """Φ(x) of a few (n, *shape) samples, on the CPU."""
    reconstruction: Tensor = model(x.to(next(model.parameters()).device))
    return reconstruction.cpu()


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ClassificationEvaluation(Evaluation):
    """Share of the test samples whose class has the largest logit, in percent: `test_accuracy`."""

    def check(self, model: nn.Module, data: Dataset) -> None:
        """See `Evaluation.check`."""
        shape = _answer(model, data)
        if len(shape) != 1 or shape[0] < data.classes:
            raise ConfigError(
                f"evaluation = classification: needs a logit for each of {data.classes} classes, but the "
                f"model answers with shape {shape}; use a classifier, or another evaluation"
            )

    def measure(self, model: nn.Module, data: EvaluationData) -> dict[str, float]:
        """See `Evaluation.measure`."""
        x, labels = data.dataset.x_test, data.dataset.y_test
        correct = predicted(model, x, batch_size=data.batch_size) == labels
        return {"test_accuracy": 100 * float(correct.double().mean())}


@torch.no_grad()
def _answer(model: nn.Module, data: Dataset) -> tuple[int, ...]:
    """The shape of the model's output for one sample."""
    return tuple(model(data.x_test[:1]).shape[1:])


@torch.no_grad()
def predicted(model: nn.Module, x: Tensor, *, batch_size: int) -> Tensor:
    """Classes (N,) int64 of (N, *shape) samples, on the CPU."""
    device = next(model.parameters()).device
    return torch.cat([model(batch.to(device)).argmax(1).cpu() for batch in x.split(batch_size)])
