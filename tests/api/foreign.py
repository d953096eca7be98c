"""Models of other makes: what they answer with, and how they are called, differs."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass
class Answer:
    """As transformers and diffusers answer."""

    sample: Tensor
    code: Tensor


class ConvOf1d(nn.Module):
    """A 1-D convolutional autoencoder of signals (B, 1, L) that answers a dataclass."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv1d(1, 4, 3, padding=1), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(0.5)
        )
        self.decoder = nn.Conv1d(4, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Answer:
        code = self.encoder(x)
        return Answer(self.decoder(code), code)


class Functional(nn.Module):
    """Convolves without a layer, and answers a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.full((1, 1, 3, 3), 1 / 9))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"recon_x": nn.functional.conv2d(x, self.kernel, padding=1), "z": x.mean((1, 2, 3))}
