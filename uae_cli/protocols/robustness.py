"""The robustness protocol: attack success against ε (paper §6.16, §6.17; Figures 3 and 6 to 10)."""

import dataclasses
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby, product
from pathlib import Path
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from uae_cli import figures
from uae_cli.attacks import Attack
from uae_cli.datasets import Dataset
from uae_cli.errors import ConfigError
from uae_cli.evaluation.outputs import ClassificationEvaluation
from uae_cli.experiment.schema import Experiment, Plan, PlannedAttack, PlannedFit
from uae_cli.figures import draw_mosaic, success_curves
from uae_cli.models.weights import load_weights
from uae_cli.protocols.base import (
    Line,
    Result,
    SampleLine,
    check_attack_size,
    choose_samples,
    plain_metrics,
    succeeded,
)
from uae_cli.protocols.classifiers import ClassifierSettings, Source
from uae_cli.settings import STRICT, Count, Positive
from uae_cli.stages import Fitted, Stages, TensorBoard

_SHOWN = 3  # samples per method, in the grid of images


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
    victims: dict[str, ClassifierSettings]
    most_iterations: dict[str, dict[str, Count]] | None
    source: Source | None
    reads: ClassVar[frozenset[str]] = frozenset({"data.attack_size", "method", "source", "victim"})

    def attacks(self, experiment: Experiment) -> dict[str, Attack]:
        """See `ProtocolSettings.attacks`: those on the victims, at the largest ε."""
        pairs = product(self.victims, experiment.method)
        return {
            f"{victim}/{method}": self.attack(experiment, victim, method, max(self.epsilons))
            for victim, method in pairs
        }

    def attack(self, experiment: Experiment, victim: str, method: str, epsilon: float) -> Attack:
        """One method at one ε, against one victim."""
        settings = experiment.method[method]
        most = (self.most_iterations or {}).get(victim, {}).get(method)
        changed: dict[str, Any] = {"epsilon": epsilon}
        if most is not None:
            changed["iterations"] = min(most, settings.solver.total_iterations)
        solver = dataclasses.replace(settings.solver, **changed)  # type: ignore[type-var]
        return Attack(experiment.criterion, settings.similarity, solver, experiment.precision)

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
        for name, classifier in self.victims.items():
            classifier.settings(name, experiment)
            if classifier.augmented and self.source is None:
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
        for name, classifier in self.victims.items():
            if settings := classifier.settings(name, experiment):
                settings.trainer.check_samples(2 * len(data.x_train))
            if classifier.weights is not None:
                model = experiment.model.build(data.shape, 0, classes=data.classes)
                load_weights(model, classifier.weights, f"protocol.victims.{name}.weights")
        if self.source is not None and (made := self.source.settings(experiment)).weights is not None:
            place = "protocol.source.model.weights"
            load_weights(made.build(data.shape, 0, classes=data.classes), made.weights, place)

    def plan(self, experiment: Experiment, data: Dataset) -> Plan:
        """See `ProtocolSettings.plan`; a probed encoder is taken for the whole model."""
        size, samples = experiment.data.attack_size * len(self.epsilons), len(data.x_train)
        fits, attacks = [], []
        for name, classifier in self.victims.items():
            if settings := classifier.settings(name, experiment):
                fits.append(PlannedFit(settings, 2 * samples, settings.trainer.refit_epochs))
            made = (self.attack(experiment, name, method, max(self.epsilons)) for method in experiment.method)
            attacks += [PlannedAttack(settings or experiment.model, attack, size) for attack in made]
        if self.source is not None:
            model = self.source.settings(experiment)
            if model.weights is None:
                fits.append(PlannedFit(model, samples, model.trainer.epochs))
            attacks.append(PlannedAttack(model, self.source.attack(experiment), samples))
        return Plan(fits, attacks)

    def run(self, stages: Stages) -> Result:
        """See `Runnable.run`: for every classifier a line of its own, and one per method and ε."""
        lines: list[Line] = []
        for name, classifier in self.victims.items():
            fitted = classifier.fit(name, stages, self.source)
            accuracy = ClassificationEvaluation().measure(fitted.model, stages.evaluation_data)
            lines += [Line(arm=name, fitted=fitted, draws=[accuracy]), *self._attacked(name, fitted, stages)]
        return Result(lines, partial(_draw, [line for line in lines if isinstance(line, Point)]))

    def _attacked(self, name: str, fitted: Fitted, stages: Stages) -> Iterator["Point"]:
        samples = choose_samples(stages, fitted.model, f"{name}: ")
        for method, epsilon in product(stages.experiment.method, self.epsilons):
            attack = self.attack(stages.experiment, name, method, epsilon)
            extra = stages.attack(f"{name} {method} eps {epsilon:g}", fitted, samples, attack)
            success = succeeded(fitted.model, samples, extra, attack.criterion, stages.chunk_size)
            yield Point(
                arm=f"{name}/{method}@{epsilon:g}",
                fitted=fitted,
                draws=[plain_metrics(samples, extra, success)],
                samples=samples,
                extra=extra,
                classifier=name,
                method=method,
                epsilon=epsilon,
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Point(SampleLine):
    """The line of one classifier under one method at one ε, the largest |δ| of any value."""

    classifier: str
    method: str
    epsilon: float


def _draw(points: Sequence[Point], folder: Path, title: str, tensorboard: TensorBoard) -> None:
    figures.loss_curves(folder / "training_loss.png", tensorboard.losses, "training loss", title)
    curves: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for point in points:
        curve = curves.setdefault((point.classifier, point.method), [])
        curve.append((point.epsilon, point.draws[0]["asr"]))
    success_curves(folder / "success.png", curves, f"{title}: attack success")
    for name, own in groupby(points, lambda point: point.classifier):
        _draw_grid(folder / f"{name}_grid.png", list(own), f"{title}: {name}")


def _draw_grid(path: Path, points: Sequence[Point], title: str) -> None:
    """Rows: method × sample; columns: the clean sample, then rising ε (paper, Figures 3 and 6)."""
    clean = points[0].samples.x[:_SHOWN]
    if clean.ndim != 4:
        return
    rows: dict[str, Tensor] = {}
    for method in dict.fromkeys(point.method for point in points):
        moved = [point.extra.x for point in points if point.method == method]
        for number, x in enumerate(clean):
            rows[f"{method}\nsample {number + 1}"] = torch.stack([x, *(each[number] for each in moved)])
    epsilons = [f"{point.epsilon:.3g}" for point in points if point.method == points[0].method]
    draw_mosaic(path, rows, title, captions=["clean", *epsilons], caption_label="ε")
