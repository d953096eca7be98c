"""`attack`: UAEs of any model and any samples, in one call."""

import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Never

import torch
from torch import Tensor
from torch.utils.data import Dataset

from uae_cli.api.plan import AttackSettings, planned
from uae_cli.api.samples import in_unit_range, labels_of, samples_of
from uae_cli.api.target import Kind, Target
from uae_cli.api.uaes import Uaes
from uae_cli.api.work import PROBED, check, find, placed, with_steps
from uae_cli.attacks import Attack, Criterion, OwnLoss, Samples, Similarity, Solver, per_sample
from uae_cli.errors import ConfigError
from uae_cli.text import nearest

log = logging.getLogger(__name__)

Auto = Literal["auto"]


def attack(
    model: Callable[[Tensor], Any],
    x: "Tensor | Dataset[Any]",
    *,
    seed: int = 0,
    labels: Tensor | Sequence[int] | None = None,
    criterion: str | Criterion = "reconstruction",
    similarity: str | Similarity = "mine",
    solver: str | Solver = "minmax",
    output: Callable[[Any], Tensor] | str | int | None = None,
    loss: Callable[[Tensor, Any], Tensor] | None = None,
    layer: str = "auto",
    alpha: float | Auto = "auto",
    delta_start: float | Literal["auto", "zero", "glorot"] = "auto",
    epsilon: float | None = None,
    iterations: int | None = None,
    limits: tuple[float, float] = (0, 1),
    device: str | torch.device | None = None,
    chunk_size: int | None = None,
    memory_budget: float | None = None,
    progress: bool = False,
    folder: str | Path | None = None,
    settings: Sequence[str] = (),
    **unknown: Never,
) -> Uaes:
    """Find, for every sample, a dissimilar one that the model explains at least as well (paper §3).

    The model is left as it was: every module's mode, every parameter's `requires_grad` and gradient, its
    device. What a sample comes to depends on nothing but the model, the settings, (seed, its position) and,
    where steps are chosen automatically, the samples by which they are.

    Args:
        model: any module or callable of (B, *shape) samples, on the device to use.
        x: (N, *shape) samples within `limits`; or a dataset of samples, or of tuples that begin with sample
            and label.
        seed: of everything random.
        labels: (N,) whole numbers from 0, for a supervised criterion; a dataset's own by default.
        criterion: one of `conf/criterion`, or an object; success means its f ≤ 0. contrastive is SimCLR's,
            for an encoder of images (B, C, H, W) → (B, P); its steps are then the paper's, T = 20.
        similarity: one of `conf/similarity`, or an object.
        solver: one of `conf/attack`, or an object.
        output: picks the reconstruction from the model's answer; or its name or position there. By default it
            is the one tensor of the samples' shape; for a classifier or an encoder, the one of shape (B, K).
            Where there is none, a loss or criterion of your own gets the answer as it is.
        loss: (x, output) → one number per sample, (B,), instead of the squared error; both on the scale [0,
            1]. Not beside another criterion.
        layer: whose output is the K feature maps that mutual information is taken of. auto is the first
            convolution, or, where there is none, random sampling.
        alpha: step size; auto: see `steps.tuned`.
        delta_start: zero, glorot (the paper's), or b for uniform in ±b; auto likewise.
        epsilon: ε, the largest |δ| of any value; 1 by default, no bound beside the samples' range.
        iterations: T; 40 by default.
        limits: what 0 and 1 are in samples and model. ε, α, δ₀, f and S are on the scale [0, 1].
        device: to move the model to meanwhile; None and auto leave it where it is.
        chunk_size: samples attacked at once; chosen by the memory there is.
        memory_budget: GiB that the attack may take; half of what is free.
        progress: whether to show a bar.
        folder: where what is finished is kept, so that the same call goes on after an interruption.
        settings: any other, as for `uae run`: ["attack.beta=0.5", "similarity.steps=10"].
        unknown: no argument of another name is taken.

    Raises:
        ConfigError: model, samples and settings don't go together; the line says how.
        DataError: a sample's value is no number or outside `limits`.
    """
    _check_objects(model, {"criterion": criterion, "similarity": similarity, "solver": solver})
    for name in unknown:
        known = [one for one in inspect.signature(attack).parameters if one != "unknown"]
        raise ConfigError(f"attack({name}=…): no such argument; {nearest(name, known)}")
    samples, own_labels = samples_of(x)
    scaled = in_unit_range(samples, limits)
    steps = {"alpha": alpha, "delta_start": delta_start, "epsilon": epsilon, "iterations": iterations}
    others = {"seed": seed, "chunk_size": chunk_size, "memory_budget": memory_budget, "device": device}
    overrides = _overrides({"criterion": criterion, "attack": solver}, steps, others, settings)
    target = Target(model, scaled, output=output, limits=limits, kind=_kind(criterion, loss, overrides))
    with torch.enable_grad():
        plan = planned(target, scaled[:PROBED], similarity, layer, overrides)
        made = _made(plan, criterion, similarity, solver, loss)
        batch = Samples.first(
            scaled, seed=plan.seed, labels=labels_of(labels, own_labels, len(scaled), made.criterion)
        )
        with placed(target, plan.device, plan.threads):
            check(made, target, batch)
            made, told = with_steps(made, target, batch, overrides)
            log.info("attack: %s", ", ".join(f"{name} {_short(value)}" for name, value in told.items()))
            found = find(made, target, batch, plan, Path(folder) if folder else None, progress=progress)
    if limits != (0, 1):
        low, span = limits[0], limits[1] - limits[0]
        found = replace(
            found, x=torch.where(per_sample(found.success, samples), low + span * found.x, samples)
        )
    return replace(found, clean=samples, settings=told)


