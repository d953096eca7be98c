"""What closed forms are compared with."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F


@pytest.fixture
def bound_of() -> Callable[[str, Tensor, Tensor, Tensor, Tensor], Tensor]:
    """The bound (B,) of parts p and q (B, H, K) and head w (B, H), differentiable by autograd."""

    def bound(marginals: str, p: Tensor, q: Tensor, w: Tensor, order: Tensor) -> Tensor:
        k = p.shape[2]
        scores = torch.einsum("bhkl,bh->bkl", torch.relu(p[:, :, :, None] + q[:, :, None, :]), w)
        joint = scores.diagonal(dim1=1, dim2=2)
        if marginals == "infonce":
            return (joint - scores.logsumexp(2) + math.log(k)).mean(1)
        if marginals.endswith("shuffle"):
            product = scores[:, torch.arange(k), order]
        else:
            product = scores[:, ~torch.eye(k, dtype=torch.bool)]
        if marginals.startswith("jensen_shannon"):
            return F.logsigmoid(joint).mean(1) + F.logsigmoid(-product).mean(1)
        product = product.clamp(-5, 5) if marginals.startswith("smile") else product
        return joint.mean(1) - product.logsumexp(1) + math.log(product.shape[1])

    return bound
