"""Samples, batches of them, and what belongs to each sample."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Clean samples on the model's device.

    Attributes:
        x: (B, *shape) in [0, 1].
        index: (B,) int64, each sample's position in its dataset; its randomness comes from it.
        seed: the experiment's seed.
        labels: (B,) int64 classes; None wherever the attack is unsupervised.
        row: (B,) int64, each sample's position among those attacked, where that is another one: groups of
            coupled samples are of neighbours there.
    """

    x: Tensor
    index: Tensor
    seed: int
    labels: Tensor | None = None
    row: Tensor | None = None

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class AttackInput:
    """All samples of an attack, wherever they lie, to be put on a device batch by batch.

    Attributes:
        x: (N, *shape) in [0, 1].
        labels: (N,) int64 classes; None wherever the attack is unsupervised.
        index: (N,) int64, their positions in the dataset they were chosen from; None for 0, 1, ….
        seed: the experiment's seed.
        device: of the batches.
    """

    x: Tensor
    labels: Tensor | None
    index: Tensor | None
    seed: int
    device: torch.device

    def positions(self, rows: Tensor) -> Tensor:
        """Where these rows (B,) of `x` stand in the dataset."""
        return rows if self.index is None else self.index[rows]

    def batch(self, rows: Tensor) -> Batch:
        """These rows (B,) of `x`."""
        labels = None if self.labels is None else self.labels[rows].to(self.device)
        x, index = self.x[rows].to(self.device), self.positions(rows).to(self.device)
        return Batch(x, index, self.seed, labels, rows.to(self.device))


def per_sample(values: Tensor, like: Tensor) -> Tensor:
    """One value per sample, (B,), as (B, 1, …, 1): it goes with all values of samples `like` (B, *shape)."""
    return values.view(-1, *[1] * (like.ndim - 1))
