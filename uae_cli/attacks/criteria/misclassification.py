"""Misclassification, the criterion of supervised attacks (paper §3.2)."""

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.nn import functional as F

from uae_cli.attacks.samples import Samples
from uae_cli.errors import ConfigError, SettingError
from uae_cli.models.hooked import Response, TappedModel
from uae_cli.randomness import uniform
from uae_cli.settings import STRICT, NonNegative

ClassIndex = Annotated[int, Field(ge=0)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Misclassification:
    """Untargeted: f = M(x+δ)_y − max_{j≠y} M(x+δ)_j + κ; targeted: max_{j≠t} M(x+δ)_j − M(x+δ)_t + κ.

    M are the logits, y the sample's class (Carlini and Wagner 2017; paper §3.2).

    Attributes:
        kappa: κ ≥ 0, the gap by which the wrong class must lead.
        target: t for every sample, whose own class it must not be; random, one of the other classes drawn
            from (seed, index); least_likely, the one with the smallest logit of the clean sample; or null.
    """

    supervised: ClassVar[bool] = True
    kappa: NonNegative
    target: ClassIndex | Literal["random", "least_likely"] | None

    def bind(self, model: TappedModel, clean: Response, batch: Samples) -> "BoundMisclassification":  # noqa: ARG002
        """See `Criterion.bind`.

        Raises:
            ConfigError: there are no labels, or a sample's class is the target.
        """
        if batch.labels is None:
            raise ConfigError(
                "criterion = misclassification: needs the samples' classes; use protocol=attack"
            )
        if not bool(self.attackable(batch.labels).all()):
            raise SettingError(
                "criterion.target", str(self.target), "is the class of a sample; leave out those samples"
            )
        return BoundMisclassification(batch.labels, self._targets(clean.output, batch), self.kappa)

    def attackable(self, labels: Tensor) -> Tensor:
        """Which samples (N,) can be attacked: those that aren't of the target class already."""
        if isinstance(self.target, int):
            return labels != self.target
        return torch.ones_like(labels, dtype=torch.bool)

    def check(self, x: Tensor, output: Tensor) -> None:
        """See `Criterion.check`."""
        if output.ndim != 2 or len(output) != len(x) or output.shape[1] < 2:
            raise ConfigError(
                f"criterion = misclassification: needs a logit for each of two or more classes, but "
                f"model.network answers a sample with shape {tuple(output.shape[1:])}; use a classifier, as "
                "model=mnist_cnn"
            )
        classes = output.shape[1]
        if isinstance(self.target, int) and self.target >= classes:
            raise SettingError(
                "criterion.target",
                str(self.target),
                f"the model knows {classes} classes; choose 0 to {classes - 1}",
            )

    def _targets(self, logits: Tensor, batch: Samples) -> Tensor | None:
        labels = batch.labels
        assert labels is not None  # the caller's condition
        if self.target is None:
            return None
        if isinstance(self.target, int):
            return torch.full_like(labels, self.target)
        if self.target == "least_likely":
            return _without(logits, labels, torch.inf).argmin(1)
        numbers = uniform(batch.seed, "target", batch.index, 1, torch.float64)[:, 0]
        others = (numbers * (logits.shape[1] - 1)).long()
        return others + (others >= labels).long()


class BoundMisclassification:
    """F of some samples, and the loss of attacks that don't descend f.

    Args:
        labels: (B,) int64, the samples' classes y.
        targets: (B,) int64 classes t, none of them the sample's own; None for an untargeted attack.
        kappa: κ.
    """

    def __init__(self, labels: Tensor, targets: Tensor | None, kappa: float) -> None:
        self._labels, self.targets, self._kappa = labels, targets, kappa

    def __call__(self, response: Response) -> Tensor:
        """See `BoundCriterion.__call__`."""
        if self.targets is None:
            return _lead(response.output, self._labels) + self._kappa
        return self._kappa - _lead(response.output, self.targets)

    def cross_entropy(self, response: Response) -> Tensor:
        """What falls (B,) as the attack succeeds: minus the loss of y, or the loss of the target."""
        if self.targets is None:
            return -F.cross_entropy(response.output, self._labels, reduction="none")
        return F.cross_entropy(response.output, self.targets, reduction="none")


def _lead(logits: Tensor, classes: Tensor) -> Tensor:
    """By how much each sample's class (B,) leads before the best of the others."""
    return logits.gather(1, classes[:, None])[:, 0] - _without(logits, classes, -torch.inf).amax(1)


def _without(logits: Tensor, classes: Tensor, value: float) -> Tensor:
    return logits.scatter(1, classes[:, None], value)
