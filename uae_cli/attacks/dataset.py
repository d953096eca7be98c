"""Attack a whole dataset, chunk by chunk; a killed process loses at most the chunk in flight.

The result, `uae.safetensors`, holds `x` (N, *shape) in [0, 1], the clean sample where none was found;
`success` (N,) bool; `similarity` (N,), NaN without success; `index` (N,) int64; the iterations' `trace_f`,
`trace_similarity`, `trace_c` (N, T); and `seconds` (N,), each sample's share of its chunk's time.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from uae_cli.attacks.chunk_files import clear, end_of, find_chunk, merge, save_chunk
from uae_cli.attacks.criteria.reconstruction import Criterion
from uae_cli.attacks.samples import Samples
from uae_cli.attacks.similarities.similarities import Grouped, Similarity, group_of
from uae_cli.attacks.solvers.base import Found, Problem, Solver
from uae_cli.errors import ConfigError
from uae_cli.machine import is_out_of_memory
from uae_cli.models.hooked import TappedModel
from uae_cli.settings import Precision
from uae_cli.text import gib, one_line

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
    samples: Samples,
    *,
    chunk_size: int,
    folder: Path,
    sample_bytes: int = 0,
    on_iteration: Callable[[int], None] = lambda _samples: None,
) -> None:
    """Attack every sample and write `uae.safetensors`, whose content this module's docstring tells.

    Args:
        attack: what to do.
        model: the attacked model, on the device to use.
        samples: N clean ones, wherever they lie; groups of coupled samples are of neighbours among them.
        chunk_size: samples attacked at once, rounded down to whole groups where the similarity couples
            samples; halved whenever memory runs out; the outcome doesn't depend on it.
        folder: where chunks, then the result, are written; finished chunks found there are kept.
        sample_bytes: what one sample needs, where that is known, for the error that says it.
        on_iteration: called with the number of samples after each of a chunk's iterations, and with a
            negative number when those of a chunk that ran out of memory count no more.

    Raises:
        ConfigError: there is too little memory for one sample, or for one group; `chunk_size` is smaller
            than a group.
    """
    tapped = TappedModel(model, attack.similarity.tapped_layer(model), precision=attack.precision)
    size = whole_groups(chunk_size, min(group_of(attack.similarity), len(samples)))
    if (folder / RESULT).exists():  # an earlier attempt was stopped between writing it and clearing up
        clear(folder)
        return
    chunks = _Chunks(attack, tapped, samples, size, folder, sample_bytes, on_iteration)
    parts: list[Path] = []
    while (start := end_of(parts)) < len(samples):
        if part := chunks.finished(start) or chunks.attack(start):
            parts.append(part)
    merge(parts, folder / RESULT)


def judge(
    criterion: Criterion, model: TappedModel, samples: Samples, candidates: Tensor, *, chunk_size: int
) -> Tensor:
    """F of every candidate (N, *shape) against its clean sample, (N,): what success is judged by.

    The samples' index and seed must be those of the attack, where criteria draw numbers from them.
    """
    values = []
    with torch.no_grad():
        for rows in torch.arange(len(samples)).split(chunk_size):
            batch = samples.rows(rows).to(model.device)
            bound = criterion.against(model, model(batch.x), batch)
            values.append(bound(model(candidates[rows].to(model.device))).cpu())
    return torch.cat(values)


def attack_chunk(
    attack: Attack, model: TappedModel, batch: Samples, on_iteration: Callable[[int], None]
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


def _known_by(similarity: Similarity, batch: Samples) -> Tensor:
    """Coupled samples are neighbours among those attacked, and chunks hold whole groups: places will do."""
    return torch.arange(len(batch), device=batch.x.device) if isinstance(similarity, Grouped) else batch.index


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


@dataclass
class _Chunks:
    """Attacks samples in chunks of `size`, from now on in smaller ones whenever memory runs out."""

    settings: Attack
    model: TappedModel
    samples: Samples
    size: int
    folder: Path
    sample_bytes: int
    on_iteration: Callable[[int], None]
    begun: bool = False

    def finished(self, start: int) -> Path | None:
        """The chunk that an earlier attempt made from sample `start` on, whatever its size."""
        part = find_chunk(self.folder, start)
        if part is not None:
            self.on_iteration((end_of([part]) - start) * self.settings.solver.total_iterations)
        return part

    def attack(self, start: int) -> Path | None:
        """Make the chunk from sample `start` on; None where it was too large for the memory."""
        if start and not self.begun:
            log.info("going on after %d of %d samples", start, len(self.samples))
        self.begun = True
        rows = torch.arange(start, min(start + self.size, len(self.samples)))
        told: list[int] = []

        def tell(samples: int) -> None:
            told.append(samples)
            self.on_iteration(samples)

        started = time.perf_counter()
        try:
            found = attack_chunk(
                self.settings, self.model, self.samples.rows(rows).to(self.model.device), tell
            )
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            group, device = group_of(self.settings.similarity), self.model.device
            self.size = _halved(len(rows), group, device, self.sample_bytes, error)
            self.on_iteration(-sum(told))
            return None
        return save_chunk(self.folder, start, found, self.samples.index[rows], started)


def _halved(size: int, group: int, device: torch.device, sample_bytes: int, error: BaseException) -> int:
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
