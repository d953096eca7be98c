"""Attack a whole dataset, chunk by chunk; a killed process loses at most the chunk in flight."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from uae_cli.attacks.batch import Batch
from uae_cli.attacks.criteria import Criterion
from uae_cli.attacks.similarities import Grouped, Similarity, group_of
from uae_cli.attacks.solver import Found, Problem, Solver
from uae_cli.errors import ConfigError
from uae_cli.hardware import is_out_of_memory
from uae_cli.messages import one_line
from uae_cli.models.tapped import TappedModel
from uae_cli.settings import Precision

log = logging.getLogger(__name__)

RESULT = "uae.safetensors"


@dataclass(frozen=True)
class Attack:
    """Criterion × similarity × solver: everything but the model and the samples.

    `precision` is that of the attacked model's forward and backward passes; f, S and δ stay float32.
    """

    criterion: Criterion
    similarity: Similarity
    solver: Solver
    precision: Precision = "float32"


def generate(
    attack: Attack,
    model: nn.Module,
    x: Tensor,
    *,
    seed: int,
    chunk_size: int,
    folder: Path,
    labels: Tensor | None = None,
    index: Tensor | None = None,
    sample_bytes: int = 0,
    on_iteration: Callable[[int], None] = lambda _samples: None,
) -> None:
    """Attack every sample and write `uae.safetensors`.

    It holds `x` (N, *shape) in [0, 1], the clean sample where none was found; `success` (N,) bool;
    `similarity` (N,), NaN without success; `index` (N,) int64; and the iterations' `trace_f`,
    `trace_similarity`, `trace_c` (N, T), and `seconds` (N,), each sample's share of its chunk's time.

    Args:
        attack: what to do.
        model: the attacked model, on the device to use.
        x: (N, *shape) clean samples.
        seed: of everything random; a sample's numbers come from (seed, its index).
        chunk_size: samples attacked at once, rounded down to whole groups where the similarity couples
            samples; halved whenever memory runs out; the outcome doesn't depend on it.
        folder: where chunks, then the result, are written; finished chunks found there are kept.
        labels: (N,) int64 classes, for a supervised attack.
        index: (N,) int64, the samples' positions in the dataset they were chosen from; None for 0, 1, …;
            groups of coupled samples are of neighbours in `x`, whatever it says.
        sample_bytes: what one sample needs, where that is known, for the error that says it.
        on_iteration: called with the number of samples after each of a chunk's iterations, and with a
            negative number when those of a chunk that ran out of memory count no more.

    Raises:
        ConfigError: there is too little memory for one sample, or for one group; `chunk_size` is smaller
            than a group.
    """
    layer = attack.similarity.tapped_layer(model)
    tapped = TappedModel(model, layer, precision=attack.precision)
    device = tapped.device
    chunk_size = _whole_groups(chunk_size, min(group_of(attack.similarity), len(x)))
    positions = torch.arange(len(x)) if index is None else index
    if (folder / RESULT).exists():  # an earlier attempt was stopped between writing it and clearing up
        _clear(folder)
        return
    parts: list[Path] = []
    while (start := _end(parts)) < len(x):
        part = next(folder.glob(f"chunk-{start}-*.safetensors"), None)
        if part is not None:  # finished by an earlier attempt, whatever its chunk size
            parts.append(part)
            on_iteration((_end(parts) - start) * attack.solver.total_iterations)
            continue
        rows = torch.arange(start, min(start + chunk_size, len(x)))
        part = folder / f"chunk-{start}-{int(rows[-1])}.safetensors"
        told: list[int] = []

        def tell(samples: int, told: list[int] = told) -> None:
            told.append(samples)
            on_iteration(samples)

        started = time.perf_counter()
        try:
            found = attack_chunk(attack, tapped, _batch(x, labels, positions, rows, seed, device), tell)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            chunk_size = _halved(len(rows), group_of(attack.similarity), device, sample_bytes, error)
            on_iteration(-sum(told))
        else:
            _write(found, positions[rows], started, part)
            parts.append(part)
    _merge(parts, folder / RESULT)


def judge(
    criterion: Criterion,
    model: TappedModel,
    x: Tensor,
    candidates: Tensor,
    *,
    seed: int,
    chunk_size: int,
    labels: Tensor | None = None,
    index: Tensor | None = None,
) -> Tensor:
    """F of every candidate against its clean sample, (N,): what a saved tensor's success is judged by.

    `index` (N,) must be that of the attack, where criteria draw numbers from it.
    """
    positions = torch.arange(len(x)) if index is None else index
    values = []
    with torch.no_grad():
        for rows in torch.arange(len(x)).split(chunk_size):
            batch = _batch(x, labels, positions, rows, seed, model.device)
            bound = criterion.against(model, model(batch.x), batch)
            values.append(bound(model(candidates[rows].to(model.device))).cpu())
    return torch.cat(values)


def attack_chunk(
    attack: Attack, model: TappedModel, batch: Batch, on_iteration: Callable[[int], None]
) -> Found:
    """Attack one batch; `on_iteration` is told its size after each of the solver's iterations."""
    with torch.no_grad():
        clean = model(batch.x)
    criterion = attack.criterion.against(model, clean, batch)
    problem = Problem(
        model=model,
        batch=batch,
        criterion=criterion,
        begin=partial(attack.similarity.begin, clean, _known_by(attack.similarity, batch), batch.seed),
        goal=attack.similarity.goal,
        require_positive=attack.similarity.require_positive,
    )
    found = attack.solver.run(problem, on_iteration=lambda _: on_iteration(len(batch)))
    moved = (found.x != batch.x).flatten(1).any(dim=1)  # where δ = 0, f is 0 and nothing was found
    with torch.no_grad():
        holds = found.success & moved & (criterion(model(found.x)) <= 0)
    return found.restrict(holds, batch.x)


