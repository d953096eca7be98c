"""What an arm is: what the model is retrained on beside the training samples (paper §4.4, §6.10)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from uae_cli.attacks import FittedMoves, Similarity
from uae_cli.training import Renewal


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
        renewal: how they are made anew while a model is trained on them; None: they stay.
        moves: the ways that samples could go; None: every value by itself.
        further_epochs: of training on them, beside those of every arm.
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
    renewal: Renewal | None = None
    moves: FittedMoves | None = None
    further_epochs: int = 0

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
        attacked: adversarial examples of the current model for every training sample, by a label, what the
            solver optimises beside the criterion, its iterations, None for the solver's own, and the ways
            that samples go, None for any (a cached stage).
        renewed: the same made anew during training: similarity, iterations, ways, epochs between two rounds,
            and whether the model in training is attacked instead of the current one.
        extra: the first draw of another arm, by its name.
        sizes: ‖δ‖₂ (rounds, N) of another arm's samples while a model was trained on them, by its name, and
            the epochs between two rounds; one round where they stay.
        epochs_for: of training, that take as many passes as another arm's attacks.
        retrained: the same inputs with a current model that was retrained, under a label, on the training
            samples and others (k·N, *shape).
    """

    x: Tensor
    seed: int
    attacked: Callable[[str, Similarity, int | None, FittedMoves | None], ExtraSamples]
    renewed: Callable[[Similarity, int | None, FittedMoves | None, int, bool], Renewal]
    extra: Callable[[str], ExtraSamples]
    sizes: Callable[[str], tuple[Tensor, int]]
    epochs_for: Callable[[str], int]
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

    @property
    def fresh(self) -> bool:
        """Whether it does so anew in every epoch of the training."""
        return False

    def apply(self, x: Tensor, seed: int, stream: str) -> Tensor:
        """Changed samples, (N, *shape) in [0, 1]; each sample's randomness is its own.

        Raises:
            ConfigError: the samples are not of the kind it works on.
        """
        ...

    def make(self, name: str, inputs: ArmInputs, draw: int) -> ExtraSamples:
        """See `Arm.make`: every training sample, changed."""
        stream = f"{name}/{draw}"
        renewal = FreshTransform(self, inputs.seed, stream, inputs.x) if self.fresh else None
        return ExtraSamples(self.apply(inputs.x, inputs.seed, stream), renewal=renewal)


@dataclass(frozen=True)
class FreshTransform:
    """Every sample changed anew, in every epoch; see `Renewal`.

    Attributes:
        transform: changes them.
        seed: the experiment's.
        stream: of its random numbers.
        x: (N, *shape) the training samples.
    """

    transform: Transform
    seed: int
    stream: str
    x: Tensor = field(repr=False)
    every: int = 1
    passes: int = 0

    def samples(self, model: nn.Module, epoch: int) -> Tensor:  # noqa: ARG002
        """See `Renewal.samples`; one sample's change depends on (seed, epoch, index)."""
        return self.transform.apply(self.x, self.seed, f"{self.stream}/epoch {epoch}")
