"""Arms: what the model is retrained on beside the training samples (paper §4.4, §6.10).

Every arm but `original` doubles the data: extra sample i belongs to training sample i, so that all of
them are compute-matched to `replicate`, which lists the samples twice.
"""

from dataclasses import dataclass as plain_dataclass
from dataclasses import field
from typing import Protocol, runtime_checkable

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from uae_cli.attacks.similarities import Similarity
from uae_cli.randomness import generator
from uae_cli.settings import STRICT, Count, Positive

_AT_ONCE = 4096  # samples bisected together, so that memory doesn't grow with the dataset


@plain_dataclass(frozen=True)
class Extra:
    """The extra samples of one draw.

    Attributes:
        x: (N, *shape) in [0, 1].
        success: (N,) bool, whether an attack kept an iterate; None for arms that don't attack.
        similarity: (N,) S of the iterates kept, NaN elsewhere; None likewise.
        seconds: spent on making them.
        trace: f, S and c per iteration, each (N, T); empty for arms that don't attack.
    """

    x: Tensor
    success: Tensor | None = None
    similarity: Tensor | None = None
    seconds: float = 0.0
    trace: dict[str, Tensor] = field(default_factory=dict)


class Workshop(Protocol):
    """What an arm may ask for."""

    x: Tensor
    seed: int

    def attacked(self, arm: str, similarity: Similarity) -> Extra:
        """Adversarial examples of the original model (a cached stage)."""
        ...

    def extra(self, arm: str) -> Extra:
        """The first draw of another arm."""
        ...


@runtime_checkable
class Arm(Protocol):
    """Settings of an arm; `draws` is how often its randomness is drawn anew within one seed."""

    draws: int

    def make(self, name: str, shop: Workshop, draw: int) -> Extra:
        """The extra samples of this draw."""
        ...


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Replicate:
    """The samples once more: the same optimiser steps as every other arm, and nothing new."""

    draws: Count = 1

    def make(self, name: str, shop: Workshop, draw: int) -> Extra:  # noqa: ARG002
        """See `Arm.make`."""
        return Extra(shop.x)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Gaussian:
    """Gaussian augmentation: x + N(0, σ²), clipped to [0, 1].

    Attributes:
        sigma: σ > 0, in units of the [0, 1] range.
        draws: independent noise draws, each retrained on; the paper gives their spread.
    """

    sigma: Positive
    draws: Count

    def make(self, name: str, shop: Workshop, draw: int) -> Extra:
        """See `Arm.make`."""
        noise = _normal(shop, f"{name}/{draw}")
        return Extra((shop.x + self.sigma * noise).clamp_(0, 1))


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MatchedNoise:
    """Random noise of the same size: every sample's ‖δ‖₂ is that of its adversarial example.

    Attributes:
        of: the arm whose perturbations are matched.
        draws: independent draws.
    """

    of: str
    draws: Count

    def make(self, name: str, shop: Workshop, draw: int) -> Extra:
        """See `Arm.make`."""
        wanted = (shop.extra(self.of).x - shop.x).flatten(1).norm(dim=1)
        noise = _normal(shop, f"{name}/{draw}")
        parts = zip(shop.x.split(_AT_ONCE), noise.split(_AT_ONCE), wanted.split(_AT_ONCE), strict=True)
        return Extra(torch.cat([_noise_of_norm(*part) for part in parts]))


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Adversarial:
    """Unsupervised adversarial examples of the original model.

    Attributes:
        similarity: what the solver optimises beside the criterion.
    """

    similarity: Similarity
    draws: Count = 1

    def make(self, name: str, shop: Workshop, draw: int) -> Extra:  # noqa: ARG002
        """See `Arm.make`."""
        return shop.attacked(name, self.similarity)


def _normal(shop: Workshop, stream: str) -> Tensor:
    """Standard normal numbers of the samples' shape."""
    source = generator(shop.seed, stream, torch.device("cpu"))
    return torch.randn(shop.x.shape, generator=source, dtype=shop.x.dtype)


def _noise_of_norm(x: Tensor, direction: Tensor, wanted: Tensor) -> Tensor:
    """X + s·direction clipped to [0, 1], with s found by bisection so that ‖δ‖₂ = `wanted` (N,).

    Clipping shortens a perturbation, so a closed form would fall short. The norm grows with s. Where
    the box leaves no room for the wanted norm, the largest s tried is used.
    """
    low = torch.zeros_like(wanted)
    high = wanted / direction.flatten(1).norm(dim=1).clamp_min(1e-12)
    for _ in range(20):
        short = _clipped_norm(x, direction, high) < wanted
        if not bool(short.any()):
            break
        high = torch.where(short, 2 * high, high)
    for _ in range(24):
        middle = (low + high) / 2
        short = _clipped_norm(x, direction, middle) < wanted
        low, high = torch.where(short, middle, low), torch.where(short, high, middle)
    return _moved(x, direction, high)


def _moved(x: Tensor, direction: Tensor, scale: Tensor) -> Tensor:
    return (x + scale.view(-1, *[1] * (x.ndim - 1)) * direction).clamp_(0, 1)


def _clipped_norm(x: Tensor, direction: Tensor, scale: Tensor) -> Tensor:
    norm: Tensor = (_moved(x, direction, scale) - x).flatten(1).norm(dim=1)
    return norm
