"""One row of the benchmark: an attack and its floor, chunk by chunk in turns, so that noise hits both."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from uae_cli.attacks.dataset import Attack, attack_chunk
from uae_cli.attacks.samples import Samples
from uae_cli.attacks.similarities.similarities import Mine
from uae_cli.attacks.solvers.base import Found
from uae_cli.attacks.solvers.minmax import MinMax
from uae_cli.bench.stopwatch import watching
from uae_cli.bench.work import Work, count, peak
from uae_cli.machine import metered, synchronize
from uae_cli.mi import RandomProjections, networks
from uae_cli.models.hooked import Response, TappedModel

Row = dict[str, Any]


@dataclass
class Bench:
    """A model under attack.

    Attributes:
        attack: as the experiment sets it.
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
        self._device = next(self.model.parameters()).device
        self._tapped = TappedModel(
            self.model, self._mine.tapped_layer(self.model), precision=self.attack.precision
        )

    @property
    def _mine(self) -> Mine:
        mine = self.attack.similarity
        if not isinstance(mine, Mine):
            raise TypeError("the benchmark is of attacks with MINE")
        return mine

    def row(
        self,
        setting: str,
        *,
        samples: int,
        chunk_size: int,
        projections: bool = False,
        rates: bool = False,
        **changes: Any,
    ) -> Row:
        """Measure one setting.

        Args:
            setting: what the row is called.
            samples: how many are attacked (no more than there are).
            chunk_size: at once.
            projections: compare with drawing and applying the random projections instead of the
                model's passes.
            rates: add arithmetic and memory traffic per second, beside what the device can do.
            changes: iterations, mine_steps, marginals, where they are not the experiment's.
        """
        attack = self._changed(**changes)
        mine: Mine = attack.similarity  # type: ignore[assignment]
        x, base = self.x[:samples], self._projections if projections else self._passes
        with metered(self._device) as cost:
            seconds, floor, found = self._in_turns(base, x, attack, chunk_size)
        first = x[:chunk_size].to(self._device)
        shares = self._shares(first, attack)
        row = self.common | {
            "setting": setting,
            "samples": len(x),
            "iterations": attack.solver.total_iterations,
            "mine_steps": mine.steps,
            "marginals": mine.sampling.marginals,
            "chunk_size": min(chunk_size, len(x)),
            "seconds_per_sample": seconds / len(x),
            "floor": "projections" if projections else "model",
            "floor_seconds_per_sample": floor / len(x),
            "ratio": seconds / floor,
            **shares,
            "mine_per_floor": shares["share_mine"] * seconds / floor,
            "peak_bytes": cost.peak_bytes,
            "samples_per_second": len(x) / seconds,
            "mutual_information": float(torch.cat([one.trace.similarity[:, -1] for one in found]).mean()),
            "success": float(torch.cat([one.success for one in found]).float().mean()),
        }
        if rates:
            chunks = len(x) / len(first)
            row |= self._rates(base, first, attack, seconds / chunks, floor / chunks)
        return row

    def _in_turns(
        self, base: Callable[[Tensor, Attack], Any], x: Tensor, attack: Attack, chunk_size: int
    ) -> tuple[float, float, list[Found]]:
        """Seconds of the attack and of its floor, unwatched: a watch waits for the card at every switch."""
        seconds, floor = 0.0, 0.0
        found: list[Found] = []
        for index in torch.arange(len(x)).split(chunk_size):
            chunk, own = x[index].to(self._device), index.to(self._device)
            floor += self._timed(partial(base, chunk, attack))
            seconds += self._timed(partial(self._attack_into, found, chunk, attack, own))
        return seconds, floor, found

    def _shares(self, x: Tensor, attack: Attack) -> Row:
        """Of the parts, in an attack of its own on one chunk."""
        with watching(self._device) as watch:
            self._attacked(x, attack)
        return watch.shares()

    def _rates(
        self,
        base: Callable[[Tensor, Attack], Any],
        x: Tensor,
        attack: Attack,
        seconds: float,
        floor: float,
    ) -> Row:
        """Columns of what the attack and its floor do per second, given what each takes for one chunk.

        Operations are counted with MINE by torch. The bytes are those of torch's operations as they run:
        the compiled kernel, which works within the cache, has none.
        """
        dtype = torch.bfloat16 if attack.precision == "bfloat16" else torch.float32
        able = peak(self._device, dtype)
        whole, least = self._work(self._attacked, x, attack), self._work(base, x, attack)
        columns = {"": whole * (1 / seconds), "floor_": least * (1 / floor), "peak_": able}
        return {f"{name}gflop_per_second": work.flops / 1e9 for name, work in columns.items()} | {
            f"{name}gb_per_second": work.bytes / 1e9 for name, work in columns.items()
        }

    def _work(self, run: Callable[[Tensor, Attack], Any], x: Tensor, attack: Attack) -> Work:
        """Of all iterations, from a run of one and one of two: every further one is like the second."""
        one, two = (self._counted(partial(run, x, self._shortened(attack, n))) for n in (1, 2))
        return one + (two + one * -1) * (attack.solver.total_iterations - 1)

    def _counted(self, run: Callable[[], Any]) -> Work:
        with mock.patch.object(networks, "kernel_pays", return_value=False):
            by_torch = count(run)
        return Work(by_torch.flops, count(run).bytes)

    def _changed(
        self, iterations: int | None = None, mine_steps: int | None = None, marginals: str | None = None
    ) -> Attack:
        mine, sampling = self._mine, self._mine.sampling
        similarity: Any = replace(
            mine,
            steps=mine_steps or mine.steps,
            sampling=replace(sampling, marginals=marginals or sampling.marginals),  # type: ignore[type-var]
        )
        attack = replace(self.attack, similarity=similarity)
        return self._shortened(attack, iterations or attack.solver.total_iterations)

    def _shortened(self, attack: Attack, iterations: int) -> Attack:
        if not isinstance(attack.solver, MinMax):
            raise TypeError("the benchmark is of the MinMax solver")
        return replace(attack, solver=replace(attack.solver, iterations=iterations))

    def _attacked(self, x: Tensor, attack: Attack, index: Tensor | None = None) -> Found:
        own = torch.arange(len(x), device=x.device) if index is None else index
        return attack_chunk(attack, self._tapped, Samples(x, own, self.seed), lambda _samples: None)

    def _attack_into(self, found: list[Found], x: Tensor, attack: Attack, index: Tensor) -> None:
        found.append(self._attacked(x, attack, index))

    def _timed(self, work: Callable[[], Any]) -> float:
        synchronize(self._device)
        start = time.perf_counter()
        work()
        synchronize(self._device)
        return time.perf_counter() - start

    def _passes(self, x: Tensor, attack: Attack) -> None:
        """The floor: T forward and backward passes, by the same calls that the attack makes."""
        for _ in range(attack.solver.total_iterations):
            leaf = x.detach().requires_grad_()
            torch.autograd.grad(self._tapped(leaf).output.sum(), leaf)

    def _projections(self, x: Tensor, attack: Attack) -> None:
        """Drawing the matrices, and applying them to both sides and to the gradient, T times."""
        sampling: Any = attack.similarity.sampling  # type: ignore[attr-defined]
        plain: RandomProjections = replace(sampling, standardize=False)
        draw = plain.bind(x, self.seed)
        for iteration in range(attack.solver.total_iterations):
            leaf = x.detach().requires_grad_()
            draw(Response(x, x, None), iteration)
            vectors = draw(Response(leaf, leaf, None), iteration)
            torch.autograd.grad(vectors, leaf, vectors.detach())
