"""The weights of many small networks in one tensor, how they start, and how threads share a batch of them."""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from uae_cli.progress import said_if_slow
from uae_cli.randomness import uniform

_COMPILING = "compiling the statistics networks' loop (once), or loading it: up to half a minute"


class Weights:
    """The trained numbers of B networks in one tensor (B, P), and the four parts as views of it.

    One row a sample is what the compiled kernel copies into the cache; torch works on the views.

    Args:
        shape: B, H and R.
        like: gives type and device.
    """

    def __init__(self, shape: tuple[int, int, int], like: Tensor) -> None:
        batch, hidden, rank = shape
        self.all = like.new_zeros(batch, hidden * (2 * rank + 2))
        left, right, self.bias, self.head = self.all.split(
            [hidden * rank, hidden * rank, hidden, hidden], dim=1
        )
        self.left, self.right = left.view(batch, hidden, rank), right.view(batch, hidden, rank)


def start_of_networks(
    index: Tensor, *, hidden: int, size: int, seed: int, stream: str, like: Tensor
) -> dict[str, Tensor]:
    """Weights left and right (B, H, D), bias and head (B, H), of `like`'s type; see `initial_networks`."""
    entry = (2 * size) ** -0.5  # u and v enter one layer together
    limits = {"left": entry, "right": entry, "bias": entry, "head": hidden**-0.5}
    start = {}
    for name, limit in limits.items():
        shape = (hidden, size) if name in ("left", "right") else (hidden,)
        numbers = uniform(seed, f"{stream}{name}", index, math.prod(shape), like.dtype)
        start[name] = numbers.mul_(2 * limit).sub_(limit).view(-1, *shape)
    return start


def in_shares(kernel: Callable[..., None], own: Sequence[Any], shared: Sequence[Any]) -> None:
    """Call a compiled kernel on shares of a batch, one for each of torch's threads.

    Args:
        kernel: takes the parts of `own`, then `shared`; holds no lock while it runs.
        own: tensors (B, …), or tuples of them, which the kernel may write into.
        shared: what every share is given as it is.
    """
    arrays = [_arrays(part) for part in own]
    batch = len(arrays[0])
    threads = min(torch.get_num_threads(), batch)
    bounds = [batch * thread // threads for thread in range(threads + 1)]
    shares = [[_rows(part, slice(*ends)) for part in arrays] for ends in pairwise(bounds)]
    with nullcontext() if kernel.signatures else said_if_slow(_COMPILING):  # type: ignore[attr-defined]
        if threads == 1:
            kernel(*shares[0], *shared)
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(lambda share: kernel(*share, *shared), shares))


def _arrays(part: Tensor | tuple[Tensor, ...]) -> Any:
    return tuple(map(_arrays, part)) if isinstance(part, tuple) else part.numpy()


def _rows(part: Any, rows: slice) -> Any:
    return tuple(array[rows] for array in part) if isinstance(part, tuple) else part[rows]
