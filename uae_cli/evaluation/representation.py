"""What a frozen encoder makes of a dataset: the input of every check of a learned representation."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from uae_cli.datasets import Dataset


@dataclass(frozen=True)
class Representation:
    """Features of training and test samples, with their labels, all on one device.

    Attributes:
        train: (N, F).
        y_train: (N,) int64.
        test: (M, F).
        y_test: (M,) int64.
    """

    train: Tensor
    y_train: Tensor
    test: Tensor
    y_test: Tensor

    @property
    def classes(self) -> int:
        """Number of classes, as far as the labels in use tell."""
        return 1 + int(max(self.y_train.max(), self.y_test.max()))


def represent(encoder: nn.Module, data: Dataset, *, batch_size: int) -> Representation:
    """Put a dataset through (B, C, H, W) → (B, F) `encoder`, in evaluation mode and without gradients.

    The statistics of batch normalisation are used and not touched: updating them on labelled data would
    flatter the representation. The encoder is left in the mode it came in.
    """
    device = next(encoder.parameters()).device
    was_training = encoder.training
    encoder.eval()
    try:
        train, test = (_features(encoder, x, batch_size, device) for x in (data.x_train, data.x_test))
    finally:
        encoder.train(was_training)
    return Representation(train, data.y_train.to(device), test, data.y_test.to(device))


@torch.no_grad()
def _features(encoder: nn.Module, x: Tensor, batch_size: int, device: torch.device) -> Tensor:
    return torch.cat([encoder(batch.to(device)) for batch in x.split(batch_size)])
