"""What a model is trained for: each objective turns batches into optimiser steps."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Annotated, Any, ClassVar, Literal, Protocol, runtime_checkable

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional as F

from uae_cli.models import AdversarialAutoencoder
from uae_cli.settings import STRICT, NonNegative

OptimizerFactory = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]


@runtime_checkable
class Objective(Protocol):
    """Settings of an objective.

    Attributes:
        supervised: whether it is shown the labels; an unsupervised one never is.
    """

    supervised: ClassVar[bool]

    def bind(self, model: nn.Module, generator: torch.Generator, *, steps: int) -> "Updater":
        """Optimisers for this model.

        Args:
            model: to be trained.
            generator: on the model's device, draws whatever is random.
            steps: how many updates there will be, for schedules.
        """
        ...


class Updater(ABC):
    """Trains one model, batch by batch."""

    @abstractmethod
    def step(self, batch: Tensor, labels: Tensor | None) -> Tensor:
        """One update on (B, *shape) samples; returns the loss that is reported, a detached scalar.

        `labels` are the batch's (B,) classes, None for an unsupervised objective.
        """

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Optimiser state, for resuming."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""

    def scalars(self) -> dict[str, float]:
        """What is worth a curve beside the loss, as it stands."""
        return {}

    def converged(self) -> bool:
        """Whether the training has reached what it must reach, apart from a low loss."""
        return True


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Sparsity:
    """weight · mean over hidden units of KL(target ‖ mean activation in the batch).

    Attributes:
        target: wanted mean activation, in (0, 1).
        weight: w, at least 0.
    """

    target: Annotated[float, Field(gt=0, lt=1)]
    weight: NonNegative

    def penalty(self, code: Tensor) -> Tensor:
        """Scalar penalty of a (B, L) code with values in (0, 1)."""
        mean = code.mean(0).clamp(1e-7, 1 - 1e-7)
        kl = self.target * torch.log(self.target / mean)
        kl = kl + (1 - self.target) * torch.log((1 - self.target) / (1 - mean))
        return self.weight * kl.mean()


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ReconstructionObjective:
    """Each sample is its own target.

    Attributes:
        loss: mse, or bce for binary cross-entropy; both are means over samples and values.
        optimizer: makes an optimiser of parameters (`_partial_: true` in YAML).
        sparsity: penalty on the code, or null.
    """

    supervised: ClassVar[bool] = False
    loss: Literal["mse", "bce"]
    optimizer: OptimizerFactory
    sparsity: Sparsity | None = None

    def bind(self, model: nn.Module, generator: torch.Generator, *, steps: int) -> Updater:  # noqa: ARG002
        """See `Objective.bind`."""
        return _ReconstructionUpdater(self, model)


def _binary_cross_entropy(output: Tensor, target: Tensor) -> Tensor:
    """torch's, but NaN where it would raise, or on a GPU end the process: of an output that is NaN."""
    return F.binary_cross_entropy(output.nan_to_num(), target) + 0 * output.mean()


class _ReconstructionUpdater(Updater):
    def __init__(self, settings: ReconstructionObjective, model: nn.Module) -> None:
        self._model, self._sparsity = model, settings.sparsity
        self._loss = F.mse_loss if settings.loss == "mse" else _binary_cross_entropy
        self._optimizer = settings.optimizer(model.parameters())

    def step(self, batch: Tensor, labels: Tensor | None) -> Tensor:  # noqa: ARG002
        loss = self._total_loss(batch)
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        return loss.detach()

    def _total_loss(self, batch: Tensor) -> Tensor:
        if self._sparsity is None:
            return self._loss(self._model(batch), batch)
        code = self._model.encoder(batch)  # type: ignore[operator]
        reconstruction = self._model.decoder(code)  # type: ignore[operator]
        return self._loss(reconstruction, batch) + self._sparsity.penalty(code)

    def state_dict(self) -> dict[str, Any]:
        return {"optimizer": self._optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._optimizer.load_state_dict(state["optimizer"])


@dataclass(frozen=True, kw_only=True, config=STRICT)
class AdversarialObjective:
    """Per batch: reconstruction, discriminator against N(0, I), then generator (Makhzani et al. 2016).

    The reported loss is the reconstruction's, a mean over samples and values.

    Attributes:
        optimizer: makes an optimiser of parameters; one each for the three updates.
    """

    supervised: ClassVar[bool] = False
    optimizer: OptimizerFactory

    def bind(self, model: nn.Module, generator: torch.Generator, *, steps: int) -> Updater:  # noqa: ARG002
        """See `Objective.bind`; needs an `AdversarialAutoencoder`."""
        if not isinstance(model, AdversarialAutoencoder):
            raise TypeError(f"{type(model).__name__} has no discriminator")
        return _AdversarialUpdater(self, model, generator)


class _AdversarialUpdater(Updater):
    def __init__(
        self, settings: AdversarialObjective, model: AdversarialAutoencoder, generator: torch.Generator
    ) -> None:
        self._model, self._generator = model, generator
        self._optimizers = {
            "reconstruction": settings.optimizer([*model.encoder.parameters(), *model.decoder.parameters()]),
            "discriminator": settings.optimizer(model.discriminator.parameters()),
            "generator": settings.optimizer(model.encoder.parameters()),
        }

    def step(self, batch: Tensor, labels: Tensor | None) -> Tensor:  # noqa: ARG002
        model = self._model
        reconstruction = F.mse_loss(model(batch), batch)
        self._update("reconstruction", reconstruction)
        code = model.encoder(batch)
        prior = torch.randn(code.shape, generator=self._generator, device=code.device, dtype=code.dtype)
        real, fake = model.discriminator(prior), model.discriminator(code.detach())
        self._update("discriminator", _judged(real, 1) + _judged(fake, 0))
        self._update("generator", _judged(model.discriminator(code), 1))
        return reconstruction.detach()

    def _update(self, name: str, loss: Tensor) -> None:
        self._model.zero_grad()
        loss.backward()
        self._optimizers[name].step()

    def state_dict(self) -> dict[str, Any]:
        return {name: optimizer.state_dict() for name, optimizer in self._optimizers.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, optimizer in self._optimizers.items():
            optimizer.load_state_dict(state[name])


def _judged(logits: Tensor, label: int) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))
