"""How many samples are attacked at once: counted from what one and two samples take in memory."""

import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from uae_cli.attacks.attack import Attack, attack_batch
from uae_cli.attacks.dataset import whole_groups
from uae_cli.attacks.samples import Samples
from uae_cli.attacks.similarities import group_of
from uae_cli.errors import ConfigError
from uae_cli.text import gib

# On a CPU larger chunks are no faster (64 to 256 are equal) and leave the cache; on a card they fill it
MOST_SAMPLES = {"cpu": 128, "cuda": 8192}

_SHARE = 0.5  # of the free memory, where no budget is set: others want some, and allocators round up
_GIB = 2**30

_ROOT, _MEMBERSHIP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
# Limit, use, and the part of the use that the system gives back when asked: cached files
_FILES = {
    2: ("memory.max", "memory.current", "inactive_file"),
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


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
    need: Need, device: torch.device, *, most: int, exact: bool, budget_gib: float | None
) -> int:
    """Samples to attack at once, whole groups where they are coupled. The outcome doesn't depend on it.

    Args:
        need: of the attack, as `measure` tells it.
        device: where it is made.
        most: the largest chunk wanted.
        exact: whether `most` is the user's own choice, which is refused rather than lowered by the budget.
        budget_gib: memory that the attack may take, GiB; None for half of what is free.

    Raises:
        ConfigError: not even one sample (or group) fits, or not as many as the user asked for.
    """
    most = whole_groups(most if exact else max(most, need.group), need.group)
    free = free_bytes(device)
    budget = free * (1 if exact else _SHARE) if budget_gib is None else budget_gib * _GIB
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


def free_bytes(device: torch.device) -> int:
    """Memory of the machine, or of the card, that nothing is using and that this process may take."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    available, granted = int(psutil.virtual_memory().available), granted_bytes()
    return available if granted is None else min(available, granted)


def granted_bytes(root: Path = _ROOT, membership: Path = _MEMBERSHIP) -> int | None:
    """What a container or a batch system leaves this process of the machine's memory; None: all of it.

    The tightest limit of its Linux control groups: they are bound by their ancestors' limits too. Version 1
    writes no limit as a number larger than any machine's memory, version 2 as `max`.

    Args:
        root: where the groups are mounted.
        membership: the kernel's list of this process's groups.
    """
    try:
        lines = membership.read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return None
    found = []
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0":
            found += _up(root, path, version=2)
        elif "memory" in controllers.split(","):
            found += _up(root / "memory", path, version=1)
    return min(found, default=None)


def _up(mount: Path, path: str, *, version: int) -> list[int]:
    """What the group and its ancestors grant; inside a container some of them can't be seen."""
    group = Path(path.lstrip("/"))
    grants = (_grant(mount / level, *_FILES[version]) for level in (group, *group.parents))
    return [grant for grant in grants if grant is not None]


def _grant(folder: Path, limit: str, use: str, cached: str) -> int | None:
    try:
        most = (folder / limit).read_text(encoding="utf-8").strip()
        if most == "max":
            return None
        used = int((folder / use).read_text(encoding="utf-8"))
    except OSError:
        return None
    return max(0, int(most) - used + min(used, _statistic(folder / "memory.stat", cached)))


def _statistic(path: Path, name: str) -> int:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name} ")), 0)


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
