"""One statistics network per sample, trained for all samples at once.

The network's first layers are linear, so on K fixed vectors it is a function of their coordinates in
the space they span. With G = U Uᵀ = L Lᵀ the rows of L (K × K) replace the vectors (K × D) during the
ascent, and what was learnt is carried back once: B ← B + ΔB' L⁻¹ V. The function class is unchanged.

Adam knows its coordinates: a step moves every weight by about its rate, so a vector's part of p by at most
rate · ‖v‖₁, which is less for a row of L than for the vector itself. Coordinates are therefore scaled, for
each sample once, to the vectors' own mean ‖·‖₁ (B ← B + s ΔB' L⁻¹ V with rows s·L). Without that, 20 steps
reached half of the bound that Adam reaches in full space on maps of 64 values, and a fifth on 784; with it,
as much (`tests/mi/test_coordinates.py`). The moments stay in the coordinates, which turn slowly between two
attack iterations.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.profiler import record_function

from uae_cli.errors import ConfigError
from uae_cli.mi.bound import Bound, BoundName, MarginalsName
from uae_cli.mi.weights import Weights, in_shares, start_of_networks

_KERNEL_MOST = 64 * 64  # values of a sample's vectors; above, a library's matrix products beat plain loops


class LinearLayer:
    """The linear map from one side's vectors to the hidden units, one per sample.

    Args:
        weights: (B, H, D) starting weights in full space.
        coefficients: (B, H, R) where the ascent works: R = K < D for reduced coordinates, else R = D
            and they are the weights.
    """

    def __init__(self, weights: Tensor, coefficients: Tensor) -> None:
        self._weights, self.coefficients = weights, coefficients
        self._scale: Tensor | None = None
        self.reduced = coefficients.shape[2] < weights.shape[2]
        if not self.reduced:
            coefficients.copy_(weights)

    @property
    def weights(self) -> Tensor:
        """(B, H, D) in full space, as of the last `leave`."""
        return self._weights if self.reduced else self.coefficients

    def enter(self, vectors: Tensor) -> Tensor:
        """Take up new vectors (B, K, D); returns their coordinates, transposed: (B, R, K)."""
        if not self.reduced:
            return vectors.mT
        self._vectors = vectors
        triangle = _cholesky(vectors @ vectors.mT)
        if self._scale is None:  # for good: Adam's moments are in these units
            self._scale = _reach(vectors, triangle)
        self._triangle = triangle.mul_(self._scale)
        # Weights first: for vectors that lie channels last, the other product takes nine times as long
        parts = self._weights @ vectors.mT
        self._entered = _solved(self._triangle.mT, parts, upper=True)
        self.coefficients.copy_(self._entered)
        return self._triangle.mT

    def leave(self) -> None:
        """Carry what the coefficients learnt since `enter` back to the full weights."""
        if not self.reduced or self._scale is None:
            return
        change = (self.coefficients - self._entered).mul_(self._scale.square())
        learnt = _solved(self._triangle, change, upper=False)
        self._weights.baddbmm_(learnt, self._vectors)

    def state_dict(self) -> dict[str, Any]:
        """What was carried back so far, and the coordinates' scale; coefficients are the networks'."""
        return {"weights": self._weights, "scale": self._scale}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self._weights, self._scale = state["weights"], state["scale"]


class StatisticsNetworks:
    """T(u, v) = w · relu(A u + B v + b) for B samples, trained by torch's operations.

    These are the reference, and the way on a GPU. Adam's step count is the same for every sample and its
    update is elementwise, so samples don't influence each other.

    Args:
        left, right: starting weights A and B, (B, H, D).
        bias, head: starting b and w, (B, H).
        vectors: K, the number of vectors a sample.
        bound: which one.
        marginals: how its second term is sampled.
        learning_rate: Adam's.

    Attributes:
        left, right: the linear layers of either side; what they `enter` is given to the other methods.
    """

    def __init__(
        self,
        *,
        left: Tensor,
        right: Tensor,
        bias: Tensor,
        head: Tensor,
        vectors: int,
        bound: BoundName = "donsker_varadhan",
        marginals: MarginalsName,
        learning_rate: float,
    ) -> None:
        batch, hidden, size = left.shape
        self._weights = weights = Weights((batch, hidden, min(vectors, size)), left)
        weights.bias.copy_(bias)
        weights.head.copy_(head)
        self.left, self.right = LinearLayer(left, weights.left), LinearLayer(right, weights.right)
        self._prepare(bound, marginals, learning_rate)

    def _prepare(self, bound: BoundName, marginals: MarginalsName, learning_rate: float) -> None:
        batch, hidden, rank = self._weights.left.shape
        self._bound = Bound.of(bound, marginals)
        self._slopes = Weights((batch, hidden, rank), self._weights.all)
        self._weights.all.grad = self._slopes.all
        self._adam = torch.optim.Adam([self._weights.all], lr=learning_rate, maximize=True, fused=True)

    @torch.no_grad()
    def ascend(self, u: Tensor, v: Tensor, orders: Tensor) -> None:
        """One Adam step per row of `orders` (steps, K), on coordinates (B, R, K)."""
        for order in orders:
            slope = self._bound.climbed.gradients(*self._parts(u, v), self._weights.head, order)
            self._slopes.left.copy_(torch.bmm(slope.p, u.mT))
            self._slopes.right.copy_(torch.bmm(slope.q, v.mT))
            self._slopes.bias.copy_(slope.p.sum(2))
            self._slopes.head.copy_(slope.w)
            self._adam.step()

    def bound(self, u: Tensor, v: Tensor, vectors: Tensor, order: Tensor) -> Tensor:
        """The bound (B,), differentiable in `vectors` (B, K, D), whose coordinates are v; after `leave`."""
        with torch.no_grad():
            found = self._bound.judged.gradients(*self._parts(u, v), self._weights.head, order)
        bound: Tensor = _KnownGradient.apply(vectors, found.bound, found.q, self.right.weights)
        return bound

    def state_dict(self) -> dict[str, Any]:
        """All that was learnt."""
        layers = {"left": self.left.state_dict(), "right": self.right.state_dict()}
        return layers | {"weights": self._weights.all, "optimizer": self._optimizer_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave; the left side has entered the same vectors as then."""
        self.left.load_state_dict(state["left"])
        self.right.load_state_dict(state["right"])
        self._weights.all.copy_(state["weights"])
        self._load_optimizer(state["optimizer"])

    def _optimizer_state(self) -> Any:
        return self._adam.state_dict()

    def _load_optimizer(self, state: Any) -> None:
        self._adam.load_state_dict(state)

    def _parts(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        weights = self._weights
        return torch.baddbmm(weights.bias[..., None], weights.left, u), torch.bmm(weights.right, v)


class CompiledNetworks(StatisticsNetworks):
    """The same by the kernel of `adam_kernel`, the batch shared among torch's number of threads.

    It knows one bound, Donsker and Varadhan's.
    """

    def _prepare(self, bound: BoundName, marginals: MarginalsName, learning_rate: float) -> None:  # noqa: ARG002
        from uae_cli.mi import adam_kernel  # numba takes half a second to import

        self._kernel, self._all_pairs = adam_kernel.ascend, marginals == "all_pairs"
        self._moments = [torch.zeros_like(self._weights.all) for _ in range(2)]
        dtype = self._moments[0].numpy().dtype
        self._constants = adam_kernel.constants(dtype, learning_rate)  # type: ignore[no-untyped-call]
        self._steps = 0

    @torch.no_grad()
    def ascend(self, u: Tensor, v: Tensor, orders: Tensor) -> None:
        """See `StatisticsNetworks.ascend`."""
        self._run(u, v, orders, learn=True)
        self._steps += len(orders)

    def bound(self, u: Tensor, v: Tensor, vectors: Tensor, order: Tensor) -> Tensor:
        """See `StatisticsNetworks.bound`."""
        with torch.no_grad():
            value, slopes = self._run(u, v, order[None], learn=False)
        bound: Tensor = _KnownGradient.apply(vectors, value, slopes, self.right.weights)
        return bound

    def _optimizer_state(self) -> Any:
        return {"moments": self._moments, "steps": self._steps}

    def _load_optimizer(self, state: Any) -> None:
        self._moments, self._steps = state["moments"], state["steps"]

    def _run(self, u: Tensor, v: Tensor, orders: Tensor, *, learn: bool) -> tuple[Tensor, Tensor]:
        """The kernel's steps; or its judgement, the bound (B,) and its slopes in q = B v, (B, H, K)."""
        batch, hidden = self._weights.head.shape
        value, slopes = u.new_empty(batch), u.new_empty(batch, hidden, u.shape[2])
        order = orders.contiguous().numpy()
        coordinates = tuple(tensor.contiguous() for tensor in (u.mT, v.mT, u, v))
        own = [self._weights.all, tuple(self._moments), coordinates, (value, slopes)]
        shared = (order, self._all_pairs, learn, self._steps, self._constants)
        in_shares(self._kernel, own, shared)
        return value, slopes


def initial_networks(
    vectors: Tensor,
    index: Tensor,
    *,
    hidden: int,
    seed: int,
    stream: str,
    marginals: MarginalsName,
    learning_rate: float,
    bound: BoundName = "donsker_varadhan",
    reduced: bool = True,
    compiled: bool | None = None,
) -> StatisticsNetworks:
    """Networks at their random start: torch's own of linear layers, ±1/√fan_in.

    Args:
        vectors: (B, K, D) that they will see the like of.
        index: (B,) int64, each sample's position in its dataset, which its network starts from.
        hidden: H.
        seed: the experiment's seed.
        stream: what the names of the random numbers begin with.
        marginals: see `StatisticsNetworks`.
        learning_rate: Adam's.
        bound: see `StatisticsNetworks`.
        reduced: whether to train in coordinates of the vectors' span. Not where vectors are drawn anew each
            time, whose coordinates would mix up Adam's moments.
        compiled: whether to train by the CPU kernel; None takes it where it is the faster way.

    Raises:
        ConfigError: the kernel is asked for elsewhere than on a CPU, or for another bound than its own.
    """
    _, count, size = vectors.shape
    known = count if reduced else size
    there = vectors.device.type == "cpu" and bound == "donsker_varadhan"
    if compiled and not there:
        raise ConfigError(
            "similarity.compiled = true: the kernel is for CPUs and bound=donsker_varadhan, and this is "
            f"{vectors.device} and {bound}; use null"
        )
    pays = there and known * min(known, size) <= _KERNEL_MOST
    start = start_of_networks(index, hidden=hidden, size=size, seed=seed, stream=stream, like=vectors)
    way = CompiledNetworks if (pays if compiled is None else compiled) else StatisticsNetworks
    return way(**start, vectors=known, bound=bound, marginals=marginals, learning_rate=learning_rate)


class _KnownGradient(torch.autograd.Function):
    """The bound of vectors v, with its gradient in closed form: slopes in q = B v, carried back by B."""

    @staticmethod
    def forward(ctx: Any, vectors: Tensor, bound: Tensor, slopes: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(slopes, weights)
        ctx.vectors_innermost = vectors.stride(1) == 1
        return bound

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None, None]:
        slopes, weights = ctx.saved_tensors
        with record_function("uae.mine"):
            scaled = slopes * upstream[:, None, None]
            # In the memory layout of the vectors (channels last or not), or autograd's sum would crawl
            if ctx.vectors_innermost:
                return torch.bmm(weights.mT, scaled).mT, None, None, None
            return torch.bmm(scaled.mT, weights), None, None, None


def _solved(triangle: Tensor, values: Tensor, *, upper: bool) -> Tensor:
    """X with X · triangle = values, (B, K, K) and (B, H, K)."""
    solved: Tensor = torch.linalg.solve_triangular(triangle, values, upper=upper, left=False)
    return solved


def _reach(vectors: Tensor, triangle: Tensor) -> Tensor:
    """How much farther an Adam step goes on the vectors than on their coordinates, (B, 1, 1)."""
    least = vectors.shape[1] ** -0.5  # no vectors have less; dead ones have no ratio at all
    ratio = vectors.abs().sum((1, 2)) / triangle.abs().sum((1, 2))
    return ratio.clamp_min_(least)[:, None, None]


def _cholesky(gram: Tensor) -> Tensor:
    """Lower triangle of G plus a ridge at rounding level: dead or equal feature maps make G singular."""
    trace = gram.diagonal(dim1=1, dim2=2).mean(1)
    epsilon = torch.finfo(gram.dtype).eps
    ridge = 32 * epsilon * gram.shape[1] * trace + torch.finfo(gram.dtype).tiny
    gram.diagonal(dim1=1, dim2=2).add_(ridge[:, None])
    triangle: Tensor = torch.linalg.cholesky_ex(gram).L
    return triangle
