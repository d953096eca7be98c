"""Training of classifiers on labels (paper §4.1)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional as F

from uae_cli.settings import STRICT
from uae_cli.training.objectives import OptimizerFactory, Updater


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ClassificationObjective:
    """Cross-entropy of the logits.

    Attributes:
        optimizer: makes an optimiser of parameters (`_partial_: true` in YAML).
    """

    supervised: ClassVar[bool] = True
    optimizer: OptimizerFactory

    def bind(self, model: nn.Module, generator: torch.Generator, *, steps: int) -> Updater:  # noqa: ARG002
        """See `Objective.bind`."""
        return ClassificationUpdater(self.optimizer, model, generator)


class ClassificationUpdater(Updater):
    """One optimiser step on the mean loss of a batch, with dropout drawn from the fit's own generator.

    Args:
        optimizer: makes the optimiser.
        model: gives (B, classes) logits.
        generator: on the model's device.
    """

    def __init__(self, optimizer: OptimizerFactory, model: nn.Module, generator: torch.Generator) -> None:
        self.model, self.generator = model, generator
        self._optimizer = optimizer(model.parameters())

    def loss(self, batch: Tensor, labels: Tensor) -> Tensor:
        """Mean loss, a scalar."""
        return F.cross_entropy(self.model(batch), labels)

    def step(self, batch: Tensor, labels: Tensor | None) -> Tensor:
        """See `Updater.step`."""
        assert labels is not None  # the objective is supervised
        with drawn_from(self.generator):
            loss = self.loss(batch, labels)
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        return loss.detach()

    def state_dict(self) -> dict[str, Any]:
        """See `Updater.state_dict`."""
        return {"optimizer": self._optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Updater.load_state_dict`."""
        self._optimizer.load_state_dict(state["optimizer"])


@contextmanager
def drawn_from(generator: torch.Generator) -> Iterator[None]:
    """Let layers that know only torch's global generator (dropout) draw from this one.

    Else a resumed fit would differ from one that ran through.
    """
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    devices = [generator.device] if generator.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        yield
