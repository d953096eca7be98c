"""The Donsker–Varadhan bound of K paired vectors, its two marginals, and their closed-form gradients.

The statistics network is T(u, v) = w · relu(A u + B v + b). Everything here sees it through the parts
p = A u + b and q = B v, so nothing depends on the dimension of u and v (paper §3.1, §6.2).

Shapes: p, q are (B, H, K) for B samples, H hidden units and K vectors; w is (B, H); bounds are (B,), in
nats.
"""

import math
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor

MarginalsName = Literal["all_pairs", "shuffle"]

_threshold_backward = torch.ops.aten.threshold_backward.default


class PartGradients(NamedTuple):
    """The bound (B,) and its gradients with respect to p and q (B, H, K) and w (B, H)."""

    bound: Tensor
    p: Tensor
    q: Tensor
    w: Tensor


class Marginals(Protocol):
    """How the product of the marginals, the bound's second term, is sampled."""

    def gradients(self, p: Tensor, q: Tensor, w: Tensor, order: Tensor) -> PartGradients:
        """The bound and the gradients of its sum over the batch, without autograd.

        The bound is mean_k T(u_k, v_k) − log mean exp T over the product of the marginals, (B,).
        """
        ...


class AllPairs:
    """Every pair (u_k, v_l) with k ≠ l: K·(K−1) terms, and no randomness; `order` is ignored."""

    def gradients(self, p: Tensor, q: Tensor, w: Tensor, order: Tensor) -> PartGradients:  # noqa: ARG002
        """See `Marginals.gradients`."""
        batch, hidden, k = p.shape
        relu = torch.relu(p[:, :, :, None] + q[:, :, None, :])  # (B, H, K, K)
        scores = torch.bmm(w[:, None], relu.view(batch, hidden, k * k)).view(batch, k, k)
        joint = scores.diagonal(dim1=1, dim2=2).mean(1)
        eye = torch.eye(k, dtype=torch.bool, device=p.device)
        product = scores.masked_fill(eye, -math.inf).view(batch, k * k)
        normaliser = product.logsumexp(1, keepdim=True)
        # ∂bound/∂scores: 1/K on the diagonal, minus a softmax off it
        slope = (product - normaliser).exp_().neg_().view(batch, k, k)
        slope.diagonal(dim1=1, dim2=2).fill_(1 / k)
        active = _threshold_backward(slope[:, None].expand_as(relu), relu, 0)
        return PartGradients(
            bound=joint - normaliser[:, 0] + math.log(k * (k - 1)),
            p=active.sum(3).mul_(w[..., None]),
            q=active.sum(2).mul_(w[..., None]),
            w=torch.bmm(relu.view(batch, hidden, k * k), slope.view(batch, k * k, 1)).squeeze(2),
        )


class Shuffle:
    """The K pairs (u_k, v_π(k)); `order` is the permutation π, (K,) int64."""

    def gradients(self, p: Tensor, q: Tensor, w: Tensor, order: Tensor) -> PartGradients:
        """See `Marginals.gradients`."""
        k = p.shape[2]
        joint = torch.relu(p + q)
        product = torch.relu(p + _reordered(q, order))
        scores = torch.bmm(w[:, None], product)  # (B, 1, K)
        normaliser = scores.logsumexp(2, keepdim=True)
        slope = (scores - normaliser).exp_().neg_()
        from_product = _threshold_backward(slope.expand_as(product), product, 0)
        from_joint = _threshold_backward(joint.new_full((), 1 / k).expand_as(joint), joint, 0)
        inverse = torch.empty_like(order)
        inverse[order] = torch.arange(k, device=order.device)
        paired = torch.bmm(w[:, None], joint).mean((1, 2))
        return PartGradients(
            bound=paired - normaliser[:, 0, 0] + math.log(k),
            p=(from_joint + from_product).mul_(w[..., None]),
            q=(from_joint + _reordered(from_product, inverse)).mul_(w[..., None]),
            w=joint.mean(2) + torch.bmm(product, slope.mT).squeeze(2),
        )


MARGINALS: dict[MarginalsName, Marginals] = {"all_pairs": AllPairs(), "shuffle": Shuffle()}


def _reordered(parts: Tensor, order: Tensor) -> Tensor:
    """`parts[..., order]`, which takes seven times as long on a CPU."""
    return parts.flatten(0, 1).index_select(1, order).view(parts.shape)
