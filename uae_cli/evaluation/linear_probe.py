"""Accuracy of a linear classifier on frozen features (Chen et al. 2020, §2.3; our paper, Table 7)."""

from typing import Annotated

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional as F

from uae_cli.evaluation.representation import Representation
from uae_cli.models.base import glorot_
from uae_cli.randomness import generator
from uae_cli.settings import STRICT, Count, Positive


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