def _check_objects(model: object, parts: Mapping[str, object]) -> None:
    """Refuse a class where one of its instances is meant, and a model that can't be called."""
    for name, given in ({"model": model} | dict(parts)).items():
        if isinstance(given, type):
            raise ConfigError(
                f"{name}: is the class {given.__name__}; give one that is made, {given.__name__}(…)"
            )
    if not callable(model):
        raise ConfigError(
            f"model: can't be called, being a {type(model).__name__}; give a module or a function of samples"
        )


def _overrides(
    groups: Mapping[str, object],
    steps: Mapping[str, object],
    others: Mapping[str, object],
    settings: Sequence[str],
) -> list[str]:
    """What was said by argument, as on the command line of `uae run`, before what was said so."""
    named = [f"{name}={value}" for name, value in groups.items() if isinstance(value, str)]
    set_here = [f"attack.{name}={value}" for name, value in steps.items() if value not in (None, "auto")]
    if set_here and not isinstance(groups["attack"], str):
        raise ConfigError(f"{set_here[0]}: a solver of your own has its own settings; leave this out")
    more = [f"{name}={value}" for name, value in others.items() if value is not None]
    return [*named, *set_here, *more, *settings]


def _kind(criterion: object, loss: object, overrides: Sequence[str]) -> Kind:
    """What the criterion wants of the model's answer."""
    names = [one.partition("=")[2] for one in overrides if one.startswith("criterion=")]
    name = names[-1] if names else ""
    if loss is not None and name != "reconstruction":
        given = name or type(criterion).__name__
        raise ConfigError(f"loss: is a criterion itself, and {given} is another one; leave out one of them")
    if loss is not None or not name:
        return "any"
    return "reconstruction" if name == "reconstruction" else "vector"


def _made(
    plan: AttackSettings,
    criterion: str | Criterion,
    similarity: str | Similarity,
    solver: str | Solver,
    loss: Callable[[Tensor, Any], Tensor] | None,
) -> Attack:
    """The plan's attack, with the parts of the user's own in their places."""
    return Attack(
        OwnLoss(loss=loss)
        if loss is not None
        else plan.criterion
        if isinstance(criterion, str)
        else criterion,
        plan.similarity if isinstance(similarity, str) else similarity,
        plan.attack if isinstance(solver, str) else solver,
        plan.precision,
    )


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
