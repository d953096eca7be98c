"""Classifiers whose robustness is compared, trained with and without UAEs (paper §6.16, §6.17)."""

from dataclasses import replace
from pathlib import Path
from typing import Protocol, runtime_checkable

from pydantic import InstanceOf
from pydantic.dataclasses import dataclass
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from uae_cli.attacks import Attack, Criterion, Samples, Similarity, Solver
from uae_cli.errors import ConfigError
from uae_cli.evaluation.representation import LinearProbe, represent
from uae_cli.experiment.schema import Experiment, ModelSettings
from uae_cli.hashing import fingerprint
from uae_cli.models import ProbedEncoder, SimCLR
from uae_cli.models.weights import portable_state
from uae_cli.settings import STRICT
from uae_cli.stages import Fitted, Stages
from uae_cli.stages.store import described, own_code
from uae_cli.training import ContrastiveObjective, Objective

HEAD = "head.safetensors"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Source:
    """Where the UAEs come from that a victim is trained on beside the training samples.

    Attributes:
        model: the attacked model, which is fitted first unless its `weights` are given; null for the
            experiment's own.
        criterion: of the attack.
        similarity: what the solver optimises beside it.
        solver: how.
    """

    model: ModelSettings | None
    criterion: Criterion
    similarity: Similarity
    solver: Solver

    def settings(self, experiment: Experiment) -> ModelSettings:
        """Of the model that is attacked.

        Raises:
            ConfigError: it, or the criterion, is supervised.
        """
        model = self.model or experiment.model
        if model.supervised or self.criterion.supervised:
            raise ConfigError(
                f"protocol.source: UAEs are of unsupervised models, and {model.name} is a classifier; "
                "use source=conv_ae"
            )
        return model

    def attack(self, experiment: Experiment) -> Attack:
        """The attack on it."""
        return Attack(self.criterion, self.similarity, self.solver, experiment.precision)

    def samples(self, stages: Stages) -> Tensor:
        """One for every training sample, (N, *shape)."""
        settings = self.settings(stages.experiment)
        label, samples = f"source {settings.name}", Samples.first(stages.data.x_train, seed=stages.seed)
        fitted = stages.original(label, samples.x, settings=settings)
        return stages.attack(label, fitted, samples, self.attack(stages.experiment)).x


@runtime_checkable
class ClassifierSettings(Protocol):
    """Settings of a way to make a classifier.

    Attributes:
        weights: a state dict of the experiment's network, used instead of training it.
        augmented: whether UAEs are added to the training samples; the other victims list the samples
            twice, so that all take the same optimiser steps.
    """

    augmented: bool
    weights: Path | None

    def settings(self, name: str, experiment: Experiment) -> ModelSettings | None:
        """Of the model that is trained; None for one whose weights are given.

        Raises:
            ConfigError: the experiment's model is not of the kind it needs.
        """
        ...

    def fit(self, name: str, stages: Stages, source: Source | None) -> Fitted:
        """The trained classifier, (B, *shape) → logits."""
        ...


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Trained:
    """The experiment's classifier, trained from scratch.

    Attributes:
        objective: what it is trained for; null for the model's own.
        augmented: see `ClassifierSettings`; a UAE has its sample's label.
        weights: a state dict that is used instead of training, as `model.weights`; null trains.
    """

    objective: InstanceOf[Objective] | None
    augmented: bool
    weights: Path | None

    def settings(self, name: str, experiment: Experiment) -> ModelSettings | None:
        """See `ClassifierSettings.settings`."""
        model = experiment.model
        if not model.supervised:
            raise ConfigError(f"victim.{name}: model = {model.name} is no classifier; use model=mnist_cnn")
        if self.weights is not None:
            return None
        objective = self.objective or model.trainer.objective
        return replace(model, trainer=replace(model.trainer, objective=objective))

    def fit(self, name: str, stages: Stages, source: Source | None) -> Fitted:
        """See `ClassifierSettings.fit`."""
        settings, data = self.settings(name, stages.experiment), stages.data
        if settings is None:
            assert self.weights is not None  # or there would be settings
            return stages.load(name, self.weights)
        extra = _extra(self.augmented, stages, source)
        return stages.refit(name, extra, settings, labels=data.y_train.repeat(2))


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Probed:
    """The experiment's contrastive encoder with a linear head on its frozen features (paper, Figure 10b).

    Attributes:
        probe: how the head is fitted, on the training samples and their labels.
        augmented: as of `Trained`, for the encoder.
        weights: likewise.
    """

    probe: LinearProbe
    augmented: bool
    weights: Path | None

    def settings(self, name: str, experiment: Experiment) -> ModelSettings | None:
        """See `ClassifierSettings.settings`."""
        model = experiment.model
        if not isinstance(model.trainer.objective, ContrastiveObjective):
            raise ConfigError(f"victim.{name}: model = {model.name} is not contrastive; use model=simclr")
        return model if self.weights is None else None

    def fit(self, name: str, stages: Stages, source: Source | None) -> Fitted:
        """See `ClassifierSettings.fit`."""
        data = stages.data
        if self.weights is not None:
            fitted = stages.load(name, self.weights)
        else:
            fitted = stages.refit(name, _extra(self.augmented, stages, source))
        model: SimCLR = fitted.model  # type: ignore[assignment]

        def compute(folder: Path) -> None:
            features = represent(model.encoder, data, batch_size=stages.chunk_size)
            head = self.probe.fit(features, seed=stages.seed)
            save_file(portable_state(head), folder / HEAD)

        inputs = {
            "encoder": fitted.stage.key,
            "probe": described(self.probe),
            "own_code": own_code(self.probe, model),
            "samples": fingerprint(data.x_train),
            "labels": fingerprint(data.y_train),
            "classes": data.classes,
        }
        stage = stages.derive(name, "probe", inputs, compute)
        weights = load_file(stage.folder / HEAD, device=str(stages.device))
        classes, features = weights["weight"].shape
        head = nn.Linear(features, classes).to(stages.device)
        head.load_state_dict(weights)
        return Fitted(ProbedEncoder(model, head).eval(), fitted.history, stage)


def _extra(augmented: bool, stages: Stages, source: Source | None) -> Tensor:
    if not augmented:
        return stages.data.x_train
    assert source is not None  # the protocol has checked it
    return source.samples(stages)
