"""What closed forms are compared with."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor


@pytest.fixture
def bound_of() -> Callable[[str, Tensor, Tensor, Tensor, Tensor], Tensor]:
    """The bound (B,) of parts p and q (B, H, K) and head w (B, H), differentiable by autograd."""

    def bound(marginals: str, p: Tensor, q: Tensor, w: Tensor, order: Tensor) -> Tensor:
        k = p.shape[2]
        scores = torch.einsum("bhkl,bh->bkl", torch.relu(p[:, :, :, None] + q[:, :, None, :]), w)
        if marginals == "shuffle":
            product = scores[:, torch.arange(k), order]
        else:
            product = scores[:, ~torch.eye(k, dtype=torch.bool)]
        joint = scores.diagonal(dim1=1, dim2=2).mean(1)
        return joint - product.logsumexp(1) + math.log(product.shape[1])

    return bound
