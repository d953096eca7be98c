"""What a protocol works with: data on the device, cached fits and attacks, and a record of their cost."""

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from uae_cli.arms import Extra
from uae_cli.attacks.dataset import RESULT, Attack, generate
from uae_cli.attacks.memory import choose_chunk, measure
from uae_cli.attacks.samples import Samples
from uae_cli.datasets import Dataset
from uae_cli.evaluation import Subject, Watcher
from uae_cli.experiment.schema import Experiment, ModelSettings
from uae_cli.hashing import fingerprint, write_json
from uae_cli.models.weights import load_weights, portable_state
from uae_cli.progress import Bars
from uae_cli.stages.ledger import Ledger
from uae_cli.stages.store import Stage
from uae_cli.training import Callbacks, History

Metrics = dict[str, float]

log = logging.getLogger(__name__)

MODEL = "model.safetensors"


@dataclass
class Fitted:
    """A trained model and how its training went."""

    model: nn.Module
    history: History
    stage: Stage


@dataclass(frozen=True)
class _FitJob:
    """A fit: samples, labels where the model is supervised, and epochs."""

    label: str
    settings: ModelSettings
    x: Tensor
    labels: Tensor | None
    epochs: int


@dataclass(frozen=True)
class _AttackJob:
    """An attack: see `Workbench.attack`."""

    attack: Attack
    model: nn.Module
    x: Tensor
    labels: Tensor | None
    seed: int
    index: Tensor


