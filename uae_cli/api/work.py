"""One attack on a user's model: tried on two samples, tuned, made, and kept in a folder of the user's."""

import json
import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import load_file
from torch import Tensor

from uae_cli.api.plan import AttackSettings
from uae_cli.api.steps import tuned
from uae_cli.api.target import Target
from uae_cli.api.uaes import Uaes, check_folder
from uae_cli.attacks import (
    RESULT,
    SECONDS,
    Attack,
    MinMax,
    OwnLoss,
    Penalty,
    RandomCriterion,
    Samples,
    generate,
    judge,
    per_sample,
    unfinished,
)
from uae_cli.attacks.memory import MOST_SAMPLES, choose_chunk, measure
from uae_cli.attacks.model_checks import warnings_about
from uae_cli.errors import ConfigError
from uae_cli.hashing import digest, fingerprint, write_json
from uae_cli.machine import choose_device, choose_threads
from uae_cli.models.weights import portable_state
from uae_cli.progress import Bars
from uae_cli.stages.store import code_version, described, own_code

log = logging.getLogger(__name__)

MARKER = "attack.json"
PROBED = 2  # samples by which model, loss and similarity are tried
_LOOKED_AT = 32  # by which a useless attack is recognised
_TUNED = ("alpha", "delta_start", "c_start")  # the solver's settings that may be chosen automatically


def check(attack: Attack, target: Target, samples: Samples) -> None:
    """Try model, criterion and similarity on two samples, and log what is suspicious.

    Raises:
        ConfigError: they don't go together.
    """
    few = samples.rows(torch.arange(min(PROBED, len(samples))))
    with attack.frozen(target) as attacked:
        few = few.to(attacked.device)
        response = attacked(few.x.clone().requires_grad_())
        attack.criterion.check(few.x, response.output)
        target.check_scale(response)
        if attack.criterion.supervised and samples.labels is not None:
            _check_classes(samples.labels, response.output)
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
    # A criterion that looks at many views of a sample takes the memory of so many samples
    many = PROBED if isinstance(attack.criterion, RandomCriterion) else _LOOKED_AT
    for line in warnings_about(target, attack.criterion, samples.rows(torch.arange(min(many, len(samples))))):
        log.warning("%s", line)


def _check_classes(labels: Tensor, output: Tensor) -> None:
    if int(labels.max()) >= output.shape[1]:
        raise ConfigError(
            f"labels: go up to {int(labels.max())}, and the model knows {output.shape[1]} classes, 0 to "
            f"{output.shape[1] - 1}"
        )


def with_steps(
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


def find(
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
def placed(target: Target, device: str, threads: int | Literal["auto"]) -> Iterator[None]:
    """The model on a device within the block, auto leaving it where it is; and the threads."""
    before, threads_before = target.device, torch.get_num_threads()
    moved = device != "auto"
    if moved and target.spread:
        raise ConfigError(f"device = {device}: {target.name} lies on several devices; leave device out")
    try:
        # By default torch takes all cores, which on a busy machine makes small models many times slower
        torch.set_num_threads(choose_threads(threads))
        if moved:
            target.to(choose_device(device))
        yield
    finally:
        if moved:
            target.to(before)
        torch.set_num_threads(threads_before)
