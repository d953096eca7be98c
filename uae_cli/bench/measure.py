"""One row of the benchmark: an attack and its floor, chunk by chunk in turns, so that noise hits both."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from uae_cli.attacks import Attack, Mine, MinMax, Samples, Similarity, attack_batch
from uae_cli.attacks.solvers import Found
from uae_cli.bench.profile import Work, count, part_shares, peak, seconds_of
from uae_cli.experiment.schema import ModelSettings
from uae_cli.machine import metered
from uae_cli.models.hooked import HookedModel

Row = dict[str, Any]

_TURNS = 3  # of a training epoch


@dataclass
class Bench:
    """A model under attack.

    Attributes:
        attack: as the experiment sets it: with MINE, by the MinMax solver.
        model: trained, on its device.
        x: (N, *shape) samples.
        seed: the experiment's.
        common: columns that all rows share.
    """

    attack: Attack
    model: nn.Module
    x: Tensor
    seed: int
    common: Row

    def __post_init__(self) -> None:
        layer = self.attack.similarity.hooked_layer(self.model)
        self._attacked = HookedModel(self.model, layer, precision=self.attack.precision)
        self._device = self._attacked.device

    def row(
        self,
        setting: str,
        *,
        samples: int,
        chunk_size: int,
        similarity: Similarity | None = None,
        rates: bool = False,
        **changes: Any,
    ) -> Row:
        """Measure one setting.

        Args:
            setting: what the row is called.
            samples: how many are attacked (no more than there are).
            chunk_size: at once.
            similarity: what is optimised beside the criterion, where it is not the experiment's.
            rates: add arithmetic and memory traffic per second, beside what the device can do.
            changes: iterations, mine_steps, marginals, where they are not the experiment's.
        """
        attack = self._changed(similarity or self.attack.similarity, **changes)
        x, sampling = self.x[:samples], getattr(attack.similarity, "sampling", None)
        with metered(self._device) as cost:
            seconds, least, found = self._in_turns(x, attack, chunk_size)
        first = x[:chunk_size].to(self._device)
        shares = part_shares(partial(self._attack, first, attack), self._device)
        row = self.common | {
            "setting": setting,
            "samples": len(x),
            "iterations": attack.solver.total_iterations,
            "similarity": type(attack.similarity).__name__,
            "mine_steps": getattr(attack.similarity, "steps", None),
            "marginals": getattr(sampling, "marginals", None),
            "chunk_size": min(chunk_size, len(x)),
            "seconds_per_sample": seconds / len(x),
            "floor_seconds_per_sample": least / len(x),
            "ratio": seconds / least,
            **shares,
            "mine_per_floor": shares["share_mine"] * seconds / least,
            "peak_bytes": cost.peak_bytes,
            "samples_per_second": len(x) / seconds,
            "mutual_information": float(torch.cat([one.trace.similarity[:, -1] for one in found]).mean()),
            "success": float(torch.cat([one.success for one in found]).float().mean()),
        }
        chunks = len(x) / len(first)
        return row | (self._rates(first, attack, seconds / chunks, least / chunks) if rates else {})

    def _in_turns(self, x: Tensor, attack: Attack, chunk_size: int) -> tuple[float, float, list[Found]]:
        """Seconds of the attack and of its floor, without the profiler, which would slow it down."""
        seconds, least, found = 0.0, 0.0, []
        for index in torch.arange(len(x)).split(chunk_size):
            batch = Samples(x[index], index, self.seed).to(self._device)
            least += seconds_of(partial(self._passes, batch.x, attack), self._device)
            seconds += seconds_of(
                lambda batch=batch: found.append(attack_batch(attack, self._attacked, batch)),  # type: ignore[misc]
                self._device,
            )
        return seconds, least, found

    def _rates(self, x: Tensor, attack: Attack, seconds: float, least: float) -> Row:
        """Columns of what the attack and its floor do per second, given what each takes for one chunk.

        Operations are counted with MINE by torch. The bytes are those of torch's operations as they run:
        the compiled kernel, which works within the cache, has none.
        """
        able = peak(self._device, torch.bfloat16 if attack.precision == "bfloat16" else torch.float32)
        by_torch = replace(attack, similarity=replace(attack.similarity, compiled=False))  # type: ignore[type-var]

        def attacked(x: Tensor, attack: Attack) -> None:
            self._attack(x, attack, attack.solver.total_iterations)

        whole = Work(self._work(attacked, x, by_torch).flops, self._work(attacked, x, attack).bytes)
        low = self._work(self._passes, x, attack)
        row: Row = {}
        for name, work, per in (("", whole, seconds), ("floor_", low, least), ("peak_", able, 1.0)):
            row[f"{name}gflop_per_second"] = work.flops / 1e9 / per
            row[f"{name}gb_per_second"] = work.bytes / 1e9 / per
        return row

    def _work(self, run: Callable[[Tensor, Attack], object], x: Tensor, attack: Attack) -> Work:
        """Of all iterations, from a run of one and one of two: every further one is like the second."""
        one, two = (count(partial(run, x, _shortened(attack, n))) for n in (1, 2))
        further = attack.solver.total_iterations - 1
        return Work(*(a + further * (b - a) for a, b in zip(one, two, strict=True)))

    def _changed(
        self,
        similarity: Similarity,
        iterations: int | None = None,
        mine_steps: int | None = None,
        marginals: str | None = None,
    ) -> Attack:
        if isinstance(similarity, Mine):
            sampling: Any = similarity.sampling
            sampling = replace(sampling, marginals=marginals or sampling.marginals)
            similarity = replace(similarity, steps=mine_steps or similarity.steps, sampling=sampling)
        attack = replace(self.attack, similarity=similarity)
        return _shortened(attack, iterations or attack.solver.total_iterations)

    def _attack(
        self, x: Tensor, attack: Attack, iterations: int, on_iteration: Callable[[int], None] = lambda _: None
    ) -> None:
        batch = Samples.first(x, seed=self.seed)
        attack_batch(_shortened(attack, iterations), self._attacked, batch, on_iteration)

    def _passes(self, x: Tensor, attack: Attack) -> None:
        """The floor: T forward and backward passes, by the same calls that the attack makes."""
        for _ in range(attack.solver.total_iterations):
            leaf = x.detach().requires_grad_()
            torch.autograd.grad(self._attacked(leaf).output.sum(), leaf)


def training_row(settings: ModelSettings, x: Tensor, device: torch.device, common: Row) -> Row:
    """The best of three epochs over `x` (N, *shape), and of three times the passes that an epoch makes."""
    x, trainer = x.to(device), settings.trainer
    model = settings.build(tuple(x.shape[1:]), 0, classes=0).to(device).to(memory_format=torch.channels_last)

    def epoch() -> None:
        with tempfile.TemporaryDirectory() as folder:
            trainer.fit(model, x, epochs=1, seed=0, checkpoint=Path(folder) / "checkpoint.pt")

    def passes() -> None:
        model.train()
        for batch in x.split(trainer.batch_size):
            loss = F.mse_loss(model(batch), batch)
            torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)

    turns = [(seconds_of(epoch, device), seconds_of(passes, device)) for _ in range(_TURNS)]
    seconds, floor = (min(each) / len(x) for each in zip(*turns, strict=True))
    return common | {
        "setting": "training",
        "samples": len(x),
        "iterations": 1,
        "chunk_size": trainer.batch_size,
        "seconds_per_sample": seconds,
        "floor_seconds_per_sample": floor,
        "ratio": seconds / floor,
        "samples_per_second": 1 / seconds,
    }


def _shortened(attack: Attack, iterations: int) -> Attack:
    if not isinstance(attack.solver, MinMax):
        raise TypeError("the benchmark is of the MinMax solver")
    return replace(attack, solver=replace(attack.solver, iterations=iterations))
