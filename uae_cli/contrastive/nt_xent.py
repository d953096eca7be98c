"""The normalised, temperature-scaled cross-entropy loss of SimCLR (Chen et al. 2020, Eq. 1)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from uae_cli.errors import ConfigError


def nt_xent(z: Tensor, temperature: float) -> Tensor:
    """Mean loss of a training batch: every view against all others.

    Args:
        z: (2B, P) projections; rows 2k and 2k + 1 are the two views of sample k.
        temperature: τ > 0.

    Returns:
        A scalar, at least 0.

    Raises:
        ConfigError: τ ≤ 0.
    """
    return per_sample_nt_xent(z[None], temperature)[0]


def per_sample_nt_xent(z: Tensor, temperature: float) -> Tensor:
    """Loss of each sample alone, over its own views: ℓ of the attack's criterion (the authors' program).

    The positives are views 2k and 2k + 1, the negatives the sample's other views.

    Args:
        z: (B, V, P) projections; V even, 100 in the paper's experiment.
        temperature: τ > 0.

    Returns:
        (B,), each at least 0, the mean over a sample's V views; memory (B, V, V).

    Raises:
        ConfigError: τ ≤ 0.
        ValueError: V is odd.
    """
    samples, views, _ = z.shape
    if temperature <= 0:
        raise ConfigError(f"temperature = {temperature}: must be above 0; SimCLR's is 0.5")
    if views % 2:
        raise ValueError(f"views come in pairs, but there are {views}")
    z = F.normalize(z, dim=-1)
    itself = torch.eye(views, dtype=torch.bool, device=z.device)
    logits = (z @ z.mT / temperature).masked_fill(itself, -torch.inf)
    partner = torch.arange(views, device=z.device) ^ 1
    losses = F.cross_entropy(logits.flatten(0, 1), partner.repeat(samples), reduction="none")
    return losses.view(samples, views).mean(1)
