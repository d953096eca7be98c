"""Finished chunks of an attack as files, `chunk-FIRST-LAST.safetensors`, until all are merged into one."""

import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from uae_cli.attacks.solvers.base import Found
from uae_cli.hashing import write_whole


def find_chunk(folder: Path, start: int) -> Path | None:
    """The chunk whose first sample is number `start`, whatever its size."""
    return next(folder.glob(f"chunk-{start}-*.safetensors"), None)


def save_chunk(folder: Path, start: int, found: Found, index: Tensor, started: float) -> Path:
    """Write what was found for the samples from number `start` on, in one step.

    `index` (B,) are their positions in the dataset; `started` is when their attack began, on the clock
    `time.perf_counter`.
    """
    path = folder / f"chunk-{start}-{start + len(index) - 1}.safetensors"
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
    write_whole(path, lambda part: save_file(tensors, part))
    return path


def end_of(parts: list[Path]) -> int:
    """How many samples these chunks, one after another, hold."""
    return int(parts[-1].stem.rsplit("-", 1)[1]) + 1 if parts else 0


def merge(parts: list[Path], path: Path) -> None:
    """Put all chunks into one file, and remove them.

    It has the size of the data, which are in memory anyway.
    """
    chunks = [load_file(part) for part in parts]
    tensors = {name: torch.cat([chunk[name] for chunk in chunks]) for name in chunks[0]}
    write_whole(path, lambda part: save_file(tensors, part))
    clear(path.parent)


def clear(folder: Path) -> None:
    """Remove all chunks, also those of an attempt with another chunk size."""
    for chunk in folder.glob("chunk-*"):
        chunk.unlink()
