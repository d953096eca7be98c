"""One statistics network per sample, trained for all samples at once.

The network's first layers are linear, so on K fixed vectors it is a function of their coordinates in
the space they span. With G = U Uᵀ = L Lᵀ the rows of L (K × K) replace the vectors (K × D) during the
ascent, and what was learnt is carried back once: B ← B + ΔB' L⁻¹ V. The function class is unchanged.
Adam is not rotation-equivariant, so its path (not its optimum) differs from that in full space; its
moments stay in the coordinates, which turn slowly between two attack iterations.
"""

import torch
from torch import Tensor

from uae_cli.mi.bound import Marginals


class LinearLayer:
    """The linear map from one side's vectors to the hidden units, one per sample.

    Args:
        weights: (B, H, D) starting weights in full space.
        rank: K, the number of vectors; coordinates are used where K < D.
    """

    def __init__(self, weights: Tensor, rank: int) -> None:
        self.weights = weights
        self.reduced = rank < weights.shape[2]
        self.coefficients = weights.new_zeros(*weights.shape[:2], rank) if self.reduced else weights

    def enter(self, vectors: Tensor) -> Tensor:
        """Take up new vectors (B, K, D); returns their coordinates, transposed: (B, R, K)."""
        if not self.reduced:
            return vectors.mT
        self._vectors = vectors
        self._triangle = _cholesky(vectors @ vectors.mT)
        projected = torch.linalg.solve_triangular(self._triangle, vectors @ self.weights.mT, upper=False)
        self.coefficients.copy_(projected.mT)
        self._entered = self.coefficients.clone()
        return self._triangle.mT

    def leave(self) -> None:
        """Carry what the coefficients learnt since `enter` back to the full weights."""
        if not self.reduced:
            return
        change = (self.coefficients - self._entered).mT
        lifted = torch.linalg.solve_triangular(self._triangle.mT, change, upper=True)
        self.weights.baddbmm_(lifted.mT, self._vectors)


class StatisticsNetworks:
    """T(u, v) = w · relu(A u + B v + b) for B samples, with one Adam for all.

    Adam's step count is the same for every sample and its update is elementwise, so samples don't
    influence each other.

    Args:
        left, right: the linear maps of u and v.
        bias, head: b and w, (B, H).
        marginals: how the bound's second term is sampled.
        learning_rate: Adam's.
    """

    def __init__(
        self,
        *,
        left: LinearLayer,
        right: LinearLayer,
        bias: Tensor,
        head: Tensor,
        marginals: Marginals,
        learning_rate: float,
    ) -> None:
        self.left, self.right, self.bias, self.head = left, right, bias, head
        self._marginals = marginals
        self._parameters = [left.coefficients, right.coefficients, bias, head]
        self._adam = torch.optim.Adam(self._parameters, lr=learning_rate, maximize=True, fused=True)

    @torch.no_grad()
    def ascend(self, u: Tensor, v: Tensor, orders: Tensor) -> None:
        """One Adam step per row of `orders` (steps, K), on coordinates u and v (B, R, K)."""
        for order in orders:
            p = torch.baddbmm(self.bias[..., None], self.left.coefficients, u)
            q = torch.bmm(self.right.coefficients, v)
            slope = self._marginals.gradients(p, q, self.head, order)
            gradients = (torch.bmm(slope.p, u.mT), torch.bmm(slope.q, v.mT), slope.p.sum(2), slope.w)
            for parameter, gradient in zip(self._parameters, gradients, strict=True):
                parameter.grad = gradient
            self._adam.step()

    def bound(self, u: Tensor, vectors: Tensor, order: Tensor) -> Tensor:
        """The bound (B,), differentiable in `vectors` (B, K, D); u are coordinates (B, R, K)."""
        p = torch.baddbmm(self.bias[..., None], self.left.coefficients, u)
        q: Tensor = self.right.weights @ vectors.mT
        return self._marginals.bound(p, q, self.head, order)


def _cholesky(gram: Tensor) -> Tensor:
    """Lower triangle of G plus a ridge at rounding level: dead or equal feature maps make G singular."""
    trace = gram.diagonal(dim1=1, dim2=2).mean(1)
    epsilon = torch.finfo(gram.dtype).eps
    ridge = 32 * epsilon * gram.shape[1] * trace + torch.finfo(gram.dtype).tiny
    gram.diagonal(dim1=1, dim2=2).add_(ridge[:, None])
    triangle, _ = torch.linalg.cholesky_ex(gram)
    return triangle
