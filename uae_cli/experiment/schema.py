"""A whole experiment, checked before any data is read: what `conf/` composes, as objects."""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from functools import partial
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from hydra import utils
from hydra.errors import InstantiationException
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError
from pydantic.dataclasses import dataclass
from torch import nn
from torch.overrides import TorchFunctionMode

from uae_cli.arms import Arm
from uae_cli.attacks import Attack, Criterion, FittedMoves, Method, Similarity, Solver
from uae_cli.attacks.memory import MOST_SAMPLES
from uae_cli.datasets import Dataset, Loader
from uae_cli.errors import ConfigError, SettingError, UaeError
from uae_cli.evaluation.base import Evaluation
from uae_cli.experiment.refused import validation_error
from uae_cli.experiment.settings import ArmSettings, RunSettings, check_without_torch
from uae_cli.machine import free_bytes
from uae_cli.randomness import derive_seed
from uae_cli.settings import STRICT, Location
from uae_cli.text import gib, nearest, one_line, printable, shortened
from uae_cli.training import Trainer

Settings = TypeVar("Settings")

# Hydra 1.4 asks which classes a config may name: any, since users name their own there
_ANY_CLASS = getattr(utils, "UNSAFE_DISABLE_EXECUTION_CHECKS", None)
_TRUSTED = {} if _ANY_CLASS is None else {"_execution_whitelist_": _ANY_CLASS}


