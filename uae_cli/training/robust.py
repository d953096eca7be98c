"""Training against an adversary: Madry et al. (2018) and TRADES (Zhang et al. 2019)."""

from collections.abc import Callable
from typing import ClassVar

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional as F

from uae_cli.settings import STRICT, Count, NonNegative, Positive
from uae_cli.training.classification import ClassificationUpdater
from uae_cli.training.objectives import OptimizerFactory, Updater

Loss = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Adversary:
    """L∞ projected gradient ascent on a batch, within training.

    The model is in evaluation mode meanwhile, as in TRADES' program; Madry's networks are the same in both.

    Attributes:
        epsilon: ε > 0, largest change of any value.
        step_size: of every value, by the gradient's sign.
        iterations: steps.
    """

    epsilon: Positive
    step_size: Positive
    iterations: Count

    def perturb(self, model: nn.Module, x: Tensor, start: Tensor, loss: Loss) -> Tensor:
        """Samples (B, *shape) within ε of x and in [0, 1] at which `loss` (a sum over logits) is large.

        Args:
            model: gives logits; its mode is put back.
            x: (B, *shape) clean samples.
            start: (B, *shape) where the ascent begins.
            loss: of the logits.
        """
        training = model.training
        model.eval()
        moved = start
        for _ in range(self.iterations):
            moved = moved.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(loss(model(moved)), moved)
            moved = torch.clamp(
                moved.detach() + self.step_size * gradient.sign(), x - self.epsilon, x + self.epsilon
            ).clamp_(0, 1)
        model.train(training)
        return moved


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MadryObjective:
    """Cross-entropy on adversarial samples alone, from a start uniform in ±ε (Madry et al. 2018).

    Attributes:
        optimizer: makes an optimiser of parameters.
        adversary: what perturbs the batch.
    """

    supervised: ClassVar[bool] = True
    optimizer: OptimizerFactory
    adversary: Adversary

    def bind(self, model: nn.Module, generator: torch.Generator, *, steps: int) -> Updater:  # noqa: ARG002
        """See `Objective.bind`."""
        return _MadryUpdater(self.adversary, self.optimizer, model, generator)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TradesObjective:
    """Cross-entropy on clean samples plus β · KL(p(x) ‖ p(x')), x' raising that KL (Zhang et al. 2019).

    The adversary starts from x plus Gaussian noise of deviation 0.001, as in the authors' program.

    Attributes:
        optimizer: makes an optimiser of parameters.
        adversary: what perturbs the batch.
        beta: β, 1/λ in their paper.
    """

    supervised: ClassVar[bool] = True
    optimizer: OptimizerFactory
    adversary: Adversary
    beta: NonNegative

    def bind(self, model: nn.Module, generator: torch.Generator, *, steps: int) -> Updater:  # noqa: ARG002
        """See `Objective.bind`."""
        return _TradesUpdater(self.adversary, self.beta, self.optimizer, model, generator)


class _MadryUpdater(ClassificationUpdater):
    def __init__(
        self,
        adversary: Adversary,
        optimizer: OptimizerFactory,
        model: nn.Module,
        generator: torch.Generator,
    ) -> None:
        super().__init__(optimizer, model, generator)
        self._adversary = adversary

    def loss(self, batch: Tensor, labels: Tensor) -> Tensor:
        noise = (2 * torch.rand_like(batch) - 1) * self._adversary.epsilon
        start = (batch + noise).clamp_(0, 1)
        moved = self._adversary.perturb(
            self.model, batch, start, lambda logits: F.cross_entropy(logits, labels, reduction="sum")
        )
        return F.cross_entropy(self.model(moved), labels)


class _TradesUpdater(ClassificationUpdater):
    def __init__(
        self,
        adversary: Adversary,
        beta: float,
        optimizer: OptimizerFactory,
        model: nn.Module,
        generator: torch.Generator,
    ) -> None:
        super().__init__(optimizer, model, generator)
        self._adversary, self._beta = adversary, beta

    def loss(self, batch: Tensor, labels: Tensor) -> Tensor:
        start = batch + 0.001 * torch.randn_like(batch)
        moved = self._adversary.perturb(self.model, batch, start, self._divergence_from(batch))
        clean = self.model(batch)
        divergence = _divergence(self.model(moved), clean) / len(batch)
        return F.cross_entropy(clean, labels) + self._beta * divergence

    def _divergence_from(self, batch: Tensor) -> Loss:
        training = self.model.training
        with torch.no_grad():
            clean = self.model.eval()(batch)
        self.model.train(training)
        return lambda logits: _divergence(logits, clean)


def _divergence(logits: Tensor, clean: Tensor) -> Tensor:
    """KL(softmax(clean) ‖ softmax(logits)), summed over the batch."""
    return F.kl_div(
        F.log_softmax(logits, dim=1), F.log_softmax(clean, dim=1), log_target=True, reduction="sum"
    )
