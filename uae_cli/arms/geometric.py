"""Conventional image augmentation (paper §4.4, §6.12, Table 5)."""

from typing import Annotated

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from uae_cli.arms.base import Transform
from uae_cli.errors import ConfigError
from uae_cli.randomness import uniform
from uae_cli.settings import STRICT, Count

AT_ONCE = 4096  # images turned together, so that memory doesn't grow with the dataset

Degrees = Annotated[float, Field(gt=0, le=180)]


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


def _check_images(arm: str, x: Tensor) -> None:
    if x.ndim != 4:
        raise ConfigError(
            f"arm = {arm}: needs images (C, H, W), but the dataset's samples have shape "
            f"{tuple(x.shape[1:])}; choose other arms"
        )
