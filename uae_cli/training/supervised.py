"""Training of classifiers on labels (paper §4.1), and against an adversary (§6.16).

Madry et al. (2018) and TRADES (Zhang et al. 2019).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import ClassVar

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional as F

from uae_cli.models import evaluating
from uae_cli.settings import STRICT, Count, NonNegative, Positive
from uae_cli.training.objectives import Loss, Objective


class _ClassifierLoss(Loss["ClassificationObjective"]):
    """With dropout and all else drawn from the fit's own generator."""

    def __call__(self, batch: Tensor, labels: Tensor | None) -> Tensor:
        assert labels is not None  # the objective is supervised
        with _drawn_from(self.generator):
            return self.settings.loss(self.model, batch, labels)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ClassificationObjective(Objective):
    """Mean cross-entropy of the logits."""

    makes = _ClassifierLoss
    supervised: ClassVar[bool] = True

    def loss(self, model: nn.Module, x: Tensor, labels: Tensor) -> Tensor:
        """Mean loss, a scalar, of a model that gives (B, classes) logits."""
        return F.cross_entropy(model(x), labels)


@contextmanager
def _drawn_from(generator: torch.Generator) -> Iterator[None]:
    """Let layers that know only torch's global generator (dropout) draw from this one.

    Else a resumed fit would differ from one that ran through.
    """
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    devices = [generator.device] if generator.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        yield


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

    def perturb(self, model: nn.Module, x: Tensor, start: Tensor, loss: Callable[[Tensor], Tensor]) -> Tensor:
        """Samples (B, *shape) within ε of x and in [0, 1] at which `loss` (a sum over logits) is large.

        Args:
            model: gives logits.
            x: (B, *shape) clean samples.
            start: (B, *shape) where the ascent begins.
            loss: of the logits.
        """
        low, high = (x - self.epsilon).clamp_(min=0), (x + self.epsilon).clamp_(max=1)
        moved = start
        with evaluating(model):
            for _ in range(self.iterations):
                moved = moved.detach().requires_grad_()
                (gradient,) = torch.autograd.grad(loss(model(moved)), moved)
                moved = torch.clamp(moved.detach() + self.step_size * gradient.sign(), low, high)
        return moved


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MadryObjective(ClassificationObjective):
    """Cross-entropy on adversarial samples alone, from a start uniform in ±ε (Madry et al. 2018).

    Attributes:
        adversary: what perturbs the batch.
    """

    adversary: Adversary

    @property
    def passes(self) -> int:
        """See `Objective.passes`."""
        return self.adversary.iterations + 1

    def loss(self, model: nn.Module, x: Tensor, labels: Tensor) -> Tensor:
        """See `ClassificationObjective.loss`."""
        start = (x + (2 * torch.rand_like(x) - 1) * self.adversary.epsilon).clamp_(0, 1)
        total = partial(F.cross_entropy, target=labels, reduction="sum")
        moved = self.adversary.perturb(model, x, start, total)
        return F.cross_entropy(model(moved), labels)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TradesObjective(ClassificationObjective):
    """Cross-entropy on clean samples plus β · KL(p(x) ‖ p(x')), x' raising that KL (Zhang et al. 2019).

    The adversary starts from x plus Gaussian noise of deviation 0.001, as in the authors' program.

    Attributes:
        adversary: what perturbs the batch.
        beta: β, 1/λ in their paper.
    """

    adversary: Adversary
    beta: NonNegative

    @property
    def passes(self) -> int:
        """See `Objective.passes`: of clean samples, too."""
        return self.adversary.iterations + 2

    def loss(self, model: nn.Module, x: Tensor, labels: Tensor) -> Tensor:
        """See `ClassificationObjective.loss`."""
        start = x + 0.001 * torch.randn_like(x)
        with evaluating(model), torch.no_grad():
            evaluated = model(x)
        moved = self.adversary.perturb(model, x, start, lambda logits: _divergence(logits, evaluated))
        clean = model(x)
        return F.cross_entropy(clean, labels) + self.beta * _divergence(model(moved), clean) / len(x)


def _divergence(logits: Tensor, clean: Tensor) -> Tensor:
    """KL(softmax(clean) ‖ softmax(logits)), summed over the batch."""
    return F.kl_div(
        F.log_softmax(logits, dim=1), F.log_softmax(clean, dim=1), log_target=True, reduction="sum"
    )