@dataclass
class Workbench:
    """Runs and caches the stages of one experiment.

    Attributes:
        experiment: what is run.
        data: the samples in use.
        device: where models are trained and attacked.
        bars: progress.
        on_epoch: is told of every epoch of every fit: the fit's label, and as `Trainer.fit` tells it.
        ledger: the stages so far and their cost.
    """

    experiment: Experiment
    data: Dataset
    device: torch.device
    bars: Bars
    on_epoch: Callable[[str, int, float, dict[str, float]], None] = lambda *_: None
    ledger: Ledger = field(init=False)

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.experiment.outputs, self.device)

    @property
    def seed(self) -> int:
        """The experiment's seed."""
        return self.experiment.seed

    @property
    def chunk_size(self) -> int:
        """Samples evaluated at once, and the most that are attacked at once."""
        return self.experiment.most_at_once(self.device)

    @property
    def subject(self) -> Subject:
        """What models are judged on."""
        return Subject(self.data, self.seed, 4 * self.chunk_size, self.bars)

    def fit(
        self,
        label: str,
        x: Tensor,
        *,
        epochs: int,
        labels: Tensor | None = None,
        settings: ModelSettings | None = None,
    ) -> Fitted:
        """A model trained from scratch on `x` (N, *shape): cached by the samples and the settings.

        `labels` (N,) are given to supervised models alone; `settings` are those of another model than the
        experiment's.
        """
        settings = settings or self.experiment.model
        job = _FitJob(label, settings, x, labels if settings.supervised else None, epochs)
        model = self._to_device(self._built(settings))

        def compute(folder: Path) -> None:
            history = self._train(model, job, folder)
            save_file(portable_state(model), folder / MODEL)
            write_json(folder / "history.json", asdict(history))

        stage = self.ledger.stage(label, "fit", self._fit_inputs(job), compute)
        history = History(**stage.read_json("history.json"))
        self._tell(job, history, stage)
        model.load_state_dict(load_file(stage.folder / MODEL, device=str(self.device)))
        return Fitted(model.eval(), history, stage)

    def refit(
        self,
        label: str,
        extra: Tensor,
        settings: ModelSettings | None = None,
        labels: Tensor | None = None,
    ) -> Fitted:
        """A model trained from scratch on the training samples and `extra` (k·N, *shape); see `fit`."""
        settings = settings or self.experiment.model
        x = torch.cat([self.data.x_train, extra])
        return self.fit(label, x, epochs=settings.trainer.refit_epochs, labels=labels, settings=settings)

    def load(self, label: str, path: Path) -> Fitted:
        """A model with the user's own weights instead of training; see `load_weights`."""
        model = self._built(self.experiment.model)
        load_weights(model, path)
        state = portable_state(model)
        inputs = {
            "network": repr(self.experiment.model.network),
            "weights": {name: fingerprint(value) for name, value in state.items()},
        }
        stage = self.ledger.stage(label, "fit", inputs, lambda folder: save_file(state, folder / MODEL))
        return Fitted(self._to_device(model).eval(), History(), stage)

    def evaluated(self, fitted: Fitted) -> Metrics:
        """What all evaluations of the experiment say of a model."""
        metrics: Metrics = {}
        for evaluation in self.experiment.evaluation.values():
            metrics |= evaluation.measure(fitted.model, self.subject)
        return metrics

    def attack(
        self,
        label: str,
        target: Fitted,
        x: Tensor,
        attack: Attack,
        labels: Tensor | None = None,
        seed: int | None = None,
        index: Tensor | None = None,
    ) -> Extra:
        """Adversarial examples of `target` for every sample of `x`: cached by model, samples, settings.

        Args:
            label: of the stage, for bars and the record.
            target: the attacked model.
            x: (N, *shape) clean samples.
            attack: what is done.
            labels: (N,) classes, for a supervised criterion.
            seed: of everything random in it; None for the experiment's.
            index: (N,) int64, the samples' positions in their dataset; None for 0, 1, ….
        """
        seed = self.seed if seed is None else seed
        places = torch.arange(len(x)) if index is None else index
        job = _AttackJob(attack, target.model, x, labels, seed, places)
        inputs = {
            "model": target.stage.key,
            "samples": fingerprint(x),
            "labels": None if labels is None else fingerprint(labels),
            # Every part is a dataclass, and shows all its settings
            "attack": repr(attack),
            "seed": seed,
            "device": self.device.type,
            "precision": self.experiment.precision,
        }
        if index is not None:
            inputs["index"] = fingerprint(index)
        stage = self.ledger.stage(label, "attack", inputs, lambda folder: self._generate(label, job, folder))
        tensors = load_file(stage.folder / RESULT)
        return Extra(
            tensors["x"],
            success=tensors["success"],
            similarity=tensors["similarity"],
            seconds=self.ledger.seconds_here(label, stage, tensors["seconds"]),
            trace={name: tensors[f"trace_{name}"] for name in ("f", "similarity", "c")},
        )

    def derive(self, label: str, kind: str, inputs: dict[str, Any], compute: Callable[[Path], None]) -> Stage:
        """Any other stage, cached by `inputs`, the seed and the device."""
        return self.ledger.stage(
            label, kind, {**inputs, "seed": self.seed, "device": self.device.type}, compute
        )

    def _built(self, settings: ModelSettings) -> nn.Module:
        return settings.build(self.data.shape, self.seed, classes=self.data.classes)

    def _to_device(self, model: nn.Module) -> nn.Module:
        # Convolutions run 1.3 to 1.7 times faster with channels last; other layers don't mind
        return model.to(self.device).to(memory_format=torch.channels_last)

    def _fit_inputs(self, job: _FitJob) -> dict[str, Any]:
        inputs = {
            # Dataclasses and partial calls show all their settings
            "network": repr(job.settings.network),
            "trainer": repr(replace(job.settings.trainer, epochs=1, refit_epochs=1)),
            "epochs": job.epochs,
            "seed": self.seed,
            "samples": fingerprint(job.x),
            "device": self.device.type,
            "precision": self.experiment.precision,
        }
        if job.labels is not None:
            inputs |= {"labels": fingerprint(job.labels), "classes": self.data.classes}
        return inputs

    def _train(self, model: nn.Module, job: _FitJob, folder: Path) -> History:
        with self.bars.bar(f"fit {job.label}", job.epochs) as bar:

            def note(epoch: int, loss: float, scalars: dict[str, float]) -> None:
                bar(1)
                self.on_epoch(job.label, epoch, loss, scalars)

            return job.settings.trainer.fit(
                model,
                job.x.to(self.device),
                epochs=job.epochs,
                seed=self.seed,
                checkpoint=folder / "checkpoint.pt",
                labels=None if job.labels is None else job.labels.to(self.device),
                callbacks=Callbacks(on_try=bar.begin, on_epoch=note, watch=self._watch),
            )

    def _tell(self, job: _FitJob, history: History, stage: Stage) -> None:
        """What there is to say of a finished fit; the epochs of a reused one are told now."""
        self.ledger.note(tries=history.tries, converged=history.converged)
        if not history.converged:
            log.warning(
                "fit %s: not converged, even in try %d, of %d epochs; model.trainer.tries, epochs or (for a "
                "retrained model) refit_epochs sets more",
                job.label,
                history.tries,
                len(history.losses),
            )
        if stage.reused:
            history.replay(partial(self.on_epoch, job.label))

    def _generate(self, label: str, job: _AttackJob, folder: Path) -> None:
        need = measure(job.attack, job.model, job.x, job.labels)
        chunk = choose_chunk(
            need,
            self.device,
            most=self.chunk_size,
            exact=self.experiment.chunk_size is not None,
            budget_gib=self.experiment.memory_budget,
        )
        with self.bars.bar(f"attack {label}", len(job.x) * job.attack.solver.total_iterations) as advance:
            generate(
                job.attack,
                job.model,
                Samples(job.x, job.index, job.seed, job.labels),
                chunk_size=chunk,
                folder=folder,
                sample_bytes=need.bytes_of(1),
                on_iteration=advance,
            )

    def _watch(self, model: nn.Module, epoch: int) -> dict[str, float]:
        """What the evaluations see in a model that is being trained; it is remembered with the fit."""
        points: dict[str, float] = {}
        for evaluation in self.experiment.evaluation.values():
            if isinstance(evaluation, Watcher):
                points |= evaluation.watch(model, self.subject, epoch)
        return points
