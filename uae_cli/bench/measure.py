"""One row of the benchmark: an attack and its floor, chunk by chunk in turns, so that noise hits both."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from uae_cli.attacks.generate import Attack, attack_chunk
from uae_cli.attacks.similarities import Mine
from uae_cli.attacks.solver import Found
from uae_cli.bench.stopwatch import synchronize, watching
from uae_cli.hardware import metered
from uae_cli.mi import RandomProjections
from uae_cli.models.tapped import Response, TappedModel

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
        self, setting: str, *, samples: int, chunk_size: int, projections: bool = False, **changes: Any
    ) -> Row:
        """Measure one setting.

        Args:
            setting: what the row is called.
            samples: how many are attacked (no more than there are).
            chunk_size: at once.
            projections: compare with drawing and applying the random projections instead of the
                model's passes.
            changes: iterations, mine_steps, marginals, where they are not the experiment's.
        """
        attack = self._changed(**changes)
        mine: Mine = attack.similarity  # type: ignore[assignment]
        iterations, x = attack.solver.iterations, self.x[:samples]
        seconds, floor = 0.0, 0.0
        found: list[Found] = []
        with metered(self._device) as cost, watching(self._device) as watch:
            for index in torch.arange(len(x)).split(chunk_size):
                chunk, own = x[index].to(self._device), index.to(self._device)
                base = self._projections if projections else self._passes
                watch.switch("")  # the floor's own passes are nobody's share
                floor += self._timed(base, chunk, attack)
                watch.switch("bookkeeping")
                seconds += self._timed(partial(self._attacked, found, own), chunk, attack)
        return self.common | {
            "setting": setting,
            "samples": len(x),
            "iterations": iterations,
            "mine_steps": mine.steps,
            "marginals": mine.sampling.marginals,
            "chunk_size": min(chunk_size, len(x)),
            "seconds_per_sample": seconds / len(x),
            "floor": "projections" if projections else "model",
            "floor_seconds_per_sample": floor / len(x),
            "ratio": seconds / floor,
            **watch.shares(),
            "mine_per_floor": watch.seconds["mine"] / floor,
            "peak_bytes": cost.peak_bytes,
            "samples_per_second": len(x) / seconds,
            "mutual_information": float(torch.cat([one.trace.similarity[:, -1] for one in found]).mean()),
            "success": float(torch.cat([one.success for one in found]).float().mean()),
        }

    def _changed(
        self, iterations: int | None = None, mine_steps: int | None = None, marginals: str | None = None
    ) -> Attack:
        mine, solver = self._mine, self.attack.solver
        sampling: Any = mine.sampling
        similarity: Any = replace(
            mine,
            steps=mine_steps or mine.steps,
            sampling=replace(sampling, marginals=marginals or sampling.marginals),
        )
        solver = replace(solver, iterations=iterations or solver.iterations)
        return replace(self.attack, similarity=similarity, solver=solver)

    def _attacked(self, found: list[Found], index: Tensor, x: Tensor, attack: Attack) -> None:
        found.append(attack_chunk(attack, self._tapped, x, index, self.seed, lambda _samples: None))

    def _timed(self, work: Callable[[Tensor, Attack], Any], x: Tensor, attack: Attack) -> float:
        synchronize(self._device)
        start = time.perf_counter()
        work(x, attack)
        synchronize(self._device)
        return time.perf_counter() - start

    def _passes(self, x: Tensor, attack: Attack) -> None:
        """The floor: T forward and backward passes, by the same calls that the attack makes."""
        for _ in range(attack.solver.iterations):
            leaf = x.detach().requires_grad_()
            torch.autograd.grad(self._tapped(leaf).output.sum(), leaf)

    def _projections(self, x: Tensor, attack: Attack) -> None:
        """Drawing the matrices, and applying them to both sides and to the gradient, T times."""
        sampling: Any = attack.similarity.sampling  # type: ignore[attr-defined]
        plain: RandomProjections = replace(sampling, standardize=False)
        draw = plain.bind(x, self.seed)
        for iteration in range(attack.solver.iterations):
            leaf = x.detach().requires_grad_()
            draw(Response(x, x, None), iteration)
            vectors = draw(Response(leaf, leaf, None), iteration)
            torch.autograd.grad(vectors, leaf, vectors.detach())
