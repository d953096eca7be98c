"""What a protocol is, and what it finds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from uae_cli.arms import ExtraSamples
from uae_cli.attacks import Samples
from uae_cli.experiment.schema import ProtocolSettings
from uae_cli.stages import Fitted, Metrics, Stages, TensorBoard

ORIGINAL = "original"
REPLICATE = "replicate"
SHOWN = 10  # samples in a figure


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a result: a model's own, or what was made of its samples.

    Attributes:
        arm: its name.
        fitted: the model, of the first draw.
        control: the arm that its gains against `replicate` are measured by.
        draws: metrics of each repetition within the run (names of `uae_cli.results.columns.METRICS`).
    """

    arm: str
    fitted: Fitted
    control: str = REPLICATE
    draws: list[Metrics] = field(default_factory=list)

    @property
    def epochs(self) -> int:
        """The model was trained for; early stopping may end below the setting."""
        return len(self.fitted.history.losses)


@dataclass(frozen=True, kw_only=True)
class SampleLine(Line):
    """The line of an arm of the augmentation, or of a method of attack.

    Attributes:
        samples: clean ones.
        extra: what was made of them, in the first draw.
    """

    samples: Samples
    extra: ExtraSamples


@dataclass(frozen=True)
class Result:
    """What a protocol found.

    Attributes:
        lines: of the table, in their order.
        draw: puts figures under a title into a folder that exists, and what goes with them on TensorBoard.
    """

    lines: Sequence[Line]
    draw: Callable[[Path, str, TensorBoard], None]


@runtime_checkable
class Runnable(ProtocolSettings, Protocol):
    """Settings of a protocol that can be carried out; `conf/protocol/` names them.

    One that has a class attribute `reads`, a set of sections of the config, is told apart by it: an override
    in a section that only other protocols read is refused.
    """

    def run(self, stages: Stages) -> Result:
        """Do it."""
        ...