class _WithinMemory(TorchFunctionMode):
    """Refuses a network before its weights take more memory than is free: the system would kill us."""

    def __init__(self) -> None:
        super().__init__()
        self._free, self._taken = free_bytes(torch.device("cpu")), 0

    def __torch_function__(
        self, func: Any, types: object, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Called by torch for every function; layers make their weights with `empty`."""
        if func is torch.empty:
            self._taken += 4 * math.prod(args[0] if isinstance(args[0], Sequence) else args)
            if self._taken > self._free:
                needed, free = gib(self._taken), gib(self._free)
                raise ConfigError(
                    f"model.network: its weights take {needed} GiB or more, and {free} GiB are free; "
                    "make it smaller"
                )
        return func(*args, **(kwargs or {}))


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ModelSettings:
    """A model family and how it is trained.

    Attributes:
        name: as results call it.
        network: makes the module of a sample's shape, and a supervised one of the number of classes
            (`_partial_: true` in YAML).
        trainer: how it is fitted.
        weights: a state dict of this network, used instead of training it. What is retrained, on an arm's
            samples, starts from scratch all the same (protocol=augmentation).
    """

    name: str
    network: Callable[..., nn.Module]
    trainer: Trainer
    weights: Location | None = None

    @property
    def supervised(self) -> bool:
        """Whether it learns from labels."""
        return self.trainer.objective.supervised

    def build(self, shape: tuple[int, ...], seed: int, *, classes: int) -> nn.Module:
        """A fresh network for samples of this shape; what its constructor draws, the seed decides."""
        try:
            with torch.random.fork_rng(devices=[]), _WithinMemory():
                torch.default_generator.manual_seed(derive_seed(seed, "weights"))
                return self.network(shape=shape, **({"classes": classes} if self.supervised else {}))
        except ValidationError as error:
            raise validation_error(error, "model.network") from None
        # A user's own network may check its settings in its own words, or not at all
        except (TypeError, ValueError, RuntimeError) as error:
            raise ConfigError(f"model.network: {one_line(error)}") from error


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Augmentation(ArmSettings):
    """Settings shared by the arms.

    Attributes:
        chain: arms after one another, by name; run beside the others (`augmentation=[flip,mine_uae]`).
    """

    chain: dict[str, Arm]


@dataclass(frozen=True, config=STRICT)
class PlannedFit:
    """A model of these settings, trained on so many samples for so many epochs."""

    model: ModelSettings
    samples: int
    epochs: int


@dataclass(frozen=True, config=STRICT)
class PlannedAttack:
    """An attack on a model of these settings, made on so many samples."""

    model: ModelSettings
    attack: Attack
    samples: int


@dataclass(frozen=True, config=STRICT)
class Plan:
    """What a protocol will do, by which the time it takes is estimated.

    Attributes:
        fits: every model trained.
        attacks: every attack made.
    """

    fits: list[PlannedFit]
    attacks: list[PlannedAttack]


@runtime_checkable
class ProtocolSettings(Protocol):
    """Settings of a protocol; `conf/protocol/` names them."""

    def attacks(self, experiment: "Experiment") -> dict[str, Attack]:
        """Every attack that will be made, by label."""
        ...

    def check_settings(self, experiment: "Experiment") -> None:
        """See whether the settings agree with each other.

        Raises:
            ConfigError: they don't.
        """
        ...

    def check_data(self, experiment: "Experiment", data: Dataset) -> None:
        """See whether the data admit what will be done.

        Raises:
            ConfigError: they don't.
        """
        ...

    def plan(self, experiment: "Experiment", data: Dataset) -> Plan:
        """What will be done, if nothing of it is cached."""
        ...


@runtime_checkable
class TrackerSettings(Protocol):
    """Settings of an experiment tracker; `conf/tracker/` names them."""

    def begin(self, name: str, settings: Mapping[str, object], tags: Mapping[str, str]) -> Any:
        """Tell it of a new run: its name, its settings by dotted name, and what it may be found by."""
        ...


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Experiment(RunSettings):
    """Dataset × model × attack × arms.

    Attributes:
        protocol: what is done with all of this, and what comes out.
        evaluation: what trained models are judged by, by name.
        arm: what the model is retrained on, by name; `original` and `replicate` always run.
        method: the ways to attack that are compared, by name (protocol=attack, robustness).
        tracker: is told of the run beside TensorBoard, or null.
    """

    dataset: Loader
    model: ModelSettings
    criterion: Criterion
    similarity: Similarity
    attack: Solver
    protocol: ProtocolSettings
    arm: dict[str, Arm] = field(default_factory=dict)
    augmentation: Augmentation
    method: dict[str, Method] = field(default_factory=dict)
    evaluation: dict[str, Evaluation] = field(default_factory=dict)
    tracker: TrackerSettings | None = None

    def most_at_once(self, device: torch.device) -> int:
        """Samples evaluated at once, and the most that are attacked at once."""
        return self.chunk_size or MOST_SAMPLES[device.type]

    def part_of(self, data: Dataset) -> Dataset:
        """The samples that are used, those for validation set aside.

        Raises:
            DataError: `data` has fewer than the user wants; of a scale's it takes what there is.
            ConfigError: none are left for validation, or for training.
        """
        train, test = self.scale.train_size or len(data.x_train), self.scale.test_size or len(data.x_test)
        used = data.first(
            self.data.train_size or min(train, len(data.x_train)),
            self.data.test_size or min(test, len(data.x_test)),
        )
        return used.set_aside(self.data.validation_share, self.seed)

    def triple(
        self, similarity: Similarity, iterations: int | None = None, moves: FittedMoves | None = None
    ) -> Attack:
        """The attack with this similarity, and another number of iterations, or ways to go, if given.

        Raises:
            ConfigError: the solver has no such number.
        """
        solver: Any = self.attack
        if iterations is not None:
            if not hasattr(solver, "iterations"):
                raise ConfigError(
                    f"iterations = {iterations} of an arm: {type(solver).__name__} has no number of "
                    "iterations; leave it null"
                )
            solver = replace(solver, iterations=iterations)
        if moves is not None:
            solver = moves.solver(solver)
        return Attack(self.criterion, similarity, solver, self.precision)


def from_config(config: dict[str, Any]) -> Experiment:
    """Build and check an experiment from a resolved config (without Hydra's own section).

    Raises:
        ConfigError: a setting is unknown, of the wrong type, out of range, or at odds with another.
    """
    check_without_torch(config)  # first, since the arms repeat some values and would be blamed for them
    experiment = built(Experiment, config)
    experiment.protocol.check_settings(experiment)
    optimizer = getattr(experiment.model.trainer.objective, "optimizer", None)
    if optimizer is not None:
        check_optimizer(optimizer, "model.trainer.objective.optimizer")
    return experiment


def built(settings: type[Settings], config: dict[str, Any]) -> Settings:
    """These settings, from the sections of a resolved config that they are made of.

    Raises:
        ConfigError: a setting is unknown, of the wrong type or out of range.
    """
    try:
        target = f"{settings.__module__}.{settings.__qualname__}"
        made: Settings = utils.instantiate({"_target_": target, "_convert_": "all", **config}, **_TRUSTED)
    except InstantiationException as error:
        raise _explained(error) from error
    except OmegaConfBaseException as error:
        reason, _, place = one_line(error).partition(" full_key: ")
        raise ConfigError(f"{place.partition(' ')[0] or 'config'}: {shortened(reason)}") from error
    return made


def _explained(error: InstantiationException) -> UaeError:
    cause = error.__cause__
    text, _, place = one_line(error).partition(" full_key: ")
    if isinstance(cause, UaeError):
        return cause
    if isinstance(cause, ValidationError):
        return validation_error(cause, place)
    return ConfigError(f"{printable(place or 'config')}: {shortened(one_line(cause or text))}")


def check_optimizer(factory: Callable[..., Any], place: str) -> None:
    """Try an optimiser's settings, on no parameters: with some, torch would load its compiler, for a second.

    Raises:
        ConfigError: torch refuses one of them; the line names it.
    """
    try:
        factory([])
    except (TypeError, ValueError) as error:
        if "empty parameter list" in str(error):
            return  # the last thing that torch looks at
        raise _optimizer_error(factory, place, str(error)) from error


def _optimizer_error(factory: Callable[..., Any], place: str, reason: str) -> ConfigError:
    settings = factory.keywords if isinstance(factory, partial) else {}
    known = _parameters(factory)
    if unknown := [name for name in settings if name not in known]:
        return ConfigError(
            f"{place}.{unknown[0]}: no such setting; {nearest(unknown[0], known, f'{place}.')}"
        )
    for name, value in settings.items():
        if isinstance(value, str):
            return SettingError(f"{place}.{name}", value, "must be a number")
        # torch ends its sentences with the value: "Invalid learning rate: -1"
        if reason.endswith(f": {value}"):
            return SettingError(f"{place}.{name}", str(value), reason.removesuffix(f": {value}").lower())
    return ConfigError(f"{place}: {one_line(reason)}")


def _parameters(factory: Callable[..., Any]) -> list[str]:
    """The settings that torch's optimiser knows; Hydra wraps its class twice."""
    target = factory.func if isinstance(factory, partial) else factory
    target = getattr(target, "_target", getattr(target, "target", target))
    return [name for name in inspect.signature(target).parameters if name != "params"]