def _known_by(similarity: Similarity, batch: Batch) -> Tensor:
    """Chosen samples have no neighbours in their dataset, so that groups would fall apart."""
    return batch.row if isinstance(similarity, Grouped) and batch.row is not None else batch.index


def _batch(
    x: Tensor, labels: Tensor | None, positions: Tensor, rows: Tensor, seed: int, device: torch.device
) -> Batch:
    own = None if labels is None else labels[rows].to(device)
    return Batch(x[rows].to(device), positions[rows].to(device), seed, own, rows.to(device))


def _whole_groups(chunk_size: int, group: int) -> int:
    if chunk_size < group:
        raise ConfigError(
            f"chunk_size = {chunk_size}: the similarity couples {group} samples, which are attacked at once; "
            f"use chunk_size={group} or more, or a smaller group"
        )
    return chunk_size // group * group


def _write(found: Found, index: Tensor, started: float, path: Path) -> None:
    tensors = {
        "x": found.x,
        "success": found.success,
        "similarity": found.similarity,
        "index": index,
        "trace_f": found.trace.f,
        "trace_similarity": found.trace.similarity,
        "trace_c": found.trace.c,
    }
    tensors = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    # After the copies above, the device has finished its work
    tensors["seconds"] = torch.full((len(index),), (time.perf_counter() - started) / len(index))
    part = path.with_suffix(".part")
    save_file(tensors, part)
    part.replace(path)


def _end(parts: list[Path]) -> int:
    """How many samples these chunks, one after another, hold."""
    return int(parts[-1].stem.rsplit("-", 1)[1]) + 1 if parts else 0


def _halved(size: int, group: int, device: torch.device, sample_bytes: int, error: BaseException) -> int:
    if size <= group:
        least = "a single sample" if size == 1 else f"{size} samples that belong together"
        which = "which" if size == 1 else "each of which"
        needs = f", {which} needs {sample_bytes / 2**30:.2g} GiB" if sample_bytes else ""
        raise ConfigError(
            f"chunk_size = {size}: {device} has too little memory for {least}{needs} ({one_line(error)}); "
            "free some, or use a smaller model or fewer similarity.sampling vectors"
        ) from error
    half = max(size // 2 // group, 1) * group
    log.warning("out of memory with %d samples at once: going on with %d", size, half)
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return half


def _merge(parts: list[Path], path: Path) -> None:
    """All chunks in one file. It has the size of the data, which are in memory anyway."""
    chunks = [load_file(part) for part in parts]
    whole = path.with_suffix(".part")
    save_file({name: torch.cat([chunk[name] for chunk in chunks]) for name in chunks[0]}, whole)
    whole.replace(path)
    _clear(path.parent)


def _clear(folder: Path) -> None:
    for chunk in folder.glob("chunk-*"):  # also those of an attempt with another chunk size
        chunk.unlink()
