"""Bounds on the mutual information of K paired vectors, and their closed-form gradients.

The statistics network is T(u, v) = w · relu(A u + B v + b). Everything here sees it through the parts
p = A u + b and q = B v, so nothing depends on the dimension of u and v (paper §3.1, §6.2). A bound is made of
the scores T of the joint's pairs (u_k, v_k) and of pairs from the product of the marginals (u_k, v_l):

- Donsker–Varadhan, the paper's: mean_k T(u_k, v_k) − log mean exp T over the product. Climbed on the very
  pairs that it is then taken of, it has no ceiling.
- InfoNCE (van den Oord et al. 2018): mean_k [T(u_k, v_k) − log mean_l exp T(u_k, v_l)], never above ln K.
- SMILE (Song and Ermon 2020): Donsker–Varadhan with the product's scores clipped to ±5, of a network that
  climbs the Jensen–Shannon bound −mean softplus(−T) − mean softplus(T). (Climbing the clipped bound itself
  would raise the joint's scores without end.) Less variance; no ceiling either: the joint isn't clipped.

Only the first has a compiled kernel. The others cost 3.5 times as much on 16 maps of 784 values; of 500
random vectors SMILE 1.5 times, and InfoNCE, which needs all 250,000 pairs where the others take one order,
190 times (16 s a sample on one core, 40 iterations of 20 steps): take similarity.sampling.count=100 or fewer.
What they can tell and what not, see `tests/mi/test_known_information.py`.

Shapes: p, q are (B, H, K) for B samples, H hidden units and K vectors; w is (B, H); bounds are (B,), in
nats.
"""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

BoundName = Literal["donsker_varadhan", "infonce", "smile"]
MarginalsName = Literal["all_pairs", "shuffle"]

_CLIP = 5.0  # τ of SMILE, the middle one of its authors' choices 1, 5 and 10

_threshold_backward = torch.ops.aten.threshold_backward.default


class PartGradients(NamedTuple):
    """The bound (B,) and its gradients with respect to p and q (B, H, K) and w (B, H)."""

    bound: Tensor
    p: Tensor
    q: Tensor
    w: Tensor


class Marginals(Protocol):
    """How the product of the marginals, the bound's second term, is sampled, and the bound."""

    def gradients(self, p: Tensor, q: Tensor, w: Tensor, order: Tensor) -> PartGradients:
        """The bound and the gradients of its sum over the batch, without autograd."""
        ...


class Scored(NamedTuple):
    """A bound (B,) and its slopes in the scores of the joint (B, K) and of the product (B, M)."""

    bound: Tensor
    joint: Tensor
    product: Tensor


Rule = Callable[[Tensor, Tensor], Scored]  # of the scores of the joint (B, K) and of the product (B, M)


def donsker_varadhan(joint: Tensor, product: Tensor) -> Scored:
    """Mean T − log mean exp T."""
    normaliser = product.logsumexp(1, keepdim=True)
    bound = joint.mean(1) - normaliser[:, 0] + math.log(product.shape[1])
    slope = (product - normaliser).exp_().neg_()
    return Scored(bound, joint.new_full((), 1 / joint.shape[1]).expand_as(joint), slope)


def clipped(joint: Tensor, product: Tensor) -> Scored:
    """`donsker_varadhan` with the product's scores clipped to ±5; no slope where one is."""
    found = donsker_varadhan(joint, product.clamp(-_CLIP, _CLIP))
    return found._replace(product=found.product.mul_(product.abs() < _CLIP))


def jensen_shannon(joint: Tensor, product: Tensor) -> Scored:
    """−mean softplus(−T) − mean softplus(T): largest where exp T is the density ratio."""
    bound = -F.softplus(-joint).mean(1) - F.softplus(product).mean(1)
    slopes = joint.neg().sigmoid_().div_(joint.shape[1]), product.sigmoid().div_(-product.shape[1])
    return Scored(bound, *slopes)


