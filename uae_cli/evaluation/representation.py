"""What a frozen encoder makes of a dataset, and two classifiers on it: a linear probe, nearest neighbours."""

import dataclasses
from typing import Annotated

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional as F

from uae_cli.datasets import Dataset
from uae_cli.errors import ConfigError
from uae_cli.models.base import glorot_
from uae_cli.randomness import generator
from uae_cli.settings import STRICT, Count, Positive


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
    was_training = encoder.training
    encoder.eval()
    try:
        train, test = (_features(encoder, x, batch_size, device) for x in (data.x_train, data.x_test))
    finally:
        encoder.train(was_training)
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
                _step(head, optimizer, x[batch], y[batch])
        return head


def _step(head: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor) -> None:
    optimizer.zero_grad()
    F.cross_entropy(head(x), y).backward()
    optimizer.step()


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
