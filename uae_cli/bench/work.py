"""How much arithmetic and memory traffic something takes, and what the device can do of either."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from uae_cli.machine import synchronize

_TURNS = 3
_SIDE = {"cpu": 1024, "cuda": 8192}  # of the matrices that the peak is taken from
_COPIED = {"cpu": 2**27, "cuda": 2**30}  # bytes, more than caches hold
_MOVES_NOTHING = ("aten::empty", "aten::new_empty", "aten::detach", "aten::_unsafe_view")


@dataclass(frozen=True)
class Work:
    """Floating-point operations and bytes; or these per second.

    Attributes:
        flops: of convolutions and matrix products, a multiplication and an addition being two.
        bytes: read and written by torch's operations, each operand once.
    """

    flops: float
    bytes: float

    def __add__(self, other: "Work") -> "Work":
        return Work(self.flops + other.flops, self.bytes + other.bytes)

    def __mul__(self, factor: float) -> "Work":
        return Work(self.flops * factor, self.bytes * factor)


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
    return Work(
        2 * side**3 / _best(lambda: a @ b, device),
        2 * size / _best(lambda: target.copy_(source), device),
    )


def _best(work: Callable[[], Any], device: torch.device) -> float:
    work()
    seconds = []
    for _ in range(_TURNS):
        synchronize(device)
        start = time.perf_counter()
        work()
        synchronize(device)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


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
