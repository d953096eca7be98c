"""The robustness protocol: attack success against ε (paper §6.16, §6.17; Figures 3 and 6 to 10)."""

import logging
from dataclasses import replace
from typing import Annotated, Any

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass

from uae_cli.arms import Extra
from uae_cli.attacks.dataset import Attack
from uae_cli.datasets import Dataset
from uae_cli.errors import ConfigError
from uae_cli.evaluation.classification import ClassificationEvaluation
from uae_cli.experiment.schema import Experiment, Fit, PlannedAttack, Work
from uae_cli.models.weights import load_weights
from uae_cli.protocols.attacked import (
    check_attack_size,
    choose_samples,
    plain_metrics,
    succeeded,
    warnings_of,
)
from uae_cli.protocols.base import Measured
from uae_cli.protocols.classifiers import Source, Trained, Victim
from uae_cli.protocols.robustness_findings import Point, RobustnessFindings
from uae_cli.settings import STRICT, Count, Positive
from uae_cli.stages.stages import Fitted, Workbench
from uae_cli.stages.tensorboard import Observer

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class RobustnessProtocol:
    """Attack every victim by every `method` at every ε, on test samples it classifies correctly.

    Attributes:
        epsilons: largest |δ| of any value, rising.
        victims: classifiers by name.
        most_iterations: of a method against one victim, by victim and method, where fewer than the method's
            own are enough.
        source: of UAEs for the victims that are trained on some; null if none is.
    """

    epsilons: Annotated[list[Positive], Field(min_length=1)]
    victims: dict[str, Victim]
    most_iterations: dict[str, dict[str, Count]] | None
    source: Source | None

    def attacks(self, experiment: Experiment) -> dict[str, Attack]:
        """See `ProtocolSettings.attacks`: those on the victims, at the largest ε."""
        return {
            f"{victim}/{method}": attack
            for victim in self.victims
            for method, attack in self._largest(experiment, victim).items()
        }

    def attack(self, experiment: Experiment, victim: str, method: str, epsilon: float) -> Attack:
        """One method at one ε, against one victim."""
        settings = experiment.method[method]
        most = (self.most_iterations or {}).get(victim, {}).get(method)
        changed: dict[str, Any] = {"epsilon": epsilon}
        if most is not None:
            changed["iterations"] = min(most, settings.solver.total_iterations)
        solver = replace(settings.solver, **changed)  # type: ignore[type-var]
        return Attack(experiment.criterion, settings.similarity, solver, experiment.precision)

    def _largest(self, experiment: Experiment, victim: str) -> dict[str, Attack]:
        largest = max(self.epsilons)
        return {method: self.attack(experiment, victim, method, largest) for method in experiment.method}

    def check_settings(self, experiment: Experiment) -> None:
        """See `ProtocolSettings.check_settings`."""
        if not self.victims:
            raise ConfigError(
                "victim = []: protocol=robustness has nobody to attack; use victim=[std], or start from "
                "experiment=digits_robustness"
            )
        if not experiment.method:
            raise ConfigError("method = []: protocol=robustness has nothing to do; use method=[pgd]")
        if not experiment.criterion.supervised:
            raise ConfigError(
                "criterion: protocol=robustness attacks classifiers; use criterion=misclassification"
            )
        if experiment.model.weights is not None:
            raise ConfigError(
                f"model.weights = {experiment.model.weights}: several models are compared here; give each "
                "its own, protocol.victims.NAME.weights"
            )
        for name, victim in self.victims.items():
            victim.settings(name, experiment)
            if victim.augmented and self.source is None:
                raise ConfigError(
                    f"victim.{name}.augmented = true: there are no UAEs to train on; use source=conv_ae"
                )
        if self.source is not None:
            self.source.settings(experiment)
        self._check_most_iterations(experiment)

    def _check_most_iterations(self, experiment: Experiment) -> None:
        for name, methods in (self.most_iterations or {}).items():
            for method in methods:
                if name not in self.victims or method not in experiment.method:
                    raise ConfigError(
                        f"protocol.most_iterations.{name}.{method}: no such victim and method run, but "
                        f"{', '.join(self.victims)} and {', '.join(experiment.method)}; use theirs, or "
                        "protocol.most_iterations=null"
                    )

    def check_data(self, experiment: Experiment, data: Dataset) -> None:
        """See `ProtocolSettings.check_data`."""
        check_attack_size(experiment.data.attack_size, data.x_test, "test samples")
        experiment.criterion.check(data.x_test[:2], torch.zeros(2, data.classes))
        for name, victim in self.victims.items():
            if settings := victim.settings(name, experiment):
                settings.trainer.check_samples(2 * len(data.x_train))
            if isinstance(victim, Trained) and victim.weights is not None:
                load_weights(experiment.model.build(data.shape, 0, classes=data.classes), victim.weights)

    def work(self, experiment: Experiment, data: Dataset) -> Work:
        """See `ProtocolSettings.work`; a probed encoder is taken for the whole model."""
        size, samples = experiment.data.attack_size * len(self.epsilons), len(data.x_train)
        fits, attacks = [], []
        for name, victim in self.victims.items():
            if settings := victim.settings(name, experiment):
                fits.append(Fit(settings, 2 * samples, settings.trainer.refit_epochs))
            own = settings or experiment.model
            attacks += [
                PlannedAttack(own, attack, size) for attack in self._largest(experiment, name).values()
            ]
        if self.source is not None:
            model = self.source.settings(experiment)
            fits.append(Fit(model, samples, model.trainer.epochs))
            attacks.append(PlannedAttack(model, self.source.attack(experiment), samples))
        return Work(fits, attacks)

    def run(self, bench: Workbench, observer: Observer) -> RobustnessFindings:
        """See `ProtocolSettings.run`."""
        lines: list[Measured] = []
        points: list[Point] = []
        for name, victim in self.victims.items():
            fitted = victim.classifier(name, bench, self.source)
            epochs = len(fitted.history.losses)
            accuracy = ClassificationEvaluation().measure(fitted.model, bench.subject)
            lines.append(Measured(arm=name, epochs=epochs, draws=[accuracy]))
            found = self._attacked(name, fitted, bench)
            points += found
            lines += [Measured(arm=point.label, epochs=epochs, draws=[point.metrics]) for point in found]
        return RobustnessFindings(lines, points, observer)

    def _attacked(self, name: str, fitted: Fitted, bench: Workbench) -> list[Point]:
        experiment, points = bench.experiment, []
        samples = choose_samples(bench, fitted.model)
        for line in warnings_of(bench, fitted.model, samples):
            log.warning("%s: %s", name, line)
        for method in experiment.method:
            for epsilon in self.epsilons:
                attack = self.attack(experiment, name, method, epsilon)
                label = f"{name} {method} eps {epsilon:g}"
                extra: Extra = bench.attack(
                    label, fitted, samples.x, attack, samples.labels, index=samples.index
                )
                success = succeeded(bench, fitted.model, samples, extra, attack.criterion, bench.seed)
                metrics = plain_metrics(samples, extra, success)
                points.append(Point(name, method, epsilon, metrics, samples.x, extra.x))
        return points
