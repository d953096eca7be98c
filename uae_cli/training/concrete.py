"""Training of a concrete autoencoder: a selection that hardens as it cools (Balın et al. 2019, §3)."""

import math
from typing import Any, ClassVar

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional as F

from uae_cli.models import ConcreteAutoencoder
from uae_cli.settings import STRICT, Positive, UnitInterval
from uae_cli.training.objectives import OptimizerFactory, Updater


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ConcreteObjective:
    """Mean squared error of the relaxed model, the temperature falling exponentially over all steps.

    Attributes:
        optimizer: makes an optimiser of parameters.
        start_temperature: T₀, before the first step.
        end_temperature: T_B, of the last step.
        target: mean of the nodes' highest probabilities from which on the selection has converged.
    """

    supervised: ClassVar[bool] = False
    optimizer: OptimizerFactory
    start_temperature: Positive
    end_temperature: Positive
    target: UnitInterval

    def bind(self, model: nn.Module, generator: torch.Generator, *, steps: int) -> Updater:
        """See `Objective.bind`; needs a `ConcreteAutoencoder`."""
        if not isinstance(model, ConcreteAutoencoder):
            raise TypeError(f"{type(model).__name__} has no concrete selector; use model=concrete_ae")
        return _ConcreteUpdater(self, model, generator, steps)

    def temperature(self, share: float) -> float:
        """T₀ · (T_B / T₀)^share once this share of the steps, in [0, 1], is done."""
        ratio = self.end_temperature / self.start_temperature
        return self.start_temperature * math.exp(share * math.log(ratio))


class _ConcreteUpdater(Updater):
    def __init__(
        self,
        settings: ConcreteObjective,
        model: ConcreteAutoencoder,
        generator: torch.Generator,
        steps: int,
    ) -> None:
        self._settings, self._model, self._generator = settings, model, generator
        self._optimizer = settings.optimizer(model.parameters())
        self._done, self._steps = 0, steps

    @property
    def _temperature(self) -> float:
        return self._settings.temperature(self._done / self._steps)

    def step(self, batch: Tensor, labels: Tensor | None) -> Tensor:  # noqa: ARG002
        self._done += 1
        output = self._model.relaxed(batch, temperature=self._temperature, generator=self._generator)
        loss = F.mse_loss(output, batch)
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        return loss.detach()

    def state_dict(self) -> dict[str, Any]:
        return {"optimizer": self._optimizer.state_dict(), "done": self._done}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._optimizer.load_state_dict(state["optimizer"])
        self._done = state["done"]

    def scalars(self) -> dict[str, float]:
        return {
            "temperature": self._temperature,
            "mean_maximum": self._mean_maximum(),
            "distinct_features": float(len(self._model.selector.choice().unique())),
        }

    def converged(self) -> bool:
        return self._mean_maximum() >= self._settings.target

    def _mean_maximum(self) -> float:
        return float(self._model.selector.maxima().mean())
