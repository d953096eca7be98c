"""SimCLR's random views: crop, flip, colour distortion (Chen et al. 2020, §3 and Appendix A).

Every view has its own random parameters, and what they do to an image is differentiable in it. Cropping
and flipping is one affine map per view and needs a single sampling pass of torch's own; kornia's cropping
would copy the image once per view and invert a matrix for each. The colours are kornia's.
"""

import math
from typing import Annotated, NamedTuple

import torch
from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.nn import functional as F

from uae_cli.randomness import uniform
from uae_cli.settings import STRICT, Positive, UnitInterval


def _ascending(limits: tuple[float, float]) -> tuple[float, float]:
    if limits[0] > limits[1]:
        raise ValueError("the first number must not exceed the second")
    return limits


Share = Annotated[float, Field(ge=0, le=1)]
AreaRange = Annotated[tuple[UnitInterval, UnitInterval], AfterValidator(_ascending)]
RatioRange = Annotated[tuple[Positive, Positive], AfterValidator(_ascending)]

_DRAWS = 11  # random numbers per view: see `_parameters`


class ViewParameters(NamedTuple):
    """What makes the V views of B samples; row b·V + v is view v of sample b.

    Attributes:
        crop: (B·V, 2, 3) affine maps from a view's coordinates to its image's, both in [−1, 1].
        brightness: (B·V,) factors; 1 changes nothing, as for contrast and saturation.
        contrast: (B·V,) factors.
        saturation: (B·V,) factors.
        hue: (B·V,) shifts in radians.
        grey: (B·V,) whether the colours are dropped.
    """

    crop: Tensor
    brightness: Tensor
    contrast: Tensor
    saturation: Tensor
    hue: Tensor
    grey: Tensor


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Views:
    """Random crop and resize, horizontal flip, and colour distortion; no blur.

    Images of three channels are taken as RGB; of any other number they get brightness and contrast only.
    The distortions come in the fixed order brightness, contrast, saturation, hue, grey: an order of its
    own for every view, as torchvision draws for every call, would cost as many passes as there are orders.

    Attributes:
        scale: least and largest area of a crop, as a share of the image's, in (0, 1].
        ratio: least and largest width of a crop over its height, both as shares of the image's; a side that
            would be longer than the image's is cut to it.
        flip: probability of a horizontal flip; 0 for digits, which don't survive it.
        strength: s in [0, 1]: brightness, contrast and saturation factors are within 1 ± 0.8 s, hue shifts
            within ± 0.2 s turns.
        jitter: probability that a view's colours are distorted so.
        grey: probability that they are dropped.
    """

    scale: AreaRange
    ratio: RatioRange
    flip: Share
    strength: Share
    jitter: Share
    grey: Share

    def draw(self, seed: int, stream: str, index: Tensor, views: int) -> ViewParameters:
        """Parameters that depend on (seed, stream, a sample's index, the view's number) and nothing else.

        Args:
            seed: the experiment's seed.
            stream: what the views are for; different streams are independent.
            index: (B,) int64, each sample's position in its dataset.
            views: V, wanted of each sample.
        """
        return self._parameters(uniform(seed, stream, index, views * _DRAWS, torch.float32))

    def draw_from(self, generator: torch.Generator, samples: int, views: int) -> ViewParameters:
        """Parameters of `samples` × `views` views from a generator, on its device; for training."""
        shape = (samples, views * _DRAWS)
        return self._parameters(torch.rand(shape, generator=generator, device=generator.device))

    def apply(self, x: Tensor, parameters: ViewParameters) -> Tensor:
        """The views of (B, C, H, W) images in [0, 1], differentiable in x.

        Returns:
            (B·V, C, H, W) in [0, 1]; row b·V + v is view v of sample b.
        """
        own = ViewParameters(*(p if p.dtype == torch.bool else p.to(x.dtype) for p in parameters))
        views = _crop(x, own.crop)
        return views if self.strength == self.grey == 0 else _distort(views, own)

    def _parameters(self, draws: Tensor) -> ViewParameters:
        """From (B, V · _DRAWS) numbers in [0, 1)."""
        area, ratio, left, top, flip, jitter, *factors, hue, grey = draws.view(-1, _DRAWS).unbind(1)
        strength = self.strength * (jitter < self.jitter)
        brightness, contrast, saturation = (1 + 0.8 * strength * (2 * factor - 1) for factor in factors)
        return ViewParameters(
            crop=self._boxes(area, ratio, left, top, flip),
            brightness=brightness,
            contrast=contrast,
            saturation=saturation,
            hue=2 * math.pi * 0.2 * strength * (2 * hue - 1),
            grey=grey < self.grey,
        )

    def _boxes(self, area: Tensor, ratio: Tensor, left: Tensor, top: Tensor, flip: Tensor) -> Tensor:
        """(B·V, 2, 3) maps: width and height of the box on the diagonal, its centre in the last column."""
        side = _between(self.scale, area).sqrt()
        narrow, wide = self.ratio
        stretch = _between((math.log(narrow), math.log(wide)), ratio).mul(0.5).exp()
        width, height = (side * stretch).clamp(max=1), (side / stretch).clamp(max=1)
        zero, mirror = torch.zeros_like(width), 1 - 2 * (flip < self.flip).to(width.dtype)
        across = torch.stack([width * mirror, zero, (2 * left - 1) * (1 - width)], 1)
        down = torch.stack([zero, height, (2 * top - 1) * (1 - height)], 1)
        return torch.stack([across, down], 1)


def _between(limits: tuple[float, float], draws: Tensor) -> Tensor:
    low, high = limits
    return low + (high - low) * draws


def _crop(x: Tensor, crop: Tensor) -> Tensor:
    """(B·V, C, H, W): the boxes, resized to the image's size with bilinear interpolation."""
    samples, channels, height, width = x.shape
    grid = F.affine_grid(crop, [len(crop), channels, height, width], align_corners=False)
    # A sample's views are sampled as one tall picture: x is neither copied per view nor its gradient summed
    tall = F.grid_sample(
        x, grid.view(samples, -1, width, 2), mode="bilinear", padding_mode="border", align_corners=False
    )
    # Copied even where one sample could do without, or an attack's memory couldn't be told from one and two
    views: Tensor = tall.unflatten(2, (-1, height)).transpose(1, 2).contiguous().flatten(0, 1)
    return views


def _distort(views: Tensor, parameters: ViewParameters) -> Tensor:
    """(N, C, H, W) images in [0, 1] with their colours changed."""
    from kornia.color import rgb_to_grayscale
    from kornia.enhance import (
        adjust_brightness_accumulative,
        adjust_contrast_with_mean_subtraction,
        adjust_hue,
        adjust_saturation_with_gray_subtraction,
    )

    views = adjust_brightness_accumulative(views, parameters.brightness)
    views = adjust_contrast_with_mean_subtraction(views, parameters.contrast)
    if views.shape[1] != 3:
        return views
    views = adjust_saturation_with_gray_subtraction(views, parameters.saturation)
    views = adjust_hue(views, parameters.hue)
    return torch.where(parameters.grey[:, None, None, None], rgb_to_grayscale(views), views)
