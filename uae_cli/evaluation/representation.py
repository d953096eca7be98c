"""A frozen encoder's features, classifiers on them, and what a contrastive model is worth (Table 7)."""

import dataclasses
from typing import Annotated

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional as F

from uae_cli.contrastive import Views, nt_xent
from uae_cli.datasets import Dataset
from uae_cli.errors import ConfigError
from uae_cli.evaluation.base import Evaluation, EvaluationData
from uae_cli.models import SimCLR, evaluating, glorot_
from uae_cli.randomness import generator
from uae_cli.settings import STRICT, Count, Positive

_AT_ONCE = 1024  # images put through an encoder; more are no faster


@dataclasses.dataclass(frozen=True)
class Representation:
    """Features of training and test samples, with their labels, all on one device.

    Attributes:
        train: (N, F).
        y_train: (N,) int64.
        test: (M, F).
        y_test: (M,) int64.
    """

    train: Tensor
    y_train: Tensor
    test: Tensor
    y_test: Tensor

    @property
    def classes(self) -> int:
        """Number of classes, as far as the labels in use tell."""
        return 1 + int(max(self.y_train.max(), self.y_test.max()))


def represent(encoder: nn.Module, data: Dataset, *, batch_size: int) -> Representation:
    """Put a dataset through (B, C, H, W) → (B, F) `encoder`, in evaluation mode and without gradients.

    The statistics of batch normalisation are used and not touched: updating them on labelled data would
    flatter the representation. The encoder is left in the mode it came in.
    """
    device = next(encoder.parameters()).device
    with evaluating(encoder):
        train, test = (_features(encoder, x, batch_size, device) for x in (data.x_train, data.x_test))
    return Representation(train, data.y_train.to(device), test, data.y_test.to(device))


@torch.no_grad()
def _features(encoder: nn.Module, x: Tensor, batch_size: int, device: torch.device) -> Tensor:
    return torch.cat([encoder(batch.to(device)) for batch in x.split(batch_size)])


@dataclass(frozen=True, kw_only=True, config=STRICT)
class LinearProbe:
    """Multinomial logistic regression by SGD with momentum.

    Attributes:
        lr: learning rate, constant.
        momentum: in [0, 1).
        batch_size: samples per step.
        epochs: passes over the training features.
    """

    lr: Positive
    momentum: Annotated[float, Field(ge=0, lt=1)]
    batch_size: Count
    epochs: Count

    def accuracy(self, features: Representation, *, seed: int) -> float:
        """Share of test samples classified rightly, in percent; the seed gives the start and the order."""
        head = self.fit(features, seed=seed)
        with torch.no_grad():
            right = head(features.test).argmax(1) == features.y_test
        return 100 * float(right.double().mean())

    def fit(self, features: Representation, *, seed: int) -> nn.Linear:
        """The head, (B, F) → (B, classes)."""
        x, y = features.train, features.y_train
        draws = generator(seed, "linear probe", torch.device("cpu"))
        head = nn.Linear(x.shape[1], features.classes)
        glorot_(head, draws)
        head.to(x.device, x.dtype)
        optimizer = torch.optim.SGD(head.parameters(), lr=self.lr, momentum=self.momentum)
        for _ in range(self.epochs):
            order = torch.randperm(len(x), generator=draws).to(x.device)
            for batch in order.split(self.batch_size):
                optimizer.zero_grad()
                F.cross_entropy(head(x[batch]), y[batch]).backward()
                optimizer.step()
        return head


@dataclass(frozen=True, kw_only=True, config=STRICT)
class NearestNeighbours:
    """The majority among the k training samples with the most similar features, by the cosine.

    Attributes:
        k: neighbours.
    """

    k: Count

    def accuracy(self, features: Representation) -> float:
        """Share of test samples classified rightly, in percent.

        Raises:
            ConfigError: there are fewer than k training samples.
        """
        from sklearn.neighbors import KNeighborsClassifier

        if self.k > len(features.train):
            raise ConfigError(
                f"nearest_neighbours.k = {self.k}: there are only {len(features.train)} training samples; "
                "ask for fewer neighbours"
            )
        classifier = KNeighborsClassifier(n_neighbors=self.k, metric="cosine")
        classifier.fit(features.train.cpu().numpy(), features.y_train.cpu().numpy())
        return 100 * float(classifier.score(features.test.cpu().numpy(), features.y_test.cpu().numpy()))


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
            TensorBoard shows; null for none. It changes no model: one that is reused shows the looks that
            were had when it was trained.
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
        features = _encoded(model, data)
        return {
            "test_contrastive_loss": self._loss(model, data),
            "test_accuracy": self.probe.accuracy(features, seed=data.seed),
            "knn_accuracy": self.nearest_neighbours.accuracy(features),
        }

    def watch(self, model: nn.Module, data: EvaluationData, epoch: int) -> dict[str, float]:
        """See `Watcher.watch`."""
        if not isinstance(model, SimCLR) or self.watch_every is None or epoch % self.watch_every:
            return {}
        return {"knn_accuracy": self.nearest_neighbours.accuracy(_encoded(model, data))}

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


def _encoded(model: nn.Module, data: EvaluationData) -> Representation:
    assert isinstance(model, SimCLR)  # what `check` is for
    return represent(model.encoder, data.dataset, batch_size=min(data.batch_size, _AT_ONCE))
