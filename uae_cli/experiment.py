"""A whole experiment, checked before any data is read: what `conf/` composes, as objects."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from uae_cli.arms import Adversarial, Arm, MatchedNoise
from uae_cli.attacks.criteria import Criterion
from uae_cli.attacks.generate import Attack
from uae_cli.attacks.minmax import MinMax
from uae_cli.attacks.similarities import Similarity
from uae_cli.datasets import Loader
from uae_cli.errors import ConfigError, UaeError
from uae_cli.messages import check_optimizer, one_line, validation_error
from uae_cli.models import TappedModel, glorot_
from uae_cli.randomness import generator
from uae_cli.settings import STRICT, Count, Positive, Precision
from uae_cli.training import Trainer

ORIGINAL = "original"
REPLICATE = "replicate"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DataSettings:
    """Where the data are and how much of them is used.

    Attributes:
        root: the data root; `UAE_DATA` sets its default.
        train_size: the first n training samples, or null for all.
        test_size: likewise.
        download: whether missing files are fetched.
    """

    root: Path
    train_size: Count | None
    test_size: Count | None
    download: bool


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ModelSettings:
    """A model family and how it is trained.

    Attributes:
        name: as results call it.
        network: makes the module of a sample's shape (`_partial_: true` in YAML).
        trainer: how it is fitted.
    """

    name: str
    network: Callable[..., nn.Module]
    trainer: Trainer

    def build(self, shape: tuple[int, ...], seed: int) -> nn.Module:
        """A fresh network for samples of this shape, its weights drawn from the seed."""
        try:
            model = self.network(shape=shape)
        except ValidationError as error:
            raise validation_error(error, "model.network") from None
        # A user's own network may check its settings in its own words, or not at all
        except (TypeError, ValueError, RuntimeError) as error:
            raise ConfigError(f"model.network: {one_line(error)}") from error
        glorot_(model, generator(seed, "weights", torch.device("cpu")))
        return model


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Scale:
    """How much of the full protocol is run: its name stands beside every result."""

    name: str


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Augmentation:
    """Settings shared by the arms.

    Attributes:
        draws: how often an arm's noise is drawn anew within one seed.
    """

    draws: Count


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Experiment:
    """Dataset × model × attack × arms.

    Attributes:
        name: as results call it; a folder is named after it.
        seed: of everything random.
        device: auto, cpu, cuda or cuda:N.
        threads: CPU threads torch may use, or auto.
        precision: float32; or tf32 (training and attack) or bfloat16 (the attacked model's passes).
        chunk_size: samples attacked at once, or null to let the runner choose.
        memory_budget: GiB that an attack may take, or null for half of what is free.
        outputs: folder of runs and cached stages.
        arm: what the model is retrained on, by name; `original` and `replicate` always run.
    """

    name: Annotated[str, Field(pattern=r"^[\w.+-]+$")]
    seed: Annotated[int, Field(ge=0)]
    device: str
    threads: Count | Literal["auto"]
    precision: Precision
    chunk_size: Count | None
    memory_budget: Positive | None
    outputs: Path
    data: DataSettings
    dataset: Loader
    model: ModelSettings
    criterion: Criterion
    similarity: Similarity
    attack: MinMax
    arm: dict[str, Arm]
    augmentation: Augmentation
    scale: Scale

    def check_fit(self, shape: tuple[int, ...]) -> None:
        """Try what this experiment will do on samples of this shape, so that misfits show before any work.

        Raises:
            ConfigError: model and samples, sampling and model, or objective and model don't go together.
        """
        model = self.model.build(shape, self.seed)
        samples = torch.zeros(2, *shape)
        _check_reconstruction(model, samples)
        for arm in self.arm.values():
            if isinstance(arm, Adversarial) and (layer := arm.similarity.tapped_layer(model)) is not None:
                _check_feature_maps(TappedModel(model, layer)(samples).features, layer)
        _check_objective(self.model, samples)

    def triple(self, similarity: Similarity) -> Attack:
        """The attack with this similarity."""
        return Attack(self.criterion, similarity, self.attack, self.precision)


def from_config(config: dict[str, Any]) -> Experiment:
    """Build and check an experiment from a resolved config (without Hydra's own section).

    Raises:
        ConfigError: a setting is unknown, of the wrong type, out of range, or at odds with another.
    """
    try:
        # First, since the arms repeat its values and would be blamed for them
        TypeAdapter(Augmentation).validate_python(config.get("augmentation"))
    except ValidationError as error:
        raise validation_error(error, "augmentation") from error
    try:
        experiment: Experiment = instantiate(
            {"_target_": f"{__name__}.Experiment", "_convert_": "all", **config}
        )
    except InstantiationException as error:
        raise _explained(error) from error
    _check_arms(experiment.arm)
    optimizer = getattr(experiment.model.trainer.objective, "optimizer", None)
    if optimizer is not None:
        check_optimizer(optimizer, "model.trainer.objective.optimizer")
    return experiment


def _explained(error: InstantiationException) -> UaeError:
    cause = error.__cause__
    text, _, place = one_line(error).partition(" full_key: ")
    if isinstance(cause, UaeError):
        return cause
    if isinstance(cause, ValidationError):
        return validation_error(cause, place)
    return ConfigError(f"{place or 'config'}: {one_line(cause) if cause else text}")


def _check_reconstruction(model: nn.Module, samples: Tensor) -> None:
    with torch.no_grad():
        output = _tried("model.network", lambda: model(samples))
    if output.shape != samples.shape:
        raise ConfigError(
            f"model.network: answers samples of shape {tuple(samples.shape[1:])} with "
            f"{tuple(output.shape[1:])}; an autoencoder must give back the shape it takes"
        )


def _check_feature_maps(features: Tensor | None, layer: str) -> None:
    """Two vectors at least, or there is nothing to shuffle."""
    shape = () if features is None else tuple(features.shape[1:])
    if len(shape) < 2 or shape[0] < 2:
        raise ConfigError(
            f"sampling = conv: layer {layer} gives {_counted(shape)}, but a mutual information needs at "
            "least 2 feature maps; use more model.network.channels, another similarity.sampling.layer, or "
            "sampling=random"
        )


def _counted(shape: tuple[int, ...]) -> str:
    return f"{shape[0]} feature map" if len(shape) > 1 else f"outputs of shape {shape}"


def _check_objective(settings: ModelSettings, samples: Tensor) -> None:
    model = settings.build(tuple(samples.shape[1:]), 0)

    def one_step() -> Tensor:
        updater = settings.trainer.objective.bind(model, generator(0, "check", torch.device("cpu")))
        return updater.step(samples)

    _tried("model.trainer.objective", one_step)


def _tried(place: str, work: Callable[[], Tensor]) -> Tensor:
    try:
        return work()
    except (TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise ConfigError(f"{place}: {one_line(error)}") from error


def _check_arms(arms: dict[str, Arm]) -> None:
    for name, arm in arms.items():
        if not isinstance(arm, MatchedNoise):
            continue
        if arm.of not in arms:
            raise ConfigError(
                f"arm.{name}.of = {arm.of}: that arm doesn't run; use arm=[replicate,{arm.of},{name}]"
            )
        if not isinstance(arms[arm.of], Adversarial):
            raise ConfigError(f"arm.{name}.of = {arm.of}: not an arm of adversarial examples; use mine_uae")
    if REPLICATE not in arms:
        raise ConfigError(
            "arm: replicate is missing; it is the compute-matched control without which no gain means "
            f"anything. Use arm=[{','.join([REPLICATE, *arms])}]"
        )
