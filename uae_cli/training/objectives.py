"""What a model is trained for: an objective, bound to a model, is a loss; the trainer does the rest."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LRScheduler

from uae_cli.models import AdversarialAutoencoder, ConcreteAutoencoder
from uae_cli.settings import STRICT, NonNegative, Positive, UnitInterval
from uae_cli.training import ranks

Settings = TypeVar("Settings")


class Loss(ABC, Generic[Settings]):
    """An objective on one model.

    Args:
        settings: the objective.
        model: to be trained.
        generator: on the model's device, draws whatever is random.
        steps: how many there will be, for schedules.

    Attributes:
        done: optimiser steps begun, the current one included; the trainer counts.
        auxiliary: parameters, by name, that are learned beside the model's and dropped after training.
        trains: the kind of model that is needed, and what others have not.

    Raises:
        TypeError: it is a model of another kind.
    """

    trains: ClassVar[tuple[type[nn.Module], str]] = (nn.Module, "")

    def __init__(self, settings: Settings, model: nn.Module, generator: torch.Generator, steps: int) -> None:
        kind, lacking = self.trains
        if not isinstance(model, kind):
            raise TypeError(f"{type(model).__name__} has {lacking}")
        self.settings, self.model, self.generator, self.steps = settings, model, generator, steps
        self.done = 0
        self.auxiliary: dict[str, nn.Parameter] = {}

    @abstractmethod
    def __call__(self, batch: Tensor, labels: Tensor | None) -> Tensor:
        """The loss that is reported, a scalar.

        Args:
            batch: (B, *shape) samples.
            labels: (B,) their classes, None for an unsupervised objective.
        """

    def in_turn(self, batch: Tensor, labels: Tensor | None) -> Iterator[Tensor]:
        """A scalar for each optimiser, which steps before the next is asked for; the first is reported."""
        yield self(batch, labels)

    def parameters(self) -> list[list[nn.Parameter]]:
        """What each optimiser changes."""
        return [[*self.model.parameters(), *self.auxiliary.values()]]

    def schedule(self, optimizer: torch.optim.Optimizer) -> LRScheduler | None:  # noqa: ARG002
        """How the optimiser's learning rate changes with the step; None keeps it."""
        return None

    def scalars(self) -> dict[str, float]:
        """What is worth a curve beside the loss, as it stands."""
        return {}

    def converged(self) -> bool:
        """Whether the training has reached what it must reach, apart from a low loss."""
        return True


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Objective(ABC):
    """Settings of an objective.

    Attributes:
        optimizer: makes an optimiser of parameters (`_partial_: true` in YAML).
        makes: the loss that it is once bound to a model.
        supervised: whether it is shown the labels; an unsupervised one never is.
        compares_samples: whether the loss depends on how many samples a batch has, and of one alone is none.
        divides_batches: whether several processes may share a batch; see `ranks`.
    """

    makes: ClassVar[type[Loss[Any]]]
    supervised: ClassVar[bool] = False
    compares_samples: ClassVar[bool] = False
    divides_batches: ClassVar[bool] = False
    optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]

    @property
    def passes(self) -> int:
        """Forward and backward passes of one sample through the whole model that a step takes."""
        return 1

    def bind(self, model: nn.Module, generator: torch.Generator, steps: int) -> Loss[Any]:
        """The loss of this model; see `Loss`."""
        return self.makes(self, model, generator, steps)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Sparsity:
    """weight · mean over hidden units of KL(target ‖ mean activation in the batch).

    Attributes:
        target: wanted mean activation, in (0, 1).
        weight: w, at least 0.
    """

    target: Annotated[float, Field(gt=0, lt=1)]
    weight: NonNegative

    def penalty(self, mean: Tensor) -> Tensor:
        """Scalar penalty of the batch's mean code, (L,) with values in (0, 1)."""
        mean = mean.clamp(1e-7, 1 - 1e-7)
        kl = self.target * torch.log(self.target / mean)
        kl = kl + (1 - self.target) * torch.log((1 - self.target) / (1 - mean))
        return self.weight * kl.mean()


