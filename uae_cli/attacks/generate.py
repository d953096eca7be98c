"""Attack a whole dataset, chunk by chunk; a killed process loses at most the chunk in flight."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from uae_cli.attacks.criteria import Criterion
from uae_cli.attacks.minmax import MinMax
from uae_cli.attacks.similarities import Similarity
from uae_cli.attacks.solver import Found, Problem
from uae_cli.models.tapped import TappedModel

RESULT = "uae.safetensors"


@dataclass(frozen=True)
class Attack:
    """Criterion × similarity × solver: everything but the model and the samples."""

    criterion: Criterion
    similarity: Similarity
    solver: MinMax


def generate(
    attack: Attack,
    model: nn.Module,
    x: Tensor,
    *,
    seed: int,
    chunk_size: int,
    folder: Path,
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
        chunk_size: samples attacked at once; the outcome doesn't depend on it.
        folder: where chunks, then the result, are written; finished chunks found there are kept.
        on_iteration: called with the number of samples after each of a chunk's iterations.
    """
    device = next(model.parameters()).device
    tapped = TappedModel(model, attack.similarity.tapped_layer(model))
    parts = []
    for index in torch.arange(len(x)).split(chunk_size):
        part = folder / f"chunk-{int(index[0])}-{int(index[-1])}.safetensors"
        parts.append(part)
        if part.exists():
            on_iteration(len(index) * attack.solver.iterations)
            continue
        started = time.perf_counter()
        samples = x[index].to(device)
        found = _attack_chunk(attack, tapped, samples, index.to(device), seed, on_iteration)
        _write(found, index, started, part)
    _merge(parts, folder / RESULT)


def judge(criterion: Criterion, model: TappedModel, x: Tensor, candidates: Tensor, chunk_size: int) -> Tensor:
    """F of every candidate against its clean sample, (N,): what a saved tensor's success is judged by."""
    device = model.device
    values = []
    with torch.no_grad():
        for clean, candidate in zip(x.split(chunk_size), candidates.split(chunk_size), strict=True):
            bound = criterion.against(model(clean.to(device)))
            values.append(bound(model(candidate.to(device))).cpu())
    return torch.cat(values)


def _attack_chunk(
    attack: Attack,
    model: TappedModel,
    x: Tensor,
    index: Tensor,
    seed: int,
    on_iteration: Callable[[int], None],
) -> Found:
    with torch.no_grad():
        clean = model(x)
    criterion = attack.criterion.against(clean)
    problem = Problem(
        model=model,
        x=x,
        criterion=criterion,
        similarity=attack.similarity.begin(clean, index, seed),
        goal=attack.similarity.goal,
        require_positive=attack.similarity.require_positive,
    )
    found = attack.solver.run(problem, index=index, seed=seed, on_iteration=lambda _: on_iteration(len(x)))
    moved = (found.x != x).flatten(1).any(dim=1)  # where δ = 0, f is 0 and nothing was found
    with torch.no_grad():
        holds = found.success & moved & (criterion(model(found.x)) <= 0)
    return found.restrict(holds, x)


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


def _merge(parts: list[Path], path: Path) -> None:
    chunks = [load_file(part) for part in parts]
    save_file({name: torch.cat([chunk[name] for chunk in chunks]) for name in chunks[0]}, path)
    for chunk in path.parent.glob("chunk-*"):  # also those of an attempt with another chunk size
        chunk.unlink()
