"""What an arm is: what the model is retrained on beside the training samples (paper §4.4, §6.10)."""

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from uae_cli.attacks.similarities.similarities import Similarity


@dataclass(frozen=True)
class Extra:
    """The extra samples of one draw.

    Attributes:
        x: (k·N, *shape) in [0, 1]; row i of each N belongs to training sample i.
        success: (N,) bool, whether an attack kept an iterate; None for arms that don't attack.
        similarity: (N,) S of the iterates kept, NaN elsewhere; None likewise.
        seconds: spent on making them; NaN where another device made them.
        trace: f, S and c per iteration, each (N, T); empty for arms that don't attack.
        parts: what they are made of, one after another, where there are several.
        target: the model that was attacked; None for arms that don't attack.
        unit: of S, for reports.
    """

    x: Tensor
    success: Tensor | None = None
    similarity: Tensor | None = None
    seconds: float = 0.0
    trace: dict[str, Tensor] = field(default_factory=dict)
    parts: tuple["Extra", ...] = ()
    target: nn.Module | None = None
    unit: str = ""


class Workshop(Protocol):
    """What an arm may ask for.

    Attributes:
        x: (N, *shape) training samples.
        seed: the experiment's.
    """

    x: Tensor
    seed: int

    def attacked(self, label: str, similarity: Similarity) -> Extra:
        """Adversarial examples of the current model, for every training sample (a cached stage)."""
        ...

    def extra(self, arm: str) -> Extra:
        """The first draw of another arm."""
        ...

    def retrained(self, label: str, extra: Tensor) -> "Workshop":
        """The same, with a current model that was retrained on the samples and `extra` (k·N, *shape)."""
        ...


@runtime_checkable
class Arm(Protocol):
    """Settings of an arm."""

    @property
    def draws(self) -> int:
        """How often its randomness is drawn anew within one seed."""
        ...

    def make(self, name: str, shop: Workshop, draw: int) -> Extra:
        """The extra samples of this draw."""
        ...


@runtime_checkable
class Transform(Protocol):
    """An arm that changes every sample at random, and so can follow another one on the same samples."""

    def apply(self, x: Tensor, seed: int, stream: str) -> Tensor:
        """Changed samples, (N, *shape) in [0, 1]; each sample's randomness is its own.

        Raises:
            ConfigError: the samples are not of the kind it works on.
        """
        ...
