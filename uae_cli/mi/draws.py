"""Random sampling by its law: MINE on the K compressed pairs of (x, x + δ), without the compressing matrices.

For K Gaussian matrices M_k ∈ R^{D×d} with entries N(0, 1/D), the pairs (M_k x, M_k x') are independent draws
from N(0, G ⊗ I_D / D), G the Gram matrix of x and x'. With r₁₁ = ‖x‖, r₁₂ = x·x'/‖x‖, r₂₂ = √(‖x'‖² − r₁₂²)
and g, h ∈ R^{K×D} standard normal over √D, shared by all samples,

    u_k = r₁₁ g_k,    v_k = r₁₂ g_k + r₂₂ h_k

have the same law. So every sample's first layer is a product with the same g and h: 2·K·D numbers in
place of K·D·d, and three matrix products for a whole batch. The gradient through r is the mean, given
(u, v), of the one through the matrices. Left out is noise of mean zero: M_kᵀ ∂I/∂v_k has a part outside
the plane of x and x'.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.profiler import record_function

from uae_cli.errors import ConfigError
from uae_cli.mi.bound import Bound, BoundName, MarginalsName
from uae_cli.mi.weights import Weights, in_shares, start_of_networks
from uae_cli.randomness import generator

_TINY = 1e-12


@dataclass(frozen=True)
class Draws:
    """One drawing of g and h (D, K), and what standardising K vectors of D values takes, (K,) each."""

    g: Tensor
    h: Tensor
    variance_g: Tensor
    variance_h: Tensor
    covariance: Tensor
    standardize: bool

    @classmethod
    def at(
        cls, seed: int, iteration: int, like: Tensor, *, count: int, dimension: int, standardize: bool
    ) -> "Draws":
        """Those of an iteration, of the type and on the device of `like`; centred if standardised."""
        source = generator(seed, f"draws/{iteration}", like.device)
        both = like.new_empty(2, dimension, count).normal_(0, dimension**-0.5, generator=source)
        if standardize:
            both -= both.mean(1, keepdim=True)
        g, h = both
        return cls(g, h, g.square().mean(0), h.square().mean(0), (g * h).mean(0), standardize)

    def clean_side(self, x: Tensor) -> Tensor:
        """By how much g_k enters each u_k: (B, K), or (1, K) where standardising makes samples alike."""
        if self.standardize:
            alike: Tensor = self.variance_g.add(_TINY).rsqrt()[None]
            return alike
        lengths: Tensor = x.flatten(1).norm(dim=1, keepdim=True)
        return lengths.expand(-1, self.g.shape[1])

    def moved_side(self, x: Tensor, moved: Tensor) -> tuple[Tensor, Tensor]:
        """By how much g_k and h_k enter each v_k, (B, K) both, differentiable in `moved` (B, *shape)."""
        along, across = (r[:, None] for r in plane(x, moved))
        if not self.standardize:
            return along.expand(-1, self.g.shape[1]), across.expand(-1, self.g.shape[1])
        variance = along.square() * self.variance_g + across.square() * self.variance_h
        deviation = (variance + 2 * along * across * self.covariance + _TINY).sqrt()
        return along / deviation, across / deviation

    def pairs(self, x: Tensor, moved: Tensor) -> tuple[Tensor, Tensor]:
        """The vectors u and v themselves, (B, K, D) both, of samples (B, *shape)."""
        of_g, of_h = (side[..., None] for side in self.moved_side(x, moved))
        u = self.clean_side(x)[..., None] * self.g.T
        return u.expand(len(x), -1, -1), of_g * self.g.T + of_h * self.h.T


def plane(x: Tensor, moved: Tensor) -> tuple[Tensor, Tensor]:
    """r₁₂ and r₂₂ (B,) of pairs (B, *shape), differentiable in `moved`; of a black x, all of x' is across.

    r₂₂ is the norm of what is left of x' without its part along x: a difference of squares would cancel. At
    δ = 0, where it has no gradient, that is 0.
    """
    x, moved = x.flatten(1), moved.flatten(1)
    squared, product = ((x * other).sum(1) for other in (x, moved))
    squared = squared.clamp_min(_TINY**2)
    rest = torch.addcmul(moved, x, (product / squared)[:, None], value=-1)
    return product / squared.sqrt(), rest.norm(dim=1).clamp_min(_TINY)


class DrawnNetworks:
    """T(u, v) = w · relu(A u + B v + b) of B samples, on draws that all of them share.

    With Donsker and Varadhan's bound and shuffled marginals on a CPU, what lies between the matrix products
    is one compiled pass a sample.

    Args:
        like: (B, *shape) samples; gives number, type and device.
        index: (B,) int64, each sample's position in its dataset; its network starts from it.
        hidden: H.
        size: D.
        bound: which one.
        marginals: how its second term is sampled.
        learning_rate: Adam's.
        seed: the experiment's.
        compiled: whether to use the kernel; None takes it where there is one.

    Raises:
        ConfigError: the kernel is asked for where there is none.
    """

    def __init__(
        self,
        like: Tensor,
        index: Tensor,
        *,
        hidden: int,
        size: int,
        bound: BoundName = "donsker_varadhan",
        marginals: MarginalsName,
        learning_rate: float,
        seed: int,
        compiled: bool | None = None,
    ) -> None:
        shape = len(index), hidden, size
        self._weights, self._slopes = Weights(shape, like), Weights(shape, like)
        start = start_of_networks(index, hidden=hidden, size=size, seed=seed, stream="mine/", like=like)
        for name, values in start.items():
            getattr(self._weights, name).copy_(values)
        self._weights.all.grad = self._slopes.all
        self._adam = torch.optim.Adam([self._weights.all], lr=learning_rate, maximize=True, fused=True)
        self._bound = Bound.of(bound, marginals)
        there = (like.device.type, bound, marginals) == ("cpu", "donsker_varadhan", "shuffle")
        if compiled and not there:
            raise ConfigError(
                "similarity.compiled = true: of drawn pairs the kernel is for CPUs, bound=donsker_varadhan "
                f"and marginals=shuffle, and this is {like.device}, {bound} and {marginals}; use null"
            )
        self._gradients = self._compiled if there and compiled is not False else self._by_torch

    def ascend(self, draws: Draws, u: Tensor, of_g: Tensor, of_h: Tensor, orders: Tensor) -> None:
        """One Adam step per row of `orders` (steps, K); the others as `Draws` tells them of either side."""
        slopes = self._slopes
        u, of_g, of_h = (side.expand(len(of_g), -1).contiguous() for side in (u, of_g, of_h))
        for order in orders:
            p, from_g, from_h = self._gradients(draws, u, of_g, of_h, order)
            slopes.left.copy_(p @ draws.g.T)
            slopes.right.copy_((from_g @ draws.g.T).add_(from_h @ draws.h.T))
            self._adam.step()

    def judge(
        self, draws: Draws, u: Tensor, of_g: Tensor, of_h: Tensor, order: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The bound (B,) and its slopes in `of_g` and `of_h`, (B, K) both."""
        from_g, from_h, p, q = self._parts(draws, u, of_g, of_h)
        found = self._bound.judged.gradients(p, q, self._weights.head, order)
        return found.bound, (found.q * from_g).sum(1), (found.q * from_h).sum(1)

    def state_dict(self) -> dict[str, Any]:
        """All that was learnt."""
        return {"weights": self._weights.all, "adam": self._adam.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self._weights.all.copy_(state["weights"])
        self._adam.load_state_dict(state["adam"])

    def _parts(self, draws: Draws, u: Tensor, of_g: Tensor, of_h: Tensor) -> tuple[Tensor, ...]:
        """B g and B h, and p and q made of them, (B, H, K) each."""
        weights = self._weights
        from_g, from_h = weights.right @ draws.g, weights.right @ draws.h
        p = (weights.left @ draws.g).mul_(u[:, None]).add_(weights.bias[..., None])
        return from_g, from_h, p, of_g[:, None] * from_g + of_h[:, None] * from_h

    def _by_torch(
        self, draws: Draws, u: Tensor, of_g: Tensor, of_h: Tensor, order: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Slopes in A g, B g and B h, (B, H, K) each; those of bias and head are put in their place."""
        _, _, p, q = self._parts(draws, u, of_g, of_h)
        slope = self._bound.climbed.gradients(p, q, self._weights.head, order)
        self._slopes.bias.copy_(slope.p.sum(2))
        self._slopes.head.copy_(slope.w)
        return slope.p * u[:, None], slope.q * of_g[:, None], slope.q * of_h[:, None]

    def _compiled(
        self, draws: Draws, u: Tensor, of_g: Tensor, of_h: Tensor, order: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As `_by_torch`."""
        from uae_cli.mi import adam_kernel  # numba takes half a second to import

        weights, slopes = self._weights, self._slopes
        p, from_g, from_h = weights.left @ draws.g, weights.right @ draws.g, weights.right @ draws.h
        shared = order.numpy(), *adam_kernel.series_of(p.numpy().dtype)
        head, bias = weights.head.contiguous(), weights.bias.contiguous()  # columns of one tensor
        own = [p, from_g, from_h, head, bias, u, of_g, of_h, slopes.bias, slopes.head]
        in_shares(adam_kernel.mixed_slopes, own, shared)
        return p, from_g, from_h


class JudgedDraws(torch.autograd.Function):
    """The bound as a function of the moved side's mixture, with its gradient in closed form; once."""

    @staticmethod
    def forward(ctx: Any, of_g: Tensor, of_h: Tensor, bound: Tensor, *slopes: Tensor) -> Tensor:  # noqa: ARG004
        """`bound` (B,), whose `slopes` in `of_g` and `of_h` (B, K) are known."""
        ctx.save_for_backward(*slopes)
        return bound.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        """See `forward`."""
        with record_function("uae.mine"):
            of_g, of_h = ctx.saved_tensors
            return of_g * upstream[:, None], of_h * upstream[:, None], None, None, None
