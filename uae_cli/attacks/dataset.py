"""Attack a whole dataset, chunk by chunk; a killed process loses seconds of the one in flight.

Finished chunks are files, `chunk-FIRST-LAST.SUM.safetensors`, until all are merged into the result,
`uae.safetensors`, which holds `x` (N, *shape) in [0, 1], the clean sample where none was found;
`success` (N,) bool; `similarity` (N,), NaN without success; `index` (N,) int64; the iterations' `trace_f`,
`trace_similarity`, `trace_c` (N, T). Equal work has equal bytes: what it took is in `seconds.json`. A chunk's
name has its checksum; it is made again where that doesn't fit. Of the chunk in flight there is a checkpoint,
`iterations-FIRST-LAST`, where it takes long.
"""

import logging
import math
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from uae_cli.attacks.attack import Attack, attack_batch
from uae_cli.attacks.samples import Samples
from uae_cli.attacks.similarities import group_of
from uae_cli.attacks.solvers import Found
from uae_cli.errors import ConfigError, DataError
from uae_cli.hashing import is_unharmed, remove, write_checked, write_json, write_whole
from uae_cli.machine import is_out_of_memory
from uae_cli.text import gib, one_line
from uae_cli.training.checkpoint import SECONDS_BETWEEN, Checkpoint

log = logging.getLogger(__name__)

RESULT, SECONDS = "uae.safetensors", "seconds.json"


def generate(
    attack: Attack,
    model: nn.Module,
    samples: Samples,
    *,
    chunk_size: int,
    folder: Path,
    sample_bytes: int = 0,
    on_iteration: Callable[[int], None] = lambda _samples: None,
    seconds_between: float = SECONDS_BETWEEN,
) -> None:
    """Attack every sample and write `uae.safetensors`, whose content this module's docstring tells.

    Args:
        attack: what to do.
        model: the attacked model, on the device to use; left as it was.
        samples: N clean ones, wherever they lie; coupled samples are neighbours among them.
        chunk_size: samples attacked at once, rounded down to whole groups of coupled ones, and halved
            whenever memory runs out. The outcome doesn't depend on it.
        folder: where chunks, then the result, are written; finished chunks found there are kept.
        sample_bytes: what one sample needs, where that is known, for the error that says it.
        on_iteration: is told a chunk's samples after each of its iterations, and a negative number when
            those of a chunk that ran out of memory count no more.
        seconds_between: one checkpoint of the chunk in flight and the next.

    Raises:
        DataError: there are values outside [0, 1].
        ConfigError: memory lacks for one sample, or for one group; or `chunk_size` is smaller than a group.
    """
    check_values(samples.x)
    group = group_of(attack.similarity)
    size = whole_groups(chunk_size, min(group, len(samples)))
    if (folder / RESULT).exists():  # an earlier attempt was stopped between writing it and clearing up
        return _clear(folder)
    parts, told, kept = list[Path](), [0], 0

    def tell(count: int) -> None:
        told.append(count)
        on_iteration(count)

    with attack.frozen(model) as attacked:
        while (start := _end(parts)) < len(samples):
            if part := _kept(folder, start):
                parts.append(part)
                on_iteration((_end(parts) - start) * attack.solver.total_iterations)
                kept = _end(parts)
                continue
            if kept == start > 0:
                log.info("going on after %d of %d samples", kept, len(samples))
            end, told = min(start + size, len(samples)), []
            batch = samples.rows(torch.arange(start, end))
            name = f"iterations-{start}-{end - 1}.pt"
            saved = Checkpoint(folder / name, attacked.device, seconds_between)
            try:
                found = attack_batch(attack, attacked, batch.to(attacked.device), tell, saved)
                parts.append(_save(folder, start, found, batch.index, saved))
                saved.remove()
            except (RuntimeError, MemoryError) as error:
                size = _halved(len(batch), group, attacked.device, sample_bytes, error)
                saved.remove()
                on_iteration(-sum(told))
    _merge(parts, folder / RESULT)


