"""`attack`: UAEs of any model and any samples, in one call."""

import json
import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.utils.data import Dataset

from uae_cli.api.plan import AttackSettings, planned
from uae_cli.api.steps import tuned
from uae_cli.api.target import Target
from uae_cli.api.uaes import Uaes, check_folder
from uae_cli.attacks import (
    RESULT,
    SECONDS,
    Attack,
    Criterion,
    MinMax,
    OwnLoss,
    Penalty,
    Samples,
    Similarity,
    Solver,
    generate,
    judge,
    per_sample,
    unfinished,
)
from uae_cli.attacks.dataset import check_values
from uae_cli.attacks.memory import MOST_SAMPLES, choose_chunk, measure
from uae_cli.attacks.model_checks import warnings_about
from uae_cli.errors import ConfigError, DataError
from uae_cli.hashing import digest, fingerprint, write_json
from uae_cli.machine import choose_device, choose_threads
from uae_cli.models.weights import portable_state
from uae_cli.progress import Bars
from uae_cli.stages.store import code_version, described, own_code

log = logging.getLogger(__name__)

Auto = Literal["auto"]
MARKER = "attack.json"
_TUNED = ("alpha", "delta_start", "c_start")  # the solver's settings that may be chosen automatically
_PROBED = 2  # samples by which model, loss and similarity are tried


