"""Arms without an attack: replicates, noise and geometric augmentation (paper §4.4, §6.12, Table 5)."""

from dataclasses import dataclass as plain_dataclass
from dataclasses import field
from typing import Annotated, Literal, Protocol

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from uae_cli.arms.base import ArmInputs, ExtraSamples, Transform
from uae_cli.attacks import per_sample
from uae_cli.errors import ConfigError
from uae_cli.hashing import fingerprint
from uae_cli.randomness import generator, uniform
from uae_cli.settings import STRICT, Count, Positive, UnitInterval

AT_ONCE = 4096  # samples turned or bisected together, so that memory doesn't grow with the dataset

_CORRECTIONS = 3  # of noise that is drawn anew every epoch, for a size within a percent
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
class ReplicateExtra:
    """`replicate`, trained for as many more epochs as another arm's attacks cost: equal compute.

    Passes through the model are counted, forward and backward. What the attacked model's own training took is
    not.

    Attributes:
        of: the arm whose cost is spent.
    """

    of: str
    draws: Literal[1] = 1

    def make(self, name: str, inputs: ArmInputs, draw: int) -> ExtraSamples:  # noqa: ARG002
        """See `Arm.make`."""
        return ExtraSamples(inputs.x, further_epochs=inputs.epochs_for(self.of))


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Gaussian(Transform):
    """Gaussian augmentation: x + N(0, σ²), clipped to [0, 1].

    Attributes:
        sigma: σ > 0, in units of the [0, 1] range.
        draws: independent noise draws, each retrained on; the paper gives their spread.
        fresh: whether noise is drawn anew in every epoch.
    """

    sigma: Positive
    draws: Count
    fresh: bool = False

    def apply(self, x: Tensor, seed: int, stream: str) -> Tensor:
        """See `Transform.apply`."""
        return (x + self.sigma * _normal(x, seed, stream)).clamp_(0, 1)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Flip(Transform):
    """Mirrored images: each left to right with probability 1/2, and top to bottom likewise.

    Attributes:
        draws: independent draws.
        fresh: whether sides are drawn anew in every epoch.
    """

    draws: Count
    fresh: bool = False

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
        draws: independent draws.
        fresh: whether angles are drawn anew in every epoch.
    """

    degrees: Degrees
    draws: Count
    fresh: bool = False

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
class Shift(Transform):
    """Images moved by whole pixels, drawn for each and either axis; what comes in repeats the border.

    Attributes:
        pixels: largest move, either way.
        draws: independent draws.
        fresh: whether moves are drawn anew in every epoch.
    """

    pixels: Count
    draws: Count
    fresh: bool = False

    def apply(self, x: Tensor, seed: int, stream: str) -> Tensor:
        """See `Transform.apply`."""
        _check_images("shift", x)
        chance = uniform(seed, stream, torch.arange(len(x)), 2, x.dtype)
        moves = (chance * (2 * self.pixels + 1)).floor().long() - self.pixels
        rows, columns = (
            (torch.arange(size) + move[:, None]).clamp_(0, size - 1)
            for size, move in zip(x.shape[2:], moves.T, strict=True)
        )
        own = torch.arange(len(x))[:, None, None]
        return x[own, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Mixup(Transform):
    """Every sample mixed with another one (Zhang et al. 2018): λx + (1 − λ)x', which is its own target.

    λ is the larger of a number of Beta(α, α) and what it lacks to 1, so that the sample's own part prevails.

    Attributes:
        alpha: α > 0; small: most samples hardly mixed; 1: λ uniform in [½, 1].
        draws: independent draws.
        fresh: whether partners and weights are drawn anew in every epoch.
    """

    alpha: Positive
    draws: Count
    fresh: bool = False

    def apply(self, x: Tensor, seed: int, stream: str) -> Tensor:
        """See `Transform.apply`."""
        from scipy.special import betaincinv

        chance = uniform(seed, stream, torch.arange(len(x)), 2, torch.float64)
        partner = (chance[:, 0] * len(x)).long()
        weight = torch.from_numpy(betaincinv(self.alpha, self.alpha, chance[:, 1].numpy()))
        own = per_sample(torch.maximum(weight, 1 - weight).to(x.dtype), x)
        return (own * x + (1 - own) * x[partner]).clamp_(0, 1)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class FeatureSwap(Transform):
    """Every value, with some probability, replaced by that of a sample drawn for it.

    Of tables this keeps each feature's distribution, and breaks what features have to do with each other.

    Attributes:
        share: the probability, in (0, 1].
        draws: independent draws.
        fresh: whether values are swapped anew in every epoch.
    """

    share: UnitInterval
    draws: Count
    fresh: bool = False

    def apply(self, x: Tensor, seed: int, stream: str) -> Tensor:
        """See `Transform.apply`."""
        flat, index = x.flatten(1), torch.arange(len(x))
        chosen = uniform(seed, f"{stream}/which", index, flat.shape[1], x.dtype) < self.share
        donor = (uniform(seed, f"{stream}/whose", index, flat.shape[1], torch.float64) * len(x)).long()
        return torch.where(chosen, flat.gather(0, donor), flat).view_as(x)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MatchedNoise:
    """Random noise of the same size: every sample's ‖δ‖₂ is that of its adversarial example.

    Attributes:
        of: the arm whose perturbations are matched.
        draws: independent draws.
        fresh: whether directions are drawn anew in every epoch; the sizes are those that the other arm's
            samples had at that epoch, where they are made anew, too.
        same_moves: whether it goes only ways that the other arm's samples may go: random coefficients of the
            same components or warps, or a random partner.
    """

    of: str
    draws: Count
    fresh: bool = False
    same_moves: bool = False

    def make(self, name: str, inputs: ArmInputs, draw: int) -> ExtraSamples:
        """See `Arm.make`."""
        matched, stream = inputs.extra(self.of), f"{name}/{draw}"
        moves: Moving = (self.same_moves and matched.moves) or AnyWay()
        wanted = (matched.x - inputs.x).flatten(1).norm(dim=1)
        noise = moves.directions(inputs.x, inputs.seed, stream)
        parts = zip(inputs.x.split(AT_ONCE), noise.split(AT_ONCE), wanted.split(AT_ONCE), strict=True)
        x = torch.cat([_noise_of_norm(moves, *part) for part in parts])
        if not self.fresh:
            return ExtraSamples(x)
        sizes, every = inputs.sizes(self.of)
        renewal = FreshNoise(inputs.seed, stream, fingerprint(sizes), every, moves, sizes, inputs.x)
        return ExtraSamples(x, renewal=renewal)


class Moving(Protocol):
    """Of `FittedMoves`, what noise needs."""

    def directions(self, x: Tensor, seed: int, stream: str) -> Tensor:
        """See `FittedMoves.directions`."""
        ...

    def moved(self, x: Tensor, directions: Tensor, scale: Tensor) -> Tensor:
        """See `FittedMoves.moved`."""
        ...


@plain_dataclass(frozen=True)
class AnyWay:
    """Every value by itself, and then clipped to [0, 1]."""

    def directions(self, x: Tensor, seed: int, stream: str) -> Tensor:
        """See `FittedMoves.directions`: standard normal values."""
        return _normal(x, seed, stream)

    def moved(self, x: Tensor, directions: Tensor, scale: Tensor) -> Tensor:
        """See `FittedMoves.moved`."""
        return (x + per_sample(scale, x) * directions).clamp_(0, 1)


@plain_dataclass(frozen=True)
class FreshNoise:
    """Noise in new directions in every epoch, as large as another arm's perturbations; see `Renewal`.

    Attributes:
        seed: the experiment's.
        stream: of its random numbers.
        digest: identifies the sizes.
        round: epochs that each round of sizes lasts.
        moves: where it may go.
        sizes: (rounds, N) ‖δ‖₂; the last round goes on.
        x: (N, *shape) the training samples.
    """

    seed: int
    stream: str
    digest: str
    round: int
    moves: Moving
    sizes: Tensor = field(repr=False)
    x: Tensor = field(repr=False)
    every: int = 1
    passes: int = 0

    def samples(self, model: nn.Module, epoch: int) -> Tensor:  # noqa: ARG002
        """See `Renewal.samples`; one sample's noise depends on (seed, epoch, index) and its size."""
        wanted = self.sizes[min(epoch // self.round, len(self.sizes) - 1)]
        directions = self.moves.directions(self.x, self.seed, f"{self.stream}/epoch {epoch}")
        scale = wanted / directions.flatten(1).norm(dim=1).clamp_min(1e-12)
        for _ in range(
            _CORRECTIONS
        ):  # of what the box cuts off; a bisection would take longer than the epoch
            scale = scale * wanted / _norm(self.moves, self.x, directions, scale).clamp_min(1e-12)
        return self.moves.moved(self.x, directions, scale)


def _normal(x: Tensor, seed: int, stream: str) -> Tensor:
    """Standard normal numbers of the samples' shape."""
    source = generator(seed, stream, torch.device("cpu"))
    return torch.randn(x.shape, generator=source, dtype=x.dtype)


def _noise_of_norm(moves: Moving, x: Tensor, directions: Tensor, wanted: Tensor) -> Tensor:
    """X moved as far along its direction as makes ‖δ‖₂ = `wanted` (B,), found by bisection.

    Clipping shortens a perturbation, so a closed form would fall short. The norm grows with the scale. Where
    the box leaves no room for the wanted norm, the largest scale tried is used.
    """
    low = torch.zeros_like(wanted)
    high = wanted / directions.flatten(1).norm(dim=1).clamp_min(1e-12)
    for _ in range(20):
        short = _norm(moves, x, directions, high) < wanted
        if not bool(short.any()):
            break
        high = torch.where(short, 2 * high, high)
    for _ in range(24):
        middle = (low + high) / 2
        short = _norm(moves, x, directions, middle) < wanted
        low, high = torch.where(short, middle, low), torch.where(short, high, middle)
    return moves.moved(x, directions, high)


def _norm(moves: Moving, x: Tensor, directions: Tensor, scale: Tensor) -> Tensor:
    norm: Tensor = (moves.moved(x, directions, scale) - x).flatten(1).norm(dim=1)
    return norm


def _check_images(arm: str, x: Tensor) -> None:
    if x.ndim != 4:
        raise ConfigError(
            f"arm = {arm}: needs images (C, H, W), but the dataset's samples have shape "
            f"{tuple(x.shape[1:])}; choose other arms"
        )
