"""Two ways to train all statistics networks at once: torch operations, or one compiled CPU loop."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import torch
from torch import Tensor

from uae_cli.mi.bound import MARGINALS, MarginalsName
from uae_cli.progress import said_if_slow

_COMPILING = "compiling the statistics networks' loop (once), or loading it: up to half a minute"
_KERNEL_MOST = 64 * 64  # values of a sample's vectors; above, a library's matrix products beat plain loops


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


def kernel_pays(weights: Weights, vectors: int) -> bool:
    """Whether the compiled kernel is the faster way for this many vectors (K) a sample."""
    return weights.all.device.type == "cpu" and vectors * weights.left.shape[2] <= _KERNEL_MOST


class Ascent:
    """Adam ascent on the bounds of B samples: by torch operations here, the reference and the way on a GPU.

    Coordinates u and v are transposed, (B, R, K).

    Args:
        weights: changed in place.
        marginals: how the bound's second term is sampled.
        learning_rate: Adam's.
    """

    def __init__(self, weights: Weights, marginals: MarginalsName, learning_rate: float) -> None:
        self._weights, self._marginals = weights, MARGINALS[marginals]
        self._slopes = Weights((len(weights.left), weights.left.shape[1], weights.left.shape[2]), weights.all)
        weights.all.grad = self._slopes.all
        self._adam = torch.optim.Adam([weights.all], lr=learning_rate, maximize=True, fused=True)

    def run(self, u: Tensor, v: Tensor, orders: Tensor) -> None:
        """One step per row of `orders` (steps, K)."""
        for order in orders:
            slope = self._marginals.gradients(*self._parts(u, v), self._weights.head, order)
            self._slopes.left.copy_(torch.bmm(slope.p, u.mT))
            self._slopes.right.copy_(torch.bmm(slope.q, v.mT))
            self._slopes.bias.copy_(slope.p.sum(2))
            self._slopes.head.copy_(slope.w)
            self._adam.step()

    def judge(self, u: Tensor, v: Tensor, order: Tensor) -> tuple[Tensor, Tensor]:
        """The bound (B,), and its slopes in q = B v, (B, H, K), under one `order` (K,)."""
        found = self._marginals.gradients(*self._parts(u, v), self._weights.head, order)
        return found.bound, found.q

    def _parts(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        weights = self._weights
        return torch.baddbmm(weights.bias[..., None], weights.left, u), torch.bmm(weights.right, v)


class CompiledAscent(Ascent):
    """The same steps by the kernel of `kernels.py`, the batch shared among torch's number of threads."""

    def __init__(self, weights: Weights, marginals: MarginalsName, learning_rate: float) -> None:
        from uae_cli.mi import adam_kernel as kernels  # numba takes half a second to import

        self._weights, self._kernels, self._all_pairs = weights, kernels, marginals == "all_pairs"
        self._moments = [torch.zeros_like(weights.all).numpy() for _ in range(2)]
        self._constants = kernels.constants(self._moments[0].dtype, learning_rate)  # type: ignore[no-untyped-call]
        self._steps = 0

    def run(self, u: Tensor, v: Tensor, orders: Tensor) -> None:
        """See `Ascent.run`."""
        self._call(u, v, orders, learn=True)
        self._steps += len(orders)

    def judge(self, u: Tensor, v: Tensor, order: Tensor) -> tuple[Tensor, Tensor]:
        """See `Ascent.judge`."""
        return self._call(u, v, order[None], learn=False)

    def _call(self, u: Tensor, v: Tensor, orders: Tensor, *, learn: bool) -> tuple[Tensor, Tensor]:
        batch, hidden = self._weights.head.shape
        found = u.new_empty(batch), u.new_empty(batch, hidden, u.shape[2])
        weights, order = self._weights.all.numpy(), orders.contiguous().numpy()
        coordinates = [tensor.contiguous().numpy() for tensor in (u.mT, v.mT, u, v)]
        threads = min(torch.get_num_threads(), batch)

        def part(thread: int) -> None:
            own = slice(batch * thread // threads, batch * (thread + 1) // threads)
            self._kernels.ascend(
                weights[own],
                tuple(array[own] for array in self._moments),
                tuple(array[own] for array in coordinates),
                order,
                tuple(tensor.numpy()[own] for tensor in found),
                self._all_pairs,
                learn,
                self._steps,
                self._constants,
            )

        compiled = bool(self._kernels.ascend.signatures)
        with nullcontext() if compiled else said_if_slow(_COMPILING):
            if threads == 1:
                part(0)
            else:
                with ThreadPoolExecutor(threads) as pool:
                    list(pool.map(part, range(threads)))
        return found