class _ReconstructionLoss(Loss["ReconstructionObjective"]):
    def __call__(self, batch: Tensor, labels: Tensor | None) -> Tensor:  # noqa: ARG002
        distance = F.mse_loss if self.settings.loss == "mse" else _binary_cross_entropy
        own = ranks.share(batch)
        if self.settings.sparsity is None:
            return ranks.mean(distance(self.model(own), own), own)
        code = self.model.encoder(own)  # type: ignore[operator]
        reconstruction = self.model.decoder(code)  # type: ignore[operator]
        penalty = self.settings.sparsity.penalty(ranks.mean(code.mean(0), own))
        return ranks.mean(distance(reconstruction, own), own) + penalty


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ReconstructionObjective(Objective):
    """Each sample is its own target.

    Attributes:
        loss: mse, or bce for binary cross-entropy; both are means over samples and values.
        sparsity: penalty on the code, or null.
    """

    makes = _ReconstructionLoss
    divides_batches: ClassVar[bool] = True
    loss: Literal["mse", "bce"]
    sparsity: Sparsity | None = None


def _binary_cross_entropy(output: Tensor, target: Tensor) -> Tensor:
    """torch's, but NaN where it would raise, or on a GPU end the process: of an output that is NaN."""
    return F.binary_cross_entropy(output.nan_to_num(), target) + 0 * output.mean()


class _AdversarialLoss(Loss["AdversarialObjective"]):
    model: AdversarialAutoencoder
    trains = AdversarialAutoencoder, "no discriminator"

    def __call__(self, batch: Tensor, labels: Tensor | None) -> Tensor:  # noqa: ARG002
        own = ranks.share(batch)
        return ranks.mean(F.mse_loss(self.model(own), own), own)

    def in_turn(self, batch: Tensor, labels: Tensor | None) -> Iterator[Tensor]:
        yield self(batch, labels)
        code, judge = self.model.encoder(ranks.share(batch)), self.model.discriminator
        shape = len(batch), *code.shape[1:]
        prior = torch.randn(shape, generator=self.generator, device=code.device, dtype=code.dtype)
        yield _judged(judge(ranks.share(prior)), 1) + _judged(judge(code.detach()), 0)
        yield _judged(judge(code), 1)

    def parameters(self) -> list[list[nn.Parameter]]:
        encoder, decoder = [*self.model.encoder.parameters()], [*self.model.decoder.parameters()]
        return [encoder + decoder, [*self.model.discriminator.parameters()], encoder]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class AdversarialObjective(Objective):
    """Per batch: reconstruction, discriminator against N(0, I), then generator (Makhzani et al. 2016).

    Each of the three has an optimiser. The reported loss is the reconstruction's, a mean over samples and
    values.
    """

    makes = _AdversarialLoss
    divides_batches: ClassVar[bool] = True


def _judged(logits: Tensor, label: int) -> Tensor:
    loss = F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))
    return ranks.mean(loss, logits)


class _ConcreteLoss(Loss["ConcreteObjective"]):
    model: ConcreteAutoencoder
    trains = ConcreteAutoencoder, "no concrete selector; use model=concrete_ae"

    def __call__(self, batch: Tensor, labels: Tensor | None) -> Tensor:  # noqa: ARG002
        relaxed = self.model.relaxed(batch, temperature=self._temperature(), generator=self.generator)
        return F.mse_loss(relaxed, batch)

    def scalars(self) -> dict[str, float]:
        return {
            "temperature": self._temperature(),
            "mean_maximum": self._mean_maximum(),
            "distinct_features": float(len(self.model.selector.choice().unique())),
        }

    def converged(self) -> bool:
        return self._mean_maximum() >= self.settings.target

    def _temperature(self) -> float:
        return self.settings.temperature(self.done / self.steps)

    def _mean_maximum(self) -> float:
        return float(self.model.selector.maxima().mean())


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ConcreteObjective(Objective):
    """Mean squared error of the relaxed model, whose selection hardens as it cools (Balın et al. 2019, §3).

    The temperature falls exponentially over all steps.

    Attributes:
        start_temperature: T₀, before the first step.
        end_temperature: T_B, of the last step.
        target: mean of the nodes' highest probabilities from which on the selection has converged.
    """

    makes = _ConcreteLoss
    start_temperature: Positive
    end_temperature: Positive
    target: UnitInterval

    def temperature(self, share: float) -> float:
        """T₀ · (T_B / T₀)^share once this share of the steps, in [0, 1], is done."""
        ratio = self.end_temperature / self.start_temperature
        return self.start_temperature * math.exp(share * math.log(ratio))
