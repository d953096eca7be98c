"""Classifiers whose robustness is compared, trained with and without UAEs (paper §6.16, §6.17)."""

from dataclasses import replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from pydantic.dataclasses import dataclass
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from uae_cli.attacks.criteria import Criterion
from uae_cli.attacks.generate import Attack
from uae_cli.attacks.similarities import Similarity
from uae_cli.attacks.solver import Solver
from uae_cli.errors import ConfigError
from uae_cli.evaluation.linear_probe import LinearProbe
from uae_cli.evaluation.representation import represent
from uae_cli.experiment import ModelSettings
from uae_cli.models import ProbedEncoder, SimCLR
from uae_cli.protocols.observer import Observer
from uae_cli.protocols.workbench import Fitted, Workbench
from uae_cli.settings import STRICT
from uae_cli.training.objectives import Objective

HEAD = "head.safetensors"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Source:
    """Where the UAEs come from that a victim is trained on beside the training samples.

    Attributes:
        model: the attacked model, which is fitted first; null for the experiment's own.
        criterion: of the attack.
        similarity: what the solver optimises beside it.
        solver: how.
    """

    model: ModelSettings | None
    criterion: Criterion
    similarity: Similarity
    solver: Solver

    def samples(self, bench: Workbench, observer: Observer) -> Tensor:
        """One for every training sample, (N, *shape)."""
        settings = self.model or bench.experiment.model
        x = bench.data.x_train
        fitted = fit(bench, observer, f"source {settings.name}", settings, x, settings.trainer.epochs)
        attack = Attack(self.criterion, self.similarity, self.solver, bench.experiment.precision)
        return bench.attack(f"source {settings.name}", fitted, x, attack).x


@runtime_checkable
class Victim(Protocol):
    """Settings of a way to make a classifier."""

    def classifier(self, name: str, bench: Workbench, observer: Observer, source: Source | None) -> Fitted:
        """The trained classifier, (B, *shape) → logits.

        Raises:
            ConfigError: it needs a source of UAEs, and there is none.
        """
        ...


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Trained:
    """The experiment's classifier, trained from scratch.

    Attributes:
        objective: what it is trained for; null for the model's own.
        augmented: whether UAEs, with their samples' labels, are added to the training samples; the other
            victims list the samples twice, so that all take the same optimiser steps.
    """

    objective: Objective | None
    augmented: bool

    def classifier(self, name: str, bench: Workbench, observer: Observer, source: Source | None) -> Fitted:
        """See `Victim.classifier`."""
        settings, data = bench.experiment.model, bench.data
        if self.objective is not None:
            trainer = replace(settings.trainer, objective=self.objective)
            settings = replace(settings, trainer=trainer)
        x = torch.cat([data.x_train, _extra(name, self.augmented, bench, observer, source)])
        labels = data.y_train.repeat(2)
        return fit(bench, observer, name, settings, x, settings.trainer.refit_epochs, labels)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Probed:
    """The experiment's contrastive encoder with a linear head on its frozen features (paper, Figure 10b).

    Attributes:
        probe: how the head is fitted, on the training samples and their labels.
        augmented: as of `Trained`, for the encoder.
    """

    probe: LinearProbe
    augmented: bool

    def classifier(self, name: str, bench: Workbench, observer: Observer, source: Source | None) -> Fitted:
        """See `Victim.classifier`."""
        settings, data = bench.experiment.model, bench.data
        x = torch.cat([data.x_train, _extra(name, self.augmented, bench, observer, source)])
        fitted = fit(bench, observer, name, settings, x, settings.trainer.refit_epochs)
        model = fitted.model
        if not isinstance(model, SimCLR):
            raise ConfigError(f"victim.{name}: needs a contrastive model; use model=simclr")

        def compute(folder: Path) -> None:
            features = represent(model.encoder, data, batch_size=bench.chunk_size)
            head = self.probe.fit(features, seed=bench.seed)
            state = {key: value.cpu().contiguous() for key, value in head.state_dict().items()}
            save_file(state, folder / HEAD)

        inputs = {"encoder": fitted.stage.key, "probe": repr(self.probe)}
        stage = bench.derive(name, "probe", inputs, compute)
        weights = load_file(stage.folder / HEAD, device=str(bench.device))
        classes, features = weights["weight"].shape
        head = nn.Linear(features, classes).to(bench.device)
        head.load_state_dict(weights)
        return Fitted(ProbedEncoder(model, head).eval(), fitted.history, stage)


def fit(
    bench: Workbench,
    observer: Observer,
    label: str,
    settings: ModelSettings,
    x: Tensor,
    epochs: int,
    labels: Tensor | None = None,
) -> Fitted:
    """A model of these settings, its epochs told to the observer."""

    def on_epoch(epoch: int, loss: float, scalars: dict[str, float]) -> None:
        observer.epoch(label, epoch, loss, scalars)

    return bench.fit(label, x, epochs=epochs, on_epoch=on_epoch, labels=labels, settings=settings)


def _extra(name: str, augmented: bool, bench: Workbench, observer: Observer, source: Source | None) -> Tensor:
    if not augmented:
        return bench.data.x_train
    if source is None:
        raise ConfigError(f"victim.{name}.augmented = true: there is no protocol.source of UAEs; set one")
    return source.samples(bench, observer)
