"""The attack protocol: one model, some samples, several methods (paper §4.2, Tables 2, 3 and 8)."""

from pydantic.dataclasses import dataclass

from uae_cli.attacks.dataset import Attack
from uae_cli.attacks.methods import Method
from uae_cli.datasets import Dataset
from uae_cli.errors import ConfigError
from uae_cli.evaluation.image_quality import ImageQuality
from uae_cli.evaluation.mutual_information import HeldOutInformation
from uae_cli.experiment.schema import Experiment, Fit, PlannedAttack, Work
from uae_cli.models.weights import load_weights
from uae_cli.protocols.attack_results import AttackFindings
from uae_cli.protocols.attack_run import AttackRun
from uae_cli.protocols.attacked import check_attack_size
from uae_cli.settings import STRICT
from uae_cli.stages.stages import Workbench
from uae_cli.stages.tensorboard import Observer


@dataclass(frozen=True, kw_only=True, config=STRICT)
class AttackProtocol:
    """Fit a model (or load `model.weights`), attack it by every `method`, measure what came out.

    Under a criterion that needs labels, `data.attack_size` test samples are attacked, drawn by seed from
    those that the model classifies correctly (and that aren't of a given target class). Under any other,
    the first `data.attack_size` training samples are.

    Attributes:
        information: how mutual information is estimated anew for every method alike; null leaves it out.
        quality: FID and KID of the finished samples; null leaves them out.
    """

    information: HeldOutInformation | None
    quality: ImageQuality | None

    def attacks(self, experiment: Experiment) -> dict[str, Attack]:
        """See `ProtocolSettings.attacks`."""
        return {name: _attack(experiment, method) for name, method in experiment.method.items()}

    def check_settings(self, experiment: Experiment) -> None:
        """See `ProtocolSettings.check_settings`."""
        if not experiment.method:
            raise ConfigError("method = []: protocol=attack has nothing to do; use method=[minmax,penalty]")
        if experiment.criterion.supervised and not experiment.model.supervised:
            raise ConfigError(
                f"model = {experiment.model.name}: is no classifier, which this criterion needs; use "
                "model=mnist_cnn, or criterion=reconstruction"
            )

    def check_data(self, experiment: Experiment, data: Dataset) -> None:
        """See `ProtocolSettings.check_data`."""
        x = data.x_test if experiment.criterion.supervised else data.x_train
        check_attack_size(experiment.data.attack_size, x, "samples")
        model = experiment.model.build(data.shape, experiment.seed, classes=data.classes)
        if experiment.model.weights is not None:
            load_weights(model, experiment.model.weights)
        if self.information is not None:
            self.information.check(model, x)
        if self.quality is not None:
            self.quality.check(data.shape)

    def work(self, experiment: Experiment, data: Dataset) -> Work:
        """See `ProtocolSettings.work`."""
        model, size = experiment.model, experiment.data.attack_size
        trained = model.weights is None
        return Work(
            [Fit(model, len(data.x_train), model.trainer.epochs)] if trained else [],
            [
                PlannedAttack(model, attack, size * experiment.method[name].draws)
                for name, attack in self.attacks(experiment).items()
            ],
        )

    def run(self, bench: Workbench, observer: Observer) -> AttackFindings:
        """See `ProtocolSettings.run`."""
        run = AttackRun(bench, self.information, self.quality)
        return AttackFindings(run.run(), run.samples, bench, observer)


def _attack(experiment: Experiment, method: Method) -> Attack:
    return Attack(experiment.criterion, method.similarity, method.solver, experiment.precision)