def whole_groups(chunk_size: int, group: int) -> int:
    """`chunk_size` rounded down to whole groups of coupled samples.

    Raises:
        ConfigError: it is smaller than a group.
    """
    if chunk_size < group:
        raise ConfigError(
            f"chunk_size = {chunk_size}: the similarity couples {group} samples, which are attacked at once; "
            f"use chunk_size={group} or more, or a smaller group"
        )
    return chunk_size // group * group


def check_values(x: Tensor) -> None:
    """See whether samples lie in [0, 1].

    Raises:
        DataError: they don't, or some value is no number.
    """
    low, high = (float(value) for value in x.aminmax())  # NaN where there is any
    if not (low >= 0 and high <= 1):
        if math.isnan(low):
            found, way = "there are some that are no number", "fill or drop those first"
        else:
            found = f"these go from {low:g} to {high:g}"
            way = "scale them to [0, 1], as by x / 255 or (x - x.min()) / (x.max() - x.min())"
        raise DataError(f"samples: attacks need values from 0 to 1, but {found}; {way}")


def _halved(size: int, group: int, device: torch.device, sample_bytes: int, error: BaseException) -> int:
    if not is_out_of_memory(error):
        raise error
    if size <= group:
        least = "a single sample" if size == 1 else f"{size} samples that belong together"
        which = "which" if size == 1 else "each of which"
        needs = f", {which} needs {gib(sample_bytes)} GiB" if sample_bytes else ""
        raise ConfigError(
            f"chunk_size = {size}: {device} has too little memory for {least}{needs} ({one_line(error)}); "
            "free some, or use a smaller model or fewer similarity.sampling vectors"
        ) from error
    half = max(size // 2 // group, 1) * group
    log.warning("out of memory with %d samples at once: going on with %d", size, half)
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return half


def _kept(folder: Path, start: int) -> Path | None:
    """The chunk from this sample on that an earlier attempt made; a damaged one is told and removed."""
    part = next(folder.glob(f"chunk-{start}-*.safetensors"), None)
    if part is not None and not is_unharmed(part):
        log.warning("%s: damaged (it doesn't hold what was written); this chunk is made again", part)
        remove(part)
        return None
    return part


def _end(parts: list[Path]) -> int:
    """How many samples these chunks, one after another, hold."""
    return int(parts[-1].name.partition(".")[0].rpartition("-")[2]) + 1 if parts else 0


def _save(folder: Path, start: int, found: Found, index: Tensor, saved: Checkpoint) -> Path:
    """Write what was found for the samples from number `start` on, in one step.

    `index` (B,) are their positions in the dataset; `saved` knows the time that their attack took.
    """
    tensors = {"x": found.x, "success": found.success, "similarity": found.similarity, "index": index}
    tensors |= {f"trace_{name}": values for name, values in vars(found.trace).items()}
    tensors = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    # After the copies above, the device has finished its work
    tensors["seconds"] = torch.full((len(index),), saved.seconds / len(index))
    path = folder / f"chunk-{start}-{start + len(index) - 1}.safetensors"
    return write_checked(path, lambda part: save_file(tensors, part))


def _merge(parts: list[Path], path: Path) -> None:
    """Put all chunks into one file, of the size of the data, which are in memory anyway; remove them."""
    chunks = [load_file(part) for part in parts]
    write_json(path.with_name(SECONDS), float(sum(chunk.pop("seconds").sum() for chunk in chunks)))
    tensors = {name: torch.cat([chunk[name] for chunk in chunks]) for name in chunks[0]}
    write_whole(path, lambda part: save_file(tensors, part))
    _clear(path.parent)


def _clear(folder: Path) -> None:
    """Remove all chunks and checkpoints, also those of an attempt with another chunk size."""
    for left in unfinished(folder):
        remove(left)


def unfinished(folder: Path) -> list[Path]:
    """What an attack that isn't finished, or was stopped while it cleared up, leaves beside its results."""
    return [*folder.glob("chunk-*"), *folder.glob("iterations-*"), *folder.glob(f"{RESULT}.part")]
