"""The settings of an attack on a user's model: from `conf/`, with the sampling that the model admits."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Literal

import torch
from hydra.utils import get_class
from pydantic.dataclasses import dataclass
from torch import Tensor

from uae_cli.api.target import Target
from uae_cli.attacks import Criterion, Similarity, Solver
from uae_cli.attacks.attack import frozen
from uae_cli.errors import ConfigError
from uae_cli.experiment.compose import compose_jobs, register_resolvers
from uae_cli.experiment.schema import built
from uae_cli.experiment.settings import check_without_torch
from uae_cli.models import first_convolution
from uae_cli.settings import STRICT, Count, Positive, Precision
from uae_cli.text import nearest

READ = (
    "attack",
    "similarity",
    "sampling",
    "criterion",
    "seed",
    "device",
    "threads",
    "precision",
    "chunk_size",
    "memory_budget",
    "plugins",
)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class AttackSettings:
    """What of `conf/` an attack is made with."""

    criterion: Criterion
    similarity: Similarity
    attack: Solver
    seed: int
    device: str
    threads: Count | Literal["auto"]
    precision: Precision
    chunk_size: Count | None
    memory_budget: Positive | None


def planned(
    target: Target, samples: Tensor, similarity: "str | Similarity", layer: str, overrides: Sequence[str]
) -> AttackSettings:
    """The attack's settings from `conf/`, with the sampling that model and similarity admit.

    Args:
        target: the model.
        samples: a few, (n, *shape), that it is tried on.
        similarity: of `conf/similarity`; that of an object isn't looked at.
        layer: as for `attack`.
        overrides: as on the command line of `uae run`.

    Raises:
        ConfigError: a setting isn't known or not read here, or refused; or the model has no such layer.
    """
    for override in overrides:
        name = override.lstrip("+~").partition("=")[0].partition(".")[0].partition("@")[0]
        if name not in READ:
            raise ConfigError(f"{override}: an attack alone doesn't read {name}; {nearest(name, READ)}")
    overrides = [
        *_of_contrastive(overrides),
        *(one for one in overrides if one not in ("attack.alpha=auto", "attack.delta_start=auto")),
    ]
    chosen = [similarity] if isinstance(similarity, str) else ["nothing"]
    given = [override.partition("=")[2] for override in overrides if override.startswith("similarity=")]
    name = [*chosen, *given][-1]
    config = _config([f"similarity={name}", "sampling=none"])
    sampling = []
    if "sampling" in {field.name for field in fields(get_class(config["similarity"]["_target_"]))}:
        sampling = _sampling(target, samples, layer)
    config = _config([f"similarity={name}", *(sampling or ["sampling=none"]), *overrides])
    check_without_torch(config)
    return built(AttackSettings, {field.name: config[field.name] for field in fields(AttackSettings)})


def _of_contrastive(overrides: Sequence[str]) -> list[str]:
    """Under SimCLR's criterion, its views and the paper's steps (§4.6): T = 20, and c falls with √t."""
    chosen = {name: value for name, _, value in (override.partition("=") for override in overrides)}
    if chosen.get("criterion") != "contrastive":
        return []
    steps = ["attack.iterations=20", "attack.c_decay_exponent=0.5"]
    return ["model=simclr", *(steps if chosen.get("attack") == "minmax" else [])]


def _config(overrides: list[str]) -> dict[str, Any]:
    register_resolvers()
    return compose_jobs(["~experiment", *overrides], multirun=False, extra_dir=None)[0].config


def _sampling(target: Target, samples: Tensor, layer: str) -> list[str]:
    """Maps of the layer asked for, or of the first convolution if it makes several, else random vectors."""
    if layer == "auto":
        first = None if target.model is None else getattr(target.model, "feature_layer", None)
        first = first or (None if target.model is None else first_convolution(target.model))
        if first is None or not _makes_maps(target, samples, target.layer(first)):
            return ["sampling=random"]
        layer = first
    return ["sampling=conv", f"similarity.sampling.layer={target.layer(layer)}"]


def _makes_maps(target: Target, samples: Tensor, layer: str) -> bool:
    with frozen(target, layer) as attacked, torch.no_grad():
        features = attacked(samples.to(attacked.device)).features
    return features is not None and features.ndim > 2 and features.shape[1] > 1
