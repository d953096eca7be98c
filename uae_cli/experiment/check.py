"""Everything that is checked before a run begins: a mistake costs seconds and leaves nothing behind."""

import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from uae_cli.attacks import Attack
from uae_cli.attacks.memory import choose_chunk, measure
from uae_cli.datasets import Dataset
from uae_cli.errors import ConfigError
from uae_cli.evaluation import Watcher
from uae_cli.experiment.schema import Experiment, from_config
from uae_cli.experiment.settings import check_form
from uae_cli.hashing import digest
from uae_cli.machine import choose_device, free_bytes, use_precision
from uae_cli.mi import RandomProjections
from uae_cli.models import HookedModel
from uae_cli.models.weights import load_weights
from uae_cli.randomness import generator
from uae_cli.text import gib, one_line

Result = TypeVar("Result")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """A run that can begin: settings, device and samples fit each other."""

    experiment: Experiment
    device: torch.device
    data: Dataset


class Preparation:
    """Checks jobs, each once, and keeps the dataset read last: a sweep over one dataset reads it once."""

    def __init__(self) -> None:
        self._experiments: dict[str, Experiment] = {}
        self._checked: set[str] = set()
        self._key = ""
        self._dataset: Dataset | None = None

    def __reduce__(self) -> tuple[type["Preparation"], tuple[()]]:
        """Launchers that start processes copy the settings, not the samples."""
        return Preparation, ()

    def settings(self, config: dict[str, Any]) -> tuple[Experiment, torch.device]:
        """What can be checked without data.

        Raises:
            UaeError: the first thing that would stop the run.
        """
        check_form(config)
        job = digest(config)
        experiment = self._experiments[job] = self._experiments.get(job) or from_config(config)
        device = choose_device(experiment.device)
        use_precision(experiment.precision, device)
        return experiment, device

    def whole(self, config: dict[str, Any]) -> Prepared:
        """Settings and data; the data are fetched if need be.

        Raises:
            UaeError: the first thing that would stop the run.
        """
        experiment, device = self.settings(config)
        data = experiment.part_of(self.dataset(config))
        if (job := digest(config)) not in self._checked:
            check_fit(experiment, data, device)
            self._checked.add(job)
        return Prepared(experiment, device, data)

    def dataset(self, config: dict[str, Any]) -> Dataset:
        """The whole of it, fetched if need be.

        Raises:
            UaeError: the settings are wrong, or it can't be had.
        """
        experiment, _ = self.settings(config)
        key = digest({"dataset": config["dataset"], "root": experiment.data.root})
        if self._dataset is None or self._key != key:
            self._dataset = None  # the last one's memory is free before the next one is read
            self._dataset = experiment.dataset.load(experiment.data.root, download=experiment.data.download)
            self._key = key
        return self._dataset


def check_fit(experiment: Experiment, data: Dataset, device: torch.device) -> None:
    """Try what the experiment will do, on the first two training samples.

    Raises:
        ConfigError: model and samples, sampling and model, objective and model, or attack and memory
            don't go together.
    """
    model = experiment.model.build(data.shape, experiment.seed, classes=data.classes)
    if experiment.model.weights is not None:
        load_weights(model, experiment.model.weights)
    samples = data.x_train[:2]
    with torch.no_grad():
        output = _tried("model.network", lambda: model.eval()(samples))
    experiment.criterion.check(samples, output)
    for name, attack in experiment.protocol.attacks(experiment).items():
        _check_similarity(name, attack, model, samples)
        own = attack.similarity != experiment.similarity
        place = f"the similarity.sampling of {name}" if own else "similarity.sampling"
        _check_projections(place, attack, samples, device)
    _check_objective(experiment, data)
    measured = "evaluation" in getattr(experiment.protocol, "reads", ("evaluation",))
    for evaluation in experiment.evaluation.values():
        if measured or isinstance(evaluation, Watcher):  # which sees every training
            evaluation.check(model, data)
    experiment.protocol.check_data(experiment, data)
    _check_memory(experiment, model, data, device)


