"""Arms that change how the model is trained rather than what it is trained on."""

from dataclasses import replace
from typing import Literal, Protocol, runtime_checkable

from pydantic.dataclasses import dataclass

from uae_cli.arms.base import ArmInputs, ExtraSamples
from uae_cli.errors import ConfigError
from uae_cli.settings import STRICT
from uae_cli.training import AdversarialViews, ContrastiveObjective, Objective


@runtime_checkable
class ChangesTraining(Protocol):
    """An arm whose model is retrained for another objective; a cached fit is known by its settings."""

    def objective(self, plain: Objective) -> Objective:
        """What the model is trained for instead of `plain`.

        Raises:
            ConfigError: that objective can't be changed so.
        """
        ...


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ContrastiveAdversary:
    """CLAE (Ho and Vasconcelos 2020): trained on the replicated samples and their adversarial views.

    It takes as many steps as `replicate`, each about twice as long.

    Attributes:
        adversary: what makes the views.
    """

    adversary: AdversarialViews
    draws: Literal[1] = 1

    def make(self, name: str, inputs: ArmInputs, draw: int) -> ExtraSamples:  # noqa: ARG002
        """See `Arm.make`: the samples themselves."""
        return ExtraSamples(inputs.x)

    def objective(self, plain: Objective) -> Objective:
        """See `ChangesTraining.objective`."""
        if not isinstance(plain, ContrastiveObjective):
            raise ConfigError(
                f"arm = clae: adversarial views belong to a contrastive loss, not to {type(plain).__name__}; "
                "use model=simclr, or leave the arm out"
            )
        return replace(plain, adversary=self.adversary)
