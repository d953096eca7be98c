"""The attack protocol: one model, some samples, several methods (paper §4.2, Tables 2, 3 and 8)."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import pandas as pd
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from uae_cli import figures
from uae_cli.attacks import Attack, Samples
from uae_cli.datasets import Dataset
from uae_cli.errors import ConfigError
from uae_cli.evaluation.image_quality import BoundQuality, ImageQuality
from uae_cli.evaluation.mutual_information import HeldOutInformation
from uae_cli.experiment.schema import Experiment, Plan, PlannedAttack, PlannedFit
from uae_cli.figures import Course, similarity_curves
from uae_cli.mi import count_vectors
from uae_cli.models.weights import load_weights
from uae_cli.protocols.base import (
    ORIGINAL,
    SHOWN,
    Line,
    Result,
    SampleLine,
    check_attack_size,
    choose_samples,
    information,
    plain_metrics,
    succeeded,
)
from uae_cli.randomness import derive_seed
from uae_cli.settings import STRICT
from uae_cli.stages import Fitted, Metrics, Stages, TensorBoard


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
    reads: ClassVar[frozenset[str]] = frozenset({"data.attack_size", "evaluation", "method"})

    def attacks(self, experiment: Experiment) -> dict[str, Attack]:
        """See `ProtocolSettings.attacks`."""
        return {
            name: Attack(experiment.criterion, method.similarity, method.solver, experiment.precision)
            for name, method in experiment.method.items()
        }

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

    def plan(self, experiment: Experiment, data: Dataset) -> Plan:
        """See `ProtocolSettings.plan`."""
        model, size = experiment.model, experiment.data.attack_size
        fits = [PlannedFit(model, len(data.x_train), model.trainer.epochs)] if model.weights is None else []
        attacks = [
            PlannedAttack(model, attack, size * experiment.method[name].draws)
            for name, attack in self.attacks(experiment).items()
        ]
        return Plan(fits, attacks)

    def run(self, stages: Stages) -> Result:
        """See `Runnable.run`: the model's own line, and one for every method."""
        target = stages.original(ORIGINAL, stages.data.x_train, labels=stages.data.y_train)
        original = Line(arm=ORIGINAL, fitted=target, draws=[stages.evaluated(target)])
        samples, quality = choose_samples(stages, target.model), None
        if self.quality is not None:
            x_train = stages.data.x_train
            quality = self.quality.bind(target.model, x_train, stages.chunk_size, stages.seed)
        attacks = self.attacks(stages.experiment).items()
        methods = [self._line(name, attack, stages, target, samples, quality) for name, attack in attacks]
        return Result([original, *methods], partial(_draw, stages, samples, methods))

    def _line(
        self,
        name: str,
        attack: Attack,
        stages: Stages,
        target: Fitted,
        samples: Samples,
        quality: BoundQuality | None,
    ) -> SampleLine:
        """Every draw of one method on the same samples."""
        line: SampleLine | None = None
        for draw in range(stages.experiment.method[name].draws):
            own = replace(samples, seed=derive_seed(stages.seed, f"draw {draw}")) if draw else samples
            extra = stages.attack(f"{name} draw {draw + 1}" if draw else name, target, own, attack)
            success = succeeded(target.model, own, extra, attack.criterion, stages.chunk_size)
            metrics = plain_metrics(own, extra, success) | information(extra, success)
            if bool(success.any()):
                moved = extra.x[success]
                metrics |= self._estimated_anew(stages, target.model, samples.rows(success), moved)
                metrics |= {} if quality is None else quality.measure(moved)
            line = line or SampleLine(arm=name, fitted=target, samples=samples, extra=extra)
            line.draws.append(metrics)
        assert line is not None  # draws ≥ 1
        return line

    def _estimated_anew(self, stages: Stages, model: nn.Module, samples: Samples, moved: Tensor) -> Metrics:
        if self.information is None:
            return {}
        with stages.bars.bar("estimate MI anew", len(moved)) as advance:
            estimates = self.information.estimate(
                model, samples, moved, batch_size=stages.chunk_size, on_batch=advance
            )
        count = count_vectors(self.information.sampling, model, samples.x)
        return {"mi_held_out": float(estimates.mean()), "mi_ln_k": math.log(count)}


def _draw(
    stages: Stages,
    samples: Samples,
    lines: Sequence[SampleLine],
    folder: Path,
    title: str,
    tensorboard: TensorBoard,
) -> None:
    """Figures that show the methods side by side."""
    figures.loss_curves(folder / "training_loss.png", tensorboard.losses, "training loss", title)
    tensorboard.images("original", samples.x[:SHOWN])
    rows, courses = {"original": samples.x[:SHOWN]}, {}
    for line in lines:
        extra, similarity = line.extra, stages.experiment.method[line.arm].similarity
        rows[_broken(line.arm)] = extra.x[:SHOWN]
        tensorboard.attack(line.arm, extra)
        tensorboard.images(f"adversarial/{line.arm}", extra.x[:SHOWN])
        if similarity.unit == "nats":
            found = extra.trace["similarity"], extra.trace["f"] <= 0
            courses[line.arm] = Course(*found, similarity.goal, extra.vectors)
    figures.image_rows(folder / "samples.png", rows, f"{title}: adversarial examples")
    similarity_curves(folder / "similarity.png", courses, f"{title}: value in the attack, no estimate of MI")
    # Which samples the rows of the tensors are
    table = {"index": samples.index, "label": samples.labels}
    table |= {f"success_{line.arm}": line.extra.success for line in lines}
    columns = {name: values.numpy() for name, values in table.items() if values is not None}
    pd.DataFrame(columns).to_csv(folder / "attacked_samples.csv", index_label="row")


def _broken(name: str) -> str:
    """A method's name in the narrow margin of a figure."""
    return name.replace("_", "\n", 1) if len(name) > 10 else name