def check_room(ready: Prepared) -> None:
    """See whether the disk holds what the run will write: samples of every attack, weights of every fit.

    Where earlier runs have left finished stages, some of it may be there already, so that it is only told.

    Raises:
        ConfigError: there is too little room, and nothing is there yet.
    """
    experiment, data = ready.experiment, ready.data
    plan = experiment.protocol.plan(experiment, data)
    sample = 4 * data.x_train[0].numel()
    attacks = [attack.samples * sample for attack in plan.attacks]
    sizes: dict[str, int] = {}
    for fit in plan.fits:
        if (key := repr(fit.model)) not in sizes:
            state = fit.model.build(data.shape, 0, classes=data.classes).state_dict()
            sizes[key] = sum(value.nbytes for value in state.values())
    fits = [sizes[repr(fit.model)] for fit in plan.fits]
    # While an attack's chunks become one file, they are there twice; a checkpoint holds weights and moments
    needed = sum(attacks) + sum(fits) + max(max(attacks, default=0), 4 * max(fits, default=0))
    outputs = experiment.outputs
    place = next(folder for folder in (outputs.absolute(), *outputs.absolute().parents) if folder.is_dir())
    if needed <= (free := shutil.disk_usage(place).free):
        return
    line = f"outputs = {outputs}: takes about {_mib(needed)}, and {_mib(free)} is free; use another disk"
    if (outputs / "stages").exists():
        log.warning("%s, unless enough of it is there already", line)
    else:
        raise ConfigError(line)


def _mib(size: int) -> str:
    return f"{gib(size)} GiB" if size >= 2**30 else f"{size / 2**20:.1f} MiB"


def _check_similarity(name: str, attack: Attack, model: nn.Module, samples: Tensor) -> None:
    similarity = attack.similarity
    response = HookedModel(model, similarity.hooked_layer(model))(samples)
    similarity.check(name, model, response)


def _check_projections(place: str, attack: Attack, samples: Tensor, device: torch.device) -> None:
    sampling = getattr(attack.similarity, "sampling", None)
    if not isinstance(sampling, RandomProjections):
        return
    needed, free = sampling.bytes_of(samples[0].numel()), free_bytes(device)
    if needed > free:
        fitting = sampling.count * free // needed
        fewer = f"a count of {fitting} or fewer, or " if fitting > 1 else ""
        raise ConfigError(
            f"{place}: count = {sampling.count} projections to dimension = {sampling.dimension} take "
            f"{gib(needed)} GiB, and {gib(free)} GiB is free; use {fewer}a smaller dimension"
        )


def _check_objective(experiment: Experiment, data: Dataset) -> None:
    """Without an optimiser, the first of which makes torch load its compiler, for a second."""
    settings = experiment.model
    model = settings.build(data.shape, 0, classes=data.classes)
    labels = data.y_train[:2] if settings.supervised else None

    def one_step() -> None:
        loss = settings.trainer.objective.bind(model, generator(0, "check", torch.device("cpu")), steps=1)
        if not all(loss.parameters()):
            raise ValueError("the model has no parameters to train")
        loss.done = 1
        for part in loss.in_turn(data.x_train[:2], labels):
            part.backward()

    _tried("model.trainer.objective", one_step)


def _check_memory(experiment: Experiment, model: nn.Module, data: Dataset, device: torch.device) -> None:
    """Only what a user has set can be too small; measuring takes seconds where a kernel must be compiled."""
    if experiment.chunk_size is None and experiment.memory_budget is None:
        return
    model = model.to(device)
    labels = data.y_train if experiment.criterion.supervised else None
    attacks = experiment.protocol.attacks(experiment).values()
    for attack in {repr(attack): attack for attack in attacks}.values():  # victims may share theirs
        choose_chunk(
            measure(attack, model, data.x_train, labels),
            device,
            most=min(experiment.most_at_once(device), len(data.x_train)),
            exact=experiment.chunk_size is not None,
            budget_gib=experiment.memory_budget,
        )


def _tried(place: str, work: Callable[[], Result]) -> Result:
    try:
        return work()
    except (TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise ConfigError(f"{place}: {one_line(error)}") from error
