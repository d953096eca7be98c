"""Samples that are attacked, and what belongs to each of them."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Samples:
    """Clean samples: a batch on the model's device, or all of a dataset's, wherever they lie.

    Attributes:
        x: (B, *shape) in [0, 1].
        index: (B,) int64, each sample's position in its dataset; its randomness comes from it.
        seed: of everything random in an attack on them.
        labels: (B,) int64 classes; None wherever the attack is unsupervised.
    """

    x: Tensor
    index: Tensor
    seed: int
    labels: Tensor | None = None

    @classmethod
    def first(cls, x: Tensor, *, seed: int, labels: Tensor | None = None) -> "Samples":
        """Samples (B, *shape) that stand at 0, 1, … of their dataset."""
        return cls(x, torch.arange(len(x), device=x.device), seed, labels)

    def __len__(self) -> int:
        return len(self.x)

    def rows(self, rows: Tensor) -> "Samples":
        """These rows (n,) int64 of them."""
        return Samples(
            self.x[rows], self.index[rows], self.seed, None if self.labels is None else self.labels[rows]
        )

    def to(self, device: torch.device) -> "Samples":
        """The same on a device."""
        labels = None if self.labels is None else self.labels.to(device)
        return Samples(self.x.to(device), self.index.to(device), self.seed, labels)


def per_sample(values: Tensor, like: Tensor) -> Tensor:
    """One value per sample, (B,), as (B, 1, …, 1): it goes with all values of samples `like` (B, *shape)."""
    return values.view(-1, *[1] * (like.ndim - 1))
