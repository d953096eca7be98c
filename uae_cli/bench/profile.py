"""What work costs a device: its seconds, operations and bytes, and which part of an attack takes them."""

import os
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile, schedule
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from uae_cli.machine import synchronize

PARTS = ("model", "features", "mine", "bookkeeping")
_RANGES = {"uae.model": "model", "uae.backward": "model", "uae.features": "features", "uae.mine": "mine"}
_NODE = "autograd::engine::evaluate_function"
_PROFILED = 5  # iterations, after a first one
_TURNS = 3
_SIDE = {"cpu": 1024, "cuda": 8192}  # of the matrices that the peak is taken from
_COPIED = {"cpu": 2**27, "cuda": 2**30}  # bytes, more than caches hold
_MOVES_NOTHING = ("aten::empty", "aten::new_empty", "aten::detach", "aten::_unsafe_view", "profiler::")


def seconds_of(work: Callable[[], Any], device: torch.device) -> float:
    """What `work` takes, until the device has finished it."""
    synchronize(device)
    start = time.perf_counter()
    work()
    synchronize(device)
    return time.perf_counter() - start


def part_shares(
    attack: Callable[[int, Callable[[int], None]], object], device: torch.device
) -> dict[str, float]:
    """`share_<part>` of some iterations' time; they sum to 1. On a card, of the time of its kernels.

    Parts are the ranges that the attack is marked with; a backward step belongs to the part whose forward
    step it undoes, and what no part claims is bookkeeping.

    Args:
        attack: is made with so many iterations, and calls what it is given after each of them.
        device: where.
    """
    os.environ.setdefault("KINETO_LOG_LEVEL", "6")  # or the profiler's own log goes to the terminal
    on_card = device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_card else [])]
    when = schedule(wait=0, warmup=1, active=_PROFILED, repeat=1)
    with profile(activities=activities, schedule=when, acc_events=True) as profiler:
        attack(1 + _PROFILED, lambda _samples: profiler.step())
    events = profiler.events() or []
    of_features = {e.sequence_nr for e in events if e.sequence_nr >= 0 and _range(e) == "uae.features"}
    times: Counter[str] = Counter()
    for event in events:
        name = _range(event)
        node = _ancestor(event, _NODE)
        if name in ("uae.backward", "") and node is not None and node.sequence_nr in of_features:
            name = "uae.features"
        taken = event.self_device_time_total if on_card else event.self_cpu_time_total
        times[_RANGES.get(name, "bookkeeping")] += taken
    return {f"share_{part}": times[part] / times.total() for part in PARTS}


def _range(event: FunctionEvent) -> str:
    """The innermost range that the event stands in; on a card, backward nodes have a thread of their own."""
    found = _ancestor(event, "uae.")
    if found is None and _ancestor(event, _NODE) is not None:
        return "uae.backward"
    return "" if found is None else str(found.name)


def _ancestor(event: FunctionEvent | None, prefix: str) -> FunctionEvent | None:
    while event is not None and not event.name.startswith(prefix):
        event = event.cpu_parent
    return event


class Work(NamedTuple):
    """Floating-point operations and bytes; or these per second.

    Attributes:
        flops: of convolutions and matrix products, a multiplication and an addition being two.
        bytes: read and written by torch's operations, each operand once.
    """

    flops: float
    bytes: float


def count(work: Callable[[], Any]) -> Work:
    """What torch's operations within `work` take, backward passes included."""
    counter = _Counter()
    with counter:
        work()
    return Work(counter.flops, counter.bytes)


def peak(device: torch.device, dtype: torch.dtype) -> Work:
    """What the device does per second, as measured: a large matrix product and a large copy.

    With torch's present number of threads, and its present arithmetic of matrix products.
    """
    side, size = _SIDE[device.type], _COPIED[device.type]
    a, b = torch.ones(2, side, side, device=device, dtype=dtype)
    source = torch.zeros(size, device=device, dtype=torch.uint8)
    target = torch.empty_like(source)
    product, copy = (
        min(seconds_of(work, device) for _ in range(1 + _TURNS))
        for work in (lambda: a @ b, lambda: target.copy_(source))
    )
    return Work(2 * side**3 / product, 2 * size / copy)


class _Counter(TorchDispatchMode):
    """Torch's own `FlopCounterMode` fails under `autograd.grad` of a model's input; its formulas don't."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        formula = flop_registry.get(func.overloadpacket)
        if formula is not None:
            self.flops += formula(*args, **kwargs, out_val=result)
        if not func.is_view and not func.name().startswith(_MOVES_NOTHING):
            self.bytes += sum(map(_size, tree_leaves((args, kwargs, result))))
        return result


def _size(leaf: Any) -> int:
    """An expanded tensor is no larger than what it is expanded from."""
    if not isinstance(leaf, Tensor):
        return 0
    return min(leaf.numel() * leaf.element_size(), leaf.untyped_storage().nbytes())
