"""What a protocol is: the settings of what is done with an experiment's parts."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from uae_cli.experiment.schema import ProtocolSettings
from uae_cli.stages.stages import Metrics, Workbench
from uae_cli.stages.tensorboard import Observer

ORIGINAL = "original"
REPLICATE = "replicate"


@dataclass(kw_only=True)
class Measured:
    """One line of a result: an arm of the augmentation, a method of attack.

    Attributes:
        arm: its name.
        epochs: the model was trained for; early stopping may end below the setting.
        control: the arm that its gains against `replicate` are measured by.
        draws: metrics of each repetition within the run (names of `uae_cli.results.columns.METRICS`).
    """

    arm: str
    epochs: int
    control: str = REPLICATE
    draws: list[Metrics] = field(default_factory=list)


class Findings(Protocol):
    """What a protocol found.

    Attributes:
        measured: the lines of the table, in their order.
    """

    @property
    def measured(self) -> Sequence[Measured]:
        """The lines of the table, in their order."""
        ...

    def draw(self, folder: Path, title: str) -> None:
        """Figures as files in `folder`, and what TensorBoard shows of them."""
        ...


@runtime_checkable
class Runnable(ProtocolSettings, Protocol):
    """Settings of a protocol that can be carried out; `conf/protocol/` names them."""

    def run(self, bench: Workbench, observer: Observer) -> Findings:
        """Do it."""
        ...
