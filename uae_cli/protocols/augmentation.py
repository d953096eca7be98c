"""The augmentation protocol: fit, attack, refit on every arm, evaluate (paper §4.4, Tables 4 and 10)."""

from collections.abc import Mapping

from pydantic.dataclasses import dataclass
from torch import Tensor

from uae_cli.arms import (
    Adversarial,
    Arm,
    Chain,
    ChangesTraining,
    MatchedNoise,
    Replicate,
    Transform,
    attacks_of,
)
from uae_cli.attacks.dataset import Attack
from uae_cli.datasets import Dataset
from uae_cli.errors import ConfigError
from uae_cli.experiment.schema import Experiment, Fit, PlannedAttack, Work
from uae_cli.protocols.arm_results import AugmentationFindings
from uae_cli.protocols.augmentation_run import AugmentationRun, arms_of
from uae_cli.protocols.base import REPLICATE
from uae_cli.settings import STRICT
from uae_cli.stages.stages import Workbench
from uae_cli.stages.tensorboard import Observer


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Augment:
    """Retrain on samples made of the training samples, by arm; what is set stands in `arm`."""

    def attacks(self, experiment: Experiment) -> dict[str, Attack]:
        """See `ProtocolSettings.attacks`."""
        found = attacks_of(arms_of(experiment))
        return {name: experiment.triple(arm.similarity) for name, arm in found.items()}

    def check_settings(self, experiment: Experiment) -> None:
        """See `ProtocolSettings.check_settings`."""
        arms = experiment.arm
        if experiment.model.supervised or experiment.criterion.supervised:
            raise ConfigError(
                f"model = {experiment.model.name}: protocol=augmentation is for unsupervised models and "
                "criteria; use protocol=attack or protocol=robustness for classifiers"
            )
        for name, arm in arms.items():
            if isinstance(arm, MatchedNoise):
                _check_matched(name, arm, arms)
            if isinstance(arm, ChangesTraining):
                arm.objective(experiment.model.trainer.objective)
        _check_chain(experiment.augmentation.chain, arms)
        if experiment.model.weights is not None:
            raise ConfigError(
                f"model.weights = {experiment.model.weights}: protocol=augmentation trains its "
                "models; use null, or protocol=attack"
            )
        control = arms.get(REPLICATE)
        if control is not None and control != Replicate():
            raise ConfigError(
                "arm.replicate: is the control, which lists the samples once more; leave it as it is"
            )
        if control is None:
            raise ConfigError(
                "arm: replicate is missing; it is the compute-matched control without which no gain means "
                f"anything. Use arm=[{','.join([REPLICATE, *arms])}]"
            )

    def check_data(self, experiment: Experiment, data: Dataset) -> None:
        """See `ProtocolSettings.check_data`; flips and rotations want images."""
        experiment.model.trainer.check_samples(len(data.x_train))
        for arm in arms_of(experiment).values():
            _check_transforms(arm, data.x_train[:1])

    def work(self, experiment: Experiment, data: Dataset) -> Work:
        """See `ProtocolSettings.work`; chains are counted with one part for each of their steps."""
        samples, trainer = len(data.x_train), experiment.model.trainer
        arms = arms_of(experiment)
        fits = [Fit(experiment.model, samples, trainer.epochs)]
        for arm in arms.values():
            parts = len(arm.steps) if isinstance(arm, Chain) else 1
            fits += [Fit(experiment.model, (1 + parts) * samples, trainer.refit_epochs)] * arm.draws
        attacks = self.attacks(experiment).values()
        return Work(fits, [PlannedAttack(experiment.model, attack, samples) for attack in attacks])

    def run(self, bench: Workbench, observer: Observer) -> AugmentationFindings:
        """See `ProtocolSettings.run`."""
        return AugmentationFindings(AugmentationRun(bench).run(), bench, observer)


def _check_chain(steps: Mapping[str, Arm], arms: Mapping[str, Arm]) -> None:
    for name, arm in steps.items():
        if isinstance(arm, MatchedNoise):
            _check_matched(name, arm, arms)
        if isinstance(arm, ChangesTraining):
            raise ConfigError(
                f"augmentation.chain.{name}: changes the training, and makes no samples that another step "
                f"could build on; use it as an arm, arm=[replicate,{name}]"
            )


def _check_transforms(arm: Arm, x: Tensor) -> None:
    if isinstance(arm, Chain):
        for step in arm.steps.values():
            _check_transforms(step, x)
    elif isinstance(arm, Transform):
        arm.apply(x, 0, "check")


def _check_matched(name: str, arm: MatchedNoise, arms: Mapping[str, Arm]) -> None:
    if arm.of not in arms:
        raise ConfigError(
            f"arm.{name}.of = {arm.of}: that arm doesn't run; use arm=[replicate,{arm.of},{name}]"
        )
    if not isinstance(arms[arm.of], Adversarial):
        raise ConfigError(f"arm.{name}.of = {arm.of}: not an arm of adversarial examples; use mine_uae")
