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

from uae_cli.mi.adam import Ascent, CompiledAscent, Weights, kernel_pays
from uae_cli.mi.bound import MarginalsName
from uae_cli.randomness import uniform


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


class StatisticsNetworks:
    """T(u, v) = w · relu(A u + B v + b) for B samples.

    Adam's step count is the same for every sample and its update is elementwise, so samples don't
    influence each other.

    Args:
        left, right: starting weights A and B, (B, H, D).
        bias, head: starting b and w, (B, H).
        vectors: K, the number of vectors a sample.
        marginals: how the bound's second term is sampled.
        learning_rate: Adam's.
        compiled: whether to ascend by the CPU kernel; None takes it where it is the faster way.
    """

    def __init__(
        self,
        *,
        left: Tensor,
        right: Tensor,
        bias: Tensor,
        head: Tensor,
        vectors: int,
        marginals: MarginalsName,
        learning_rate: float,
        compiled: bool | None = None,
    ) -> None:
        batch, hidden, size = left.shape
        weights = Weights((batch, hidden, min(vectors, size)), left)
        weights.bias.copy_(bias)
        weights.head.copy_(head)
        self.left, self.right = LinearLayer(left, weights.left), LinearLayer(right, weights.right)
        by_kernel = kernel_pays(weights, vectors) if compiled is None else compiled
        way = CompiledAscent if by_kernel else Ascent
        self._ascent = way(weights, marginals, learning_rate)

    @torch.no_grad()
    def ascend(self, u: Tensor, v: Tensor, orders: Tensor) -> None:
        """One Adam step per row of `orders` (steps, K), on coordinates that the layers' `enter` gave."""
        self._ascent.run(u, v, orders)

    def bound(self, u: Tensor, v: Tensor, vectors: Tensor, order: Tensor) -> Tensor:
        """The bound (B,), differentiable in `vectors` (B, K, D), whose coordinates are v; after `leave`."""
        with torch.no_grad():
            value, slopes = self._ascent.judge(u, v, order)
        bound: Tensor = _KnownGradient.apply(vectors, value, slopes, self.right.weights)
        return bound


def begin_networks(
    vectors: Tensor,
    index: Tensor,
    *,
    hidden: int,
    seed: int,
    stream: str,
    redrawn: bool,
    marginals: MarginalsName,
    learning_rate: float,
) -> StatisticsNetworks:
    """Networks at their random start: torch's own of linear layers, ±1/√fan_in.

    Args:
        vectors: (B, K, D) that they will see the like of.
        index: (B,) int64, each sample's position in its dataset, which its network starts from.
        hidden: H.
        seed: the experiment's seed.
        stream: what the names of the random numbers begin with.
        redrawn: whether the vectors will be drawn anew each time; their coordinates would mix up Adam's
            moments, so the ascent is in full space.
        marginals: see `StatisticsNetworks`.
        learning_rate: Adam's.
    """
    _, count, size = vectors.shape

    def start(name: str, bound: float, *shape: int) -> Tensor:
        numbers = uniform(seed, f"{stream}{name}", index, torch.Size(shape).numel(), vectors.dtype)
        return numbers.mul_(2 * bound).sub_(bound).view(-1, *shape)

    entry = (2 * size) ** -0.5  # u and v enter one layer together
    return StatisticsNetworks(
        left=start("left", entry, hidden, size),
        right=start("right", entry, hidden, size),
        bias=start("bias", entry, hidden),
        head=start("head", hidden**-0.5, hidden),
        vectors=size if redrawn else count,
        marginals=marginals,
        learning_rate=learning_rate,
    )


class _KnownGradient(torch.autograd.Function):
    """The bound of vectors v, with its gradient in closed form: slopes in q = B v, carried back by B."""

    @staticmethod
    def forward(ctx: Any, vectors: Tensor, bound: Tensor, slopes: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(slopes, weights)
        ctx.vectors_innermost = vectors.stride(1) == 1
        return bound

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None, None]:
        slopes, weights = ctx.saved_tensors
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
