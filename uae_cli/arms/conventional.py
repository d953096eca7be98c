"""Arms without an attack: replicates, noise and geometric augmentation (paper §4.4, §6.12, Table 5)."""

from typing import Annotated, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from uae_cli.arms.base import ArmInputs, ExtraSamples, Transform
from uae_cli.attacks import per_sample
from uae_cli.errors import ConfigError
from uae_cli.randomness import generator, uniform
from uae_cli.settings import STRICT, Count, Positive

AT_ONCE = 4096  # samples turned or bisected together, so that memory doesn't grow with the dataset

Degrees = Annotated[float, Field(gt=0, le=180)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Replicate:
    """The samples once more: the same optimiser steps as another arm, and nothing new.

    Attributes:
        copies: how often they are listed beside themselves.
    """

    copies: Count = 1
    draws: Literal[1] = 1

    def make(self, name: str, inputs: ArmInputs, draw: int) -> ExtraSamples:  # noqa: ARG002
        """See `Arm.make`."""
        return ExtraSamples(inputs.x if self.copies == 1 else torch.cat([inputs.x] * self.copies))


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Gaussian(Transform):
    """Gaussian augmentation: x + N(0, σ²), clipped to [0, 1].

    Attributes:
        sigma: σ > 0, in units of the [0, 1] range.
        draws: independent noise draws, each retrained on; the paper gives their spread.
    """

    sigma: Positive
    draws: Count

    def apply(self, x: Tensor, seed: int, stream: str) -> Tensor:
        """See `Transform.apply`."""
        return (x + self.sigma * _normal(x, seed, stream)).clamp_(0, 1)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Flip(Transform):
    """Mirrored images: each left to right with probability 1/2, and top to bottom likewise."""

    draws: Count

    def apply(self, x: Tensor, seed: int, stream: str) -> Tensor:
        """See `Transform.apply`."""
        _check_images("flip", x)
        chance = uniform(seed, stream, torch.arange(len(x)), 2, x.dtype)
        for axis in (0, 1):
            mask = (chance[:, axis] < 0.5).view(-1, 1, 1, 1)
            x = torch.where(mask, x.flip(3 - axis), x)
        return x


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Rotation(Transform):
    """Images turned about their centre by an angle drawn for each; what comes in repeats the border.

    Attributes:
        degrees: largest angle, either way; 10 in the paper.
    """

    degrees: Degrees
    draws: Count

    def __post_init__(self) -> None:
        """Import the library now, or its seconds would count as those of the first samples."""
        import kornia.geometry.transform  # noqa: F401

    def apply(self, x: Tensor, seed: int, stream: str) -> Tensor:
        """See `Transform.apply`."""
        from kornia.geometry.transform import rotate

        _check_images("rotation", x)
        angles = uniform(seed, stream, torch.arange(len(x)), 1, x.dtype)[:, 0].mul_(2).sub_(1)
        turned = [
            rotate(images, self.degrees * own, padding_mode="border")
            for images, own in zip(x.split(AT_ONCE), angles.split(AT_ONCE), strict=True)
        ]
        return torch.cat(turned).clamp_(0, 1)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MatchedNoise:
    """Random noise of the same size: every sample's ‖δ‖₂ is that of its adversarial example.

    Attributes:
        of: the arm whose perturbations are matched.
        draws: independent draws.
    """

    of: str
    draws: Count

    def make(self, name: str, inputs: ArmInputs, draw: int) -> ExtraSamples:
        """See `Arm.make`."""
        wanted = (inputs.extra(self.of).x - inputs.x).flatten(1).norm(dim=1)
        noise = _normal(inputs.x, inputs.seed, f"{name}/{draw}")
        parts = zip(inputs.x.split(AT_ONCE), noise.split(AT_ONCE), wanted.split(AT_ONCE), strict=True)
        return ExtraSamples(torch.cat([_noise_of_norm(*part) for part in parts]))


def _normal(x: Tensor, seed: int, stream: str) -> Tensor:
    """Standard normal numbers of the samples' shape."""
    source = generator(seed, stream, torch.device("cpu"))
    return torch.randn(x.shape, generator=source, dtype=x.dtype)


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
    return (x + per_sample(scale, x) * direction).clamp_(0, 1)


def _clipped_norm(x: Tensor, direction: Tensor, scale: Tensor) -> Tensor:
    norm: Tensor = (_moved(x, direction, scale) - x).flatten(1).norm(dim=1)
    return norm


def _check_images(arm: str, x: Tensor) -> None:
    if x.ndim != 4:
        raise ConfigError(
            f"arm = {arm}: needs images (C, H, W), but the dataset's samples have shape "
            f"{tuple(x.shape[1:])}; choose other arms"
        )
