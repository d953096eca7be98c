"""What a contrastive model has learned: its loss on unseen samples, and its features' worth (Table 7)."""

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from uae_cli.contrastive import Views, nt_xent
from uae_cli.datasets import Dataset
from uae_cli.errors import ConfigError
from uae_cli.evaluation.base import Evaluation, EvaluationData
from uae_cli.evaluation.representation import LinearProbe, NearestNeighbours, Representation, represent
from uae_cli.models import SimCLR
from uae_cli.settings import STRICT, Count, Positive

_AT_ONCE = 1024  # images put through an encoder; more are no faster


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ContrastiveEvaluation(Evaluation):
    """The metrics `test_contrastive_loss`, `test_accuracy` and `knn_accuracy`.

    The first is NT-Xent over two views of every test sample, in batches of `batch_size` as they lie: the
    seed draws the views, the same for every model. On a batch of B it can't fall below
    log(1 + (2B − 2) exp(−(1 + 1/(B − 1))/τ)), 4.9 for 512 at τ = 0.5: the paper's 0.29 (Table 7) must be
    some other loss. The two accuracies are a linear probe's and nearest neighbours' on the frozen encoder's
    features, which never saw a label.

    Attributes:
        views: how a sample becomes two views.
        temperature: τ > 0.
        batch_size: samples that are compared with each other.
        probe: the linear classifier.
        nearest_neighbours: the check without any training.
        watch_every: epochs between two looks of the nearest neighbours at a model in training, which
            TensorBoard shows; null for none.
    """

    views: Views
    temperature: Positive
    batch_size: Count
    probe: LinearProbe
    nearest_neighbours: NearestNeighbours
    watch_every: Count | None

    def check(self, model: nn.Module, data: Dataset) -> None:
        """See `Evaluation.check`."""
        if not isinstance(model, SimCLR):
            raise ConfigError(
                f"evaluation = contrastive: {type(model).__name__} has no encoder with a projection; use "
                "model=simclr, or another evaluation"
            )
        if min(self.batch_size, len(data.x_test)) < 2:
            raise ConfigError(
                f"evaluation.contrastive.batch_size = {self.batch_size}, of {len(data.x_test)} test samples: "
                "the loss compares samples; use 2 or more of both"
            )
        if self.nearest_neighbours.k > len(data.x_train):
            raise ConfigError(
                f"evaluation.contrastive.nearest_neighbours.k = {self.nearest_neighbours.k}: there are only "
                f"{len(data.x_train)} training samples; ask for fewer neighbours"
            )

    def measure(self, model: nn.Module, data: EvaluationData) -> dict[str, float]:
        """See `Evaluation.measure`."""
        features = _features(model, data)
        return {
            "test_contrastive_loss": self._loss(model, data),
            "test_accuracy": self.probe.accuracy(features, seed=data.seed),
            "knn_accuracy": self.nearest_neighbours.accuracy(features),
        }

    def watch(self, model: nn.Module, data: EvaluationData, epoch: int) -> dict[str, float]:
        """See `Watcher.watch`."""
        if not isinstance(model, SimCLR) or self.watch_every is None or epoch % self.watch_every:
            return {}
        return {"knn_accuracy": self.nearest_neighbours.accuracy(_features(model, data))}

    @torch.no_grad()
    def _loss(self, model: nn.Module, data: EvaluationData) -> float:
        x = data.dataset.x_test
        device = next(model.parameters()).device
        total, seen = 0.0, 0
        for index in torch.arange(len(x)).split(self.batch_size):
            if len(index) == 1:  # with nothing to compare it with
                continue
            drawn = self.views.draw(data.seed, "contrastive test views", index.to(device), 2)
            z: Tensor = model(self.views.apply(x[index].to(device), drawn))
            total += float(nt_xent(z, self.temperature)) * len(index)
            seen += len(index)
        return total / seen


def _features(model: nn.Module, data: EvaluationData) -> Representation:
    assert isinstance(model, SimCLR)  # what `check` is for
    return represent(model.encoder, data.dataset, batch_size=min(data.batch_size, _AT_ONCE))
