"""What an arm is: what the model is retrained on beside the training samples (paper §4.4, §6.10)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from uae_cli.attacks import Similarity


@dataclass(frozen=True)
class ExtraSamples:
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
        vectors: K that S was estimated from; 0 where it is no estimate.
        passes: forward and backward passes of one sample that all attacks took.
    """

    x: Tensor
    success: Tensor | None = None
    similarity: Tensor | None = None
    seconds: float = 0.0
    trace: dict[str, Tensor] = field(default_factory=dict)
    parts: tuple["ExtraSamples", ...] = ()
    target: nn.Module | None = None
    unit: str = ""
    vectors: int = 0
    passes: int = 0

    @property
    def last(self) -> "ExtraSamples":
        """The last of the parts, or all where there is but one."""
        return self.parts[-1] if self.parts else self


@dataclass(frozen=True)
class ArmInputs:
    """What an arm makes its samples of.

    Attributes:
        x: (N, *shape) training samples.
        seed: the experiment's.
        attacked: adversarial examples of the current model for every training sample, by a label and what
            the solver optimises beside the criterion (a cached stage).
        extra: the first draw of another arm, by its name.
        retrained: the same inputs with a current model that was retrained, under a label, on the training
            samples and others (k·N, *shape).
    """

    x: Tensor
    seed: int
    attacked: Callable[[str, Similarity], ExtraSamples]
    extra: Callable[[str], ExtraSamples]
    retrained: Callable[[str, Tensor], "ArmInputs"]


@runtime_checkable
class Arm(Protocol):
    """Settings of an arm."""

    @property
    def draws(self) -> int:
        """How often its randomness is drawn anew within one seed."""
        ...

    def make(self, name: str, inputs: ArmInputs, draw: int) -> ExtraSamples:
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

    def make(self, name: str, inputs: ArmInputs, draw: int) -> ExtraSamples:
        """See `Arm.make`: every training sample, changed."""
        return ExtraSamples(self.apply(inputs.x, inputs.seed, f"{name}/{draw}"))
