"""What a protocol is: the settings of what is done with an experiment's parts."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from uae_cli.attacks.generate import Attack
from uae_cli.datasets import Dataset

if TYPE_CHECKING:
    from uae_cli.experiment import Experiment, ModelSettings
    from uae_cli.protocols.observer import Observer
    from uae_cli.protocols.workbench import Workbench

Metrics = dict[str, float]

ORIGINAL = "original"
REPLICATE = "replicate"


@dataclass(kw_only=True)
class Measured:
    """One line of a result: an arm of the augmentation, a method of attack.

    Attributes:
        arm: its name.
        epochs: the model was trained for; early stopping may end below the setting.
        control: the arm that its gains against `replicate` are measured by.
        draws: metrics of each repetition within the run (names of `uae_cli.report.columns.METRICS`).
    """

    arm: str
    epochs: int
    control: str = REPLICATE
    draws: list[Metrics] = field(default_factory=list)


@dataclass(frozen=True)
class Fit:
    """A model of these settings, trained on so many samples for so many epochs."""

    model: "ModelSettings"
    samples: int
    epochs: int


@dataclass(frozen=True)
class Assault:
    """An attack on a model of these settings, made on so many samples."""

    model: "ModelSettings"
    attack: Attack
    samples: int


@dataclass(frozen=True)
class Work:
    """What a protocol will do, by which the time it takes is estimated.

    Attributes:
        fits: every model trained.
        attacks: every attack made.
    """

    fits: "list[Fit]"
    attacks: "list[Assault]"


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
class ProtocolSettings(Protocol):
    """Settings of a protocol; `conf/protocol/` names them."""

    def attacks(self, experiment: "Experiment") -> dict[str, Attack]:
        """Every attack that will be made, by label."""
        ...

    def check_settings(self, experiment: "Experiment") -> None:
        """See whether the settings agree with each other.

        Raises:
            ConfigError: they don't.
        """
        ...

    def check_data(self, experiment: "Experiment", data: Dataset) -> None:
        """See whether the data admit what will be done.

        Raises:
            ConfigError: they don't.
        """
        ...

    def work(self, experiment: "Experiment", data: Dataset) -> Work:
        """What will be done, if nothing of it is cached."""
        ...

    def run(self, bench: "Workbench", observer: "Observer") -> Findings:
        """Do it."""
        ...
