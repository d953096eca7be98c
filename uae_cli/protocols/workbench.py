"""What a protocol works with: data on the device, cached fits and attacks, and a record of their cost."""

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from uae_cli.arms import ChangesTraining, Extra
from uae_cli.attacks.chunking import choose_chunk, measure
from uae_cli.attacks.generate import RESULT, Attack, generate
from uae_cli.datasets import Dataset
from uae_cli.evaluation import Subject, Watcher
from uae_cli.experiment import Experiment, ModelSettings
from uae_cli.hardware import Cost, device_name, metered
from uae_cli.models.weights import load_weights
from uae_cli.progress import Bars
from uae_cli.stages import Stage, StageStore, fingerprint, write_json
from uae_cli.training import History, OnEpoch, Trainer

log = logging.getLogger(__name__)

MODEL = "model.safetensors"


@dataclass
class Fitted:
    """A trained model and how its training went."""

    model: nn.Module
    history: History
    stage: Stage


@dataclass
class Workbench:
    """Runs and caches the stages of one experiment.

    Attributes:
        experiment: what is run.
        data: the samples in use.
        device: where models are trained and attacked.
        bars: progress.
        costs: per stage label, seconds and peak bytes, and whether it was reused.
    """

    experiment: Experiment
    data: Dataset
    device: torch.device
    bars: Bars
    costs: list[dict[str, Any]] = field(default_factory=list)
    stages: dict[str, Stage] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._store = StageStore(self.experiment.outputs / "stages")

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
        on_epoch: OnEpoch,
        labels: Tensor | None = None,
        change: ChangesTraining | None = None,
        settings: ModelSettings | None = None,
    ) -> Fitted:
        """A model trained from scratch on `x` (N, *shape): cached by the samples and the settings.

        `labels` (N,) are given to supervised models alone; `change` is an arm with an objective of its own;
        `settings` are those of another model than the experiment's.
        """
        settings = settings or self.experiment.model
        labels = labels if settings.supervised else None
        model = settings.build(self.data.shape, self.seed, classes=self.data.classes)
        # Convolutions run 1.3 to 1.7 times faster with channels last; other layers don't mind
        model = model.to(self.device).to(memory_format=torch.channels_last)

        trainer = settings.trainer
        if change is not None:
            trainer = replace(trainer, objective=change.objective(trainer.objective))

        def compute(folder: Path) -> None:
            history = self._train(label, model, x, labels, epochs, folder, on_epoch, trainer)
            save_file(
                {name: value.cpu().contiguous() for name, value in model.state_dict().items()}, folder / MODEL
            )
            write_json(folder / "history.json", asdict(history))

        inputs = {
            # Dataclasses and partial calls show all their settings
            "network": repr(settings.network),
            "trainer": repr(replace(trainer, epochs=1, refit_epochs=1)),
            "epochs": epochs,
            "seed": self.seed,
            "samples": fingerprint(x),
            "device": self.device.type,
            "precision": self.experiment.precision,
        }
        if labels is not None:
            inputs |= {"labels": fingerprint(labels), "classes": self.data.classes}
        stage = self._stage(label, "fit", inputs, compute)
        history = History(**stage.read_json("history.json"))
        self.costs[-1] |= {"tries": history.tries, "converged": history.converged}
        if not history.converged:
            log.warning(
                "fit %s: not converged, even in try %d of %d epochs; model.trainer.tries or epochs sets more",
                label,
                history.tries,
                len(history.losses),
            )
        if stage.reused:
            for epoch, (loss, scalars) in enumerate(
                zip(history.losses, history.scalars, strict=True), start=1
            ):
                on_epoch(epoch, loss, scalars)
        model.load_state_dict(load_file(stage.folder / MODEL, device=str(self.device)))
        return Fitted(model.eval(), history, stage)

    def load(self, label: str, path: Path) -> Fitted:
        """A model with the user's own weights instead of training; see `load_weights`."""
        model = self.experiment.model.build(self.data.shape, self.seed, classes=self.data.classes)
        load_weights(model, path)
        state = {name: value.contiguous() for name, value in model.state_dict().items()}
        inputs = {
            "network": repr(self.experiment.model.network),
            "weights": {name: fingerprint(value) for name, value in state.items()},
        }
        stage = self._stage(label, "fit", inputs, lambda folder: save_file(state, folder / MODEL))
        model = model.to(self.device).to(memory_format=torch.channels_last)
        return Fitted(model.eval(), History(), stage)

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

        def compute(folder: Path) -> None:
            total = len(x) * attack.solver.total_iterations
            need = measure(attack, target.model, x, labels)
            chunk = choose_chunk(
                need,
                self.device,
                most=self.chunk_size,
                exact=self.experiment.chunk_size is not None,
                budget_gib=self.experiment.memory_budget,
            )
            with self.bars.bar(f"attack {label}", total) as advance:
                generate(
                    attack,
                    target.model,
                    x,
                    seed=seed,
                    chunk_size=chunk,
                    folder=folder,
                    labels=labels,
                    index=index,
                    sample_bytes=need.bytes_of(1),
                    on_iteration=advance,
                )

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
        stage = self._stage(label, "attack", inputs, compute)
        tensors = load_file(stage.folder / RESULT)
        return Extra(
            tensors["x"],
            success=tensors["success"],
            similarity=tensors["similarity"],
            seconds=float(tensors["seconds"].sum()),
            trace={name: tensors[f"trace_{name}"] for name in ("f", "similarity", "c")},
        )

    def derive(self, label: str, kind: str, inputs: dict[str, Any], compute: Callable[[Path], None]) -> Stage:
        """Any other stage, cached by `inputs`, the seed and the device."""
        return self._stage(label, kind, {**inputs, "seed": self.seed, "device": self.device.type}, compute)

    def _train(
        self,
        label: str,
        model: nn.Module,
        x: Tensor,
        labels: Tensor | None,
        epochs: int,
        folder: Path,
        on_epoch: OnEpoch,
        trainer: Trainer,
    ) -> History:
        with self.bars.bar(f"fit {label}", epochs) as advance:

            def note(epoch: int, loss: float, scalars: dict[str, float]) -> None:
                advance(1)
                on_epoch(epoch, loss, scalars)

            return trainer.fit(
                model,
                x.to(self.device),
                epochs=epochs,
                seed=self.seed,
                checkpoint=folder / "checkpoint.pt",
                labels=None if labels is None else labels.to(self.device),
                on_epoch=note,
                watch=self._watch,
            )

    def _watch(self, model: nn.Module, epoch: int) -> dict[str, float]:
        """What the evaluations see in a model that is being trained; it is remembered with the fit."""
        points: dict[str, float] = {}
        for evaluation in self.experiment.evaluation.values():
            if isinstance(evaluation, Watcher):
                points |= evaluation.watch(model, self.subject, epoch)
        return points

    def _stage(self, label: str, kind: str, inputs: dict[str, Any], compute: Callable[[Path], None]) -> Stage:
        def metered_compute(folder: Path) -> None:
            with metered(self.device) as cost:
                compute(folder)
            write_json(folder / "cost.json", self._cost_record(cost))

        stage = self._store.get(kind, inputs, metered_compute)
        self.stages[f"{kind} {label}"] = stage
        cost = stage.read_json("cost.json")
        self.costs.append({"stage": f"{kind} {label}", "reused": stage.reused, **cost})
        took = "reused" if stage.reused else f"{cost['seconds']:.1f} s"
        log.info("%s %s: %s, %s", kind, label, took, stage.key)
        return stage

    def _cost_record(self, cost: Cost) -> dict[str, Any]:
        return {
            "seconds": cost.seconds,
            "peak_bytes": cost.peak_bytes,
            "device": device_name(self.device),
        }
