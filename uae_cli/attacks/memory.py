"""How many samples are attacked at once: counted from what one and two samples take in memory."""

import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from uae_cli.attacks.attack import Attack, attack_batch
from uae_cli.attacks.dataset import whole_groups
from uae_cli.attacks.samples import Samples
from uae_cli.attacks.similarities import group_of
from uae_cli.errors import ConfigError
from uae_cli.machine import free_bytes
from uae_cli.text import gib

# On a CPU larger chunks are no faster; smaller ones cost small models up to a quarter. On a card they fill it
MOST_SAMPLES = {"cpu": 256, "cuda": 8192}

_SHARE = 0.5  # of the free memory, where no budget is set: others want some, and allocators round up
_GIB = 2**30


@dataclass(frozen=True)
class Need:
    """Bytes alive after each operation of an attack, as a straight line in the number of samples.

    Attributes:
        lines: (shared, per sample) of every operation: projections are shared, feature maps are not.
        group: samples that must be attacked at once.
    """

    lines: list[tuple[int, int]]
    group: int = 1

    def bytes_of(self, samples: int) -> int:
        """The peak with this many samples."""
        return max(shared + samples * each for shared, each in self.lines)

    def samples_in(self, budget: float) -> int:
        """How many samples fit into `budget` bytes."""
        return max(0, min(int((budget - shared) // each) for shared, each in self.lines if each > 0))


def choose_chunk(
    need: Need, device: torch.device, *, most: int, exact: bool, budget_gib: float | None, jobs: int = 1
) -> int:
    """Samples to attack at once, whole groups where they are coupled. The outcome doesn't depend on it.

    Args:
        need: of the attack, as `measure` tells it.
        device: where it is made.
        most: the largest chunk wanted.
        exact: whether `most` is the user's own choice, which is refused rather than lowered by the budget.
        budget_gib: memory that the attack may take, GiB; None for half of what is free.
        jobs: processes among which that half is shared.

    Raises:
        ConfigError: not even one sample (or group) fits, or not as many as the user asked for.
    """
    most = whole_groups(most if exact else max(most, need.group), need.group)
    free = free_bytes(device)
    budget = free * (1 if exact else _SHARE / jobs) if budget_gib is None else budget_gib * _GIB
    fitting = need.samples_in(budget) // need.group * need.group
    if fitting < 1 or (exact and fitting < most):
        setting = _setting(most, exact, budget_gib)
        raise ConfigError(
            f"{setting}: {_least(need.group)} {gib(need.bytes_of(need.group))} GiB"
            f" ({gib(need.bytes_of(2) - need.bytes_of(1))} more for another one), and {gib(budget)} GiB "
            f"{'is free' if budget_gib is None else 'is the budget'}; {_way_out(fitting)}"
        )
    return min(most, fitting)


def measure(attack: Attack, model: nn.Module, x: Tensor, labels: Tensor | None = None) -> Need:
    """What an attack on samples like the first of `x` (N, *shape) takes, by an iteration on one and on two.

    `model` is on its device, and left as it was; `labels` (N,) are for a supervised attack.
    """
    short = replace(attack, solver=attack.solver.probe())
    first = Samples.first(x[:1], seed=0, labels=None if labels is None else labels[:1])
    with attack.frozen(model) as attacked:
        batches = [first.rows(torch.zeros(count, dtype=torch.int64)).to(attacked.device) for count in (1, 2)]
        one, two = (live_bytes(partial(attack_batch, short, attacked, batch)) for batch in batches)
    if len(one) != len(two):  # a library may copy where it needn't for one, or import something at first
        one, two = [max(one)], [max(two)]
    lines = [(2 * a - b, b - a) for a, b in zip(one, two, strict=True)]
    return Need(lines, min(group_of(attack.similarity), len(x)))


def live_bytes(work: Callable[[], object]) -> list[int]:
    """Bytes of the tensors made by `work` that are alive, after each of its operations."""
    counter = _LiveBytes()
    with counter:
        work()
    return counter.history


class _LiveBytes(TorchDispatchMode):
    """See `live_bytes`."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = 0
        self.history: list[int] = []
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._count(leaf.untyped_storage())
        self.history.append(self.now)
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        place, size = storage._cdata, storage.nbytes()
        if place in self._known:
            return
        self._known.add(place)
        self.now += size
        weakref.finalize(storage, self._forget, place, size)

    def _forget(self, place: int, size: int) -> None:
        self._known.discard(place)
        self.now -= size


def _least(group: int) -> str:
    return "one sample needs" if group == 1 else f"{group} samples that belong together need"


def _setting(most: int, exact: bool, budget_gib: float | None) -> str:
    if exact:
        return f"chunk_size = {most}"
    return "chunk_size" if budget_gib is None else f"memory_budget = {budget_gib:g}"


def _way_out(fitting: int) -> str:
    if fitting:
        return f"use chunk_size={fitting} or less"
    return "set a larger memory_budget, free some memory, or use a smaller model"