def attack(
    model: Callable[[Tensor], Any],
    x: "Tensor | Dataset[Any]",
    *,
    seed: int = 0,
    labels: Tensor | None = None,
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
        labels: (N,) classes, for a supervised criterion; a dataset's own by default.
        criterion: one of `conf/criterion`, or an object; success means its f ≤ 0.
        similarity: one of `conf/similarity`, or an object.
        solver: one of `conf/attack`, or an object.
        output: picks the reconstruction (for a classifier, the logits) from the model's answer; or its name
            or position there. By default it is the one tensor of the samples' shape;
            where there is none, a loss or criterion of another kind gets the answer as it is.
        loss: (x, output) → one number per sample, (B,), instead of the squared error; both on the scale [0,
            1].
        layer: whose output is the K feature maps that mutual information is taken of. auto is the first
            convolution, or, where there is none, random sampling.
        alpha: step size; auto: see `steps.tuned`.
        delta_start: zero, glorot (the paper's), or b for uniform in ±b; auto likewise.
        epsilon: ε, the largest |δ| of any value; 1 by default, no bound beside the samples' range.
        iterations: T; 40 by default.
        limits: what 0 and 1 are in samples and model. ε, α, δ₀, f and S are on the scale [0, 1].
        device: to move the model to meanwhile.
        chunk_size: samples attacked at once; chosen by the memory there is.
        memory_budget: GiB that the attack may take; half of what is free.
        progress: whether to show a bar.
        folder: where what is finished is kept, so that the same call goes on after an interruption.
        settings: any other, as for `uae run`: ["attack.beta=0.5", "similarity.steps=10"].

    Raises:
        ConfigError: model, samples and settings don't go together; the line says how.
        DataError: a sample's value is no number or outside `limits`.
    """
    samples, own_labels = samples_of(x)
    low, span = limits[0], limits[1] - limits[0]
    if not span > 0:
        raise ConfigError(f"limits = {limits}: the first must be below the second")
    scaled = samples if limits == (0, 1) else (samples - low) / span
    check_values(scaled)
    whole = loss is not None or criterion != "reconstruction"  # which may want other answers
    target = Target(model, scaled, output=output, limits=limits, whole=whole)
    named = {"alpha": alpha, "delta_start": delta_start, "epsilon": epsilon, "iterations": iterations}
    set_here = [f"attack.{name}={value}" for name, value in named.items() if value not in (None, "auto")]
    if set_here and not isinstance(solver, str):
        raise ConfigError(f"{set_here[0]}: a solver of your own has its own settings; leave this out")
    more = {"seed": seed, "chunk_size": chunk_size, "memory_budget": memory_budget, "device": device}
    set_here += [f"{name}={value}" for name, value in more.items() if value is not None]
    chosen = {"criterion": criterion, "attack": solver}
    groups = [f"{name}={value}" for name, value in chosen.items() if isinstance(value, str)]
    overrides = [*groups, *set_here, *settings]
    with torch.enable_grad():
        plan = planned(target, scaled[:_PROBED], similarity, layer, overrides)
        batch = Samples.first(scaled, seed=plan.seed, labels=own_labels if labels is None else labels)
        own = {"criterion": criterion, "similarity": similarity, "solver": solver}
        made = Attack(plan.criterion, plan.similarity, plan.attack, plan.precision)
        made = replace(made, **{name: value for name, value in own.items() if not isinstance(value, str)})  # type: ignore[arg-type]
        made = made if loss is None else replace(made, criterion=OwnLoss(loss=loss))
        with _placed(target, plan.device, plan.threads):
            check(made, target, batch)
            made, told = _with_steps(made, target, batch, overrides)
            log.info("attack: %s", ", ".join(f"{name} {_short(value)}" for name, value in told.items()))
            found = _found(made, target, batch, plan, Path(folder) if folder else None, progress=progress)
    if limits != (0, 1):
        found = replace(
            found, x=torch.where(per_sample(found.success, samples), low + span * found.x, samples)
        )
    return replace(found, clean=samples, settings=told)


def samples_of(x: "Tensor | Dataset[Any]") -> tuple[Tensor, Tensor | None]:
    """Samples (N, *shape) as float32 on the CPU, and labels (N,) where every item of a dataset brings one.

    Raises:
        DataError: there are none, or they differ in shape.
    """
    labels = None
    if not isinstance(x, Tensor):
        if not hasattr(x, "__getitem__"):
            raise DataError(
                f"samples: are a {type(x).__name__}; give a tensor, or a dataset (a loader's .dataset)"
            )
        items: Any = [x[position] for position in range(len(x))]  # type: ignore[arg-type]
        if items and isinstance(items[0], tuple | list):
            seconds = [item[1] for item in items if len(item) > 1 and _is_label(item[1])]
            labels = torch.tensor([int(one) for one in seconds]) if len(seconds) == len(items) else None
            items = [item[0] for item in items]
        shapes = sorted({tuple(torch.as_tensor(item).shape) for item in items})
        if len(shapes) > 1:
            raise DataError(
                f"samples: differ in shape, {shapes[0]} and {shapes[1]}; resize or pad them to one"
            )
        x = torch.stack([torch.as_tensor(item) for item in items]) if items else torch.empty(0)
    if x.ndim < 2 or not x.numel():
        raise DataError(
            f"samples: are of shape {tuple(x.shape)}; give (N, *shape), one row for each of N ≥ 1"
        )
    return x.detach().float().cpu(), labels


def _is_label(value: object) -> bool:
    return isinstance(value, int) or (isinstance(value, Tensor) and value.numel() == 1)


def check(attack: Attack, target: Target, samples: Samples) -> None:
    """Try model, criterion and similarity on two samples, and log what is suspicious.

    Raises:
        ConfigError: they don't go together.
    """
    few = samples.rows(torch.arange(min(_PROBED, len(samples))))
    with attack.frozen(target) as attacked:
        few = few.to(attacked.device)
        response = attacked(few.x.clone().requires_grad_())
        attack.criterion.check(few.x, response.output)
        attack.similarity.check("the attack", target, response)
        with torch.no_grad():
            bound = attack.criterion.bind(attacked, attacked(few.x), few)
        f = bound(response)
        what = "loss" if isinstance(attack.criterion, OwnLoss) else "criterion"
        if not isinstance(f, Tensor) or f.shape != (len(few),):
            raise ConfigError(f"{what}: must give one number per sample, of shape ({len(few)},)")
        if not f.requires_grad:
            raise ConfigError(
                f"{what}: has no gradient in the samples; compute model and {what} in torch alone, without "
                "detach, no_grad, rounding or NumPy"
            )
        if not bool(f.isfinite().all()):
            raise ConfigError(
                f"{what}: is no finite number on the first samples; is the model's answer finite?"
            )
    for line in warnings_about(target, attack.criterion, samples.rows(torch.arange(min(32, len(samples))))):
        log.warning("%s", line)


def _with_steps(
    attack: Attack, target: Target, samples: Samples, overrides: Sequence[str]
) -> tuple[Attack, dict[str, object]]:
    """The attack with what nobody has set of its steps chosen, and what there is to tell of it."""
    told: dict[str, object] = {"similarity": type(attack.similarity).__name__}
    if (layer := attack.similarity.hooked_layer(target)) is not None:
        told["layer"] = layer.removeprefix("model.")
    fixed = {
        override.lstrip("+").partition("=")[0] for override in overrides if not override.endswith("=auto")
    }
    auto = frozenset(name for name in _TUNED if f"attack.{name}" not in fixed)
    composed = any(override.startswith("attack=") for override in overrides)  # no object of the user's
    if composed and isinstance(attack.solver, MinMax | Penalty) and auto & {"alpha", "delta_start"}:
        with attack.frozen(target) as attacked:
            attack, share = tuned(attack, attacked, samples, auto)
        told["probed"] = f"{100 * share:.0f} % succeed"
    steps = {name: getattr(attack.solver, name) for name in _TUNED if hasattr(attack.solver, name)}
    return attack, told | steps


def _found(
    attack: Attack,
    target: Target,
    samples: Samples,
    plan: AttackSettings,
    folder: Path | None,
    *,
    progress: bool,
) -> Uaes:
    """What the attack finds, on the scale [0, 1]; finished chunks are kept in the folder, if there is one."""
    device = target.device
    need = measure(attack, target, samples.x, samples.labels)
    chunk = choose_chunk(
        need,
        device,
        most=plan.chunk_size or min(len(samples), MOST_SAMPLES.get(device.type, 128)),
        exact=plan.chunk_size is not None,
        budget_gib=plan.memory_budget,
    )
    steps = len(samples) * attack.solver.total_iterations
    with (
        nullcontext(folder) if folder else tempfile.TemporaryDirectory() as place,
        Bars().bar("attack", steps) if progress else nullcontext(lambda _: None) as advance,
    ):
        assert place is not None
        if folder is not None:
            _claim(folder, attack, target, samples)
        generate(
            attack,
            target,
            samples,
            chunk_size=chunk,
            folder=Path(place),
            sample_bytes=need.bytes_of(1),
            on_iteration=advance,
        )
        tensors = load_file(Path(place) / RESULT)
    x, moved = tensors["x"], (tensors["x"] != samples.x).flatten(1).any(1)
    with attack.frozen(target) as attacked:
        f = judge(attack.criterion, attacked, samples, x, chunk_size=4 * chunk)
    success = moved & (f <= 0)
    return Uaes(
        x=torch.where(per_sample(success, x), x, samples.x),
        clean=samples.x,
        success=success,
        f=torch.where(success, f, tensors["trace_f"].amin(1)),
        similarity=tensors["similarity"].masked_fill(~success, torch.nan),
        index=samples.index,
    )


def _claim(folder: Path, attack: Attack, target: Target, samples: Samples) -> None:
    """Mark a folder as this attack's.

    Raises:
        ConfigError: it holds other files, or what another attack left.
    """
    held = [] if target.model is None else portable_state(target.model).values()
    labels = [] if samples.labels is None else [samples.labels]
    key = digest(
        {
            "code": code_version("attack"),
            "own_code": own_code(attack, target.model, target.function),
            "attack": described(attack),
            "reading": described(target.reading),
            "tensors": [fingerprint(tensor) for tensor in (samples.x, *labels, *held)],
            "seed": samples.seed,
        }
    )
    marker = folder / MARKER
    check_folder(folder, {path.name for path in unfinished(folder)} | {MARKER, RESULT, SECONDS})
    if marker.exists() and json.loads(marker.read_text(encoding="utf-8"))["key"] != key:
        raise ConfigError(
            f"{folder}: holds what an attack on another model or samples, or with other settings, has left; "
            "choose another folder, or remove it"
        )
    write_json(marker, {"key": key})


@contextmanager
def _placed(target: Target, device: str, threads: int | Literal["auto"]) -> Iterator[None]:
    """The model on a device within the block, auto leaving it where it is; and the threads."""
    before, threads_before = target.device, torch.get_num_threads()
    try:
        # By default torch takes all cores, which on a busy machine makes small models many times slower
        torch.set_num_threads(choose_threads(threads))
        target.to(before if device == "auto" else choose_device(device))
        yield
    finally:
        target.to(before)
        torch.set_num_threads(threads_before)


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