class AllPairs:
    """Every pair (u_k, v_l) with k ≠ l: K·(K−1) terms, and no randomness; `order` is ignored."""

    def __init__(self, rule: Rule = donsker_varadhan) -> None:
        self._rule = rule

    def gradients(self, p: Tensor, q: Tensor, w: Tensor, order: Tensor) -> PartGradients:  # noqa: ARG002
        """See `Marginals.gradients`."""
        batch, hidden, k = p.shape
        relu = torch.relu(p[:, :, :, None] + q[:, :, None, :])  # (B, H, K, K)
        scores = torch.bmm(w[:, None], relu.view(batch, hidden, k * k)).view(batch, k, k)
        bound, slope = self._of_scores(scores)
        active = _threshold_backward(slope[:, None].expand_as(relu), relu, 0)
        return PartGradients(
            bound=bound,
            p=active.sum(3).mul_(w[..., None]),
            q=active.sum(2).mul_(w[..., None]),
            w=torch.bmm(relu.view(batch, hidden, k * k), slope.view(batch, k * k, 1)).squeeze(2),
        )

    def _of_scores(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """The bound (B,) and its slopes in the scores (B, K, K)."""
        batch, k, _ = scores.shape
        joint = scores.diagonal(dim1=1, dim2=2)
        found = self._rule(joint, _off_diagonal(scores.view(batch, k * k), k).reshape(batch, -1))
        slope = torch.empty_like(scores)
        _off_diagonal(slope.view(batch, k * k), k).copy_(found.product.view(batch, k - 1, k))
        slope.diagonal(dim1=1, dim2=2).copy_(found.joint)
        return found.bound, slope


class InfoNce(AllPairs):
    """InfoNCE, of every row of K scores; the joint's is among them, whence the ceiling of ln K."""

    def _of_scores(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        k = scores.shape[1]
        slope = scores.softmax(2).neg_()
        slope.diagonal(dim1=1, dim2=2).add_(1)
        joint = scores.diagonal(dim1=1, dim2=2).mean(1)
        return joint - scores.logsumexp(2).mean(1) + math.log(k), slope.div_(k)


class Shuffle:
    """The K pairs (u_k, v_π(k)); `order` is the permutation π, (K,) int64."""

    def __init__(self, rule: Rule = donsker_varadhan) -> None:
        self._rule = rule

    def gradients(self, p: Tensor, q: Tensor, w: Tensor, order: Tensor) -> PartGradients:
        """See `Marginals.gradients`."""
        k = p.shape[2]
        joint, product = torch.relu(p + q), torch.relu(p + _reordered(q, order))
        found = self._rule(*(torch.bmm(w[:, None], part)[:, 0] for part in (joint, product)))
        of_joint, of_product = found.joint[:, None], found.product[:, None]
        from_product = _threshold_backward(of_product.expand_as(product), product, 0)
        from_joint = _threshold_backward(of_joint.expand_as(joint), joint, 0)
        inverse = torch.empty_like(order)
        inverse[order] = torch.arange(k, device=order.device)
        return PartGradients(
            bound=found.bound,
            p=(from_joint + from_product).mul_(w[..., None]),
            q=(from_joint + _reordered(from_product, inverse)).mul_(w[..., None]),
            w=(torch.bmm(joint, of_joint.mT) + torch.bmm(product, of_product.mT)).squeeze(2),
        )


class Bound(NamedTuple):
    """What a network climbs, and what it is judged by: the same, but for SMILE."""

    climbed: Marginals
    judged: Marginals

    @classmethod
    def of(cls, name: BoundName, marginals: MarginalsName) -> "Bound":
        """The bound of this name; InfoNCE is of all pairs whatever the marginals."""
        if name == "infonce":
            return cls(InfoNce(), InfoNce())
        sampled = AllPairs if marginals == "all_pairs" else Shuffle
        if name == "smile":
            return cls(sampled(jensen_shannon), sampled(clipped))
        return cls(sampled(donsker_varadhan), sampled(donsker_varadhan))


def _off_diagonal(flat: Tensor, k: int) -> Tensor:
    """A view (B, K−1, K) of K × K scores in a row (B, K²): of each K + 1 after the first, the last is out."""
    return flat[:, 1:].view(-1, k - 1, k + 1)[:, :, :-1]


def _reordered(parts: Tensor, order: Tensor) -> Tensor:
    """`parts[..., order]`, which takes seven times as long on a CPU."""
    return parts.flatten(0, 1).index_select(1, order).view(parts.shape)
