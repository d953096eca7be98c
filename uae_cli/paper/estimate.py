"""How long a job would take on this machine, told from a step of training and an iteration of attack."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from uae_cli.attacks import Samples, attack_batch
from uae_cli.datasets import Dataset
from uae_cli.experiment.check import Preparation
from uae_cli.experiment.schema import Experiment, ModelSettings, PlannedAttack
from uae_cli.hashing import digest, settings_of, write_json
from uae_cli.machine import device_name, synchronize
from uae_cli.models import HookedModel
from uae_cli.paper.jobs import Job
from uae_cli.randomness import generator
from uae_cli.training import Updater

FILE = "calibration.json"
_CHUNK = 8  # samples of the attack that is timed


class Calibration:
    """Estimates, kept in a file of the outputs folder, since they depend on settings and machine alone.

    Args:
        outputs: the folder.
    """

    def __init__(self, outputs: Path) -> None:
        self._path = outputs / FILE
        self._known: dict[str, float] = {}
        if self._path.exists():
            self._known = json.loads(self._path.read_text(encoding="utf-8"))
        self._preparation = Preparation()

    def seconds(self, job: Job) -> float:
        """What the job would take if none of its stages were cached; its data must be at hand.

        Raises:
            UaeError: the job can't run.
        """
        key = self._key(job)
        if key not in self._known:
            ready = self._preparation.whole(job.config)
            self._known[key] = estimate(ready.experiment, ready.data, ready.device)
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_json(self._path, self._known)
        return self._known[key]

    def _key(self, job: Job) -> str:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        return digest({"settings": settings_of(job.config), "where": device_name(device)})


def estimate(experiment: Experiment, data: Dataset, device: torch.device) -> float:
    """Seconds of training and attack; what else a run does is not counted."""
    plan = experiment.protocol.plan(experiment, data)
    models = {repr(fit.model): fit.model for fit in plan.fits}
    steps = {name: _step_seconds(model, data, device) for name, model in models.items()}
    training = sum(
        steps[repr(fit.model)] * fit.epochs * fit.model.trainer.steps(fit.samples) for fit in plan.fits
    )
    attacking = sum(
        planned.samples * planned.attack.solver.total_iterations * _iteration_seconds(planned, data, device)
        for planned in plan.attacks
    )
    return training + attacking


def _step_seconds(settings: ModelSettings, data: Dataset, device: torch.device) -> float:
    """One optimiser step on a whole batch."""
    model = settings.build(data.shape, 0, classes=data.classes).to(device).train()
    updater = Updater(settings.trainer.objective, model, generator(0, "calibration", device), steps=2)
    x = data.x_train[: settings.trainer.batch_size].to(device)
    labels = data.y_train[: len(x)].to(device) if settings.supervised else None
    return _second_time(lambda: updater.step(x, labels), device)


def _iteration_seconds(planned: PlannedAttack, data: Dataset, device: torch.device) -> float:
    """One iteration on one of a few samples: an attack of a single iteration less what goes before it."""
    attack = planned.attack
    model = planned.model.build(data.shape, 0, classes=data.classes).to(device)
    hooked = HookedModel(model, attack.similarity.hooked_layer(model), precision=attack.precision)
    x = data.x_train[:_CHUNK].to(device)
    labels = data.y_train[: len(x)].to(device) if attack.criterion.supervised else None
    batch = Samples(x, torch.arange(len(x), device=device), 0, labels)
    short = replace(attack, solver=attack.solver.probe())

    def begin() -> None:
        with torch.no_grad():
            clean = hooked(batch.x)
        attack.similarity.bind(clean, batch)

    whole = _second_time(lambda: attack_batch(short, hooked, batch, lambda _samples: None), device)
    return max(whole - _second_time(begin, device), 0.1 * whole) / len(x)


def _second_time(work: Callable[[], Any], device: torch.device) -> float:
    """Seconds of the second call; the first one compiles and allocates."""
    seconds = 0.0
    for _ in range(2):
        synchronize(device)
        start = time.perf_counter()
        work()
        synchronize(device)
        seconds = time.perf_counter() - start
    return seconds
