"""Flips and rotations against torchvision and scipy, each sample on its own."""

import pytest
import torch
from scipy import ndimage
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as V

from uae_cli.arms import Arm, Flip, Rotation, Shift, Transform
from uae_cli.errors import ConfigError

ARMS = [Flip(draws=1), Rotation(degrees=10, draws=1), Shift(pixels=2, draws=1)]
IDS = ["flip", "rotation", "shift"]


def smooth(n: int, side: int = 33) -> Tensor:
    """Images that interpolation hardly harms, in a frame of zeros that a turn never moves inward."""
    noise = torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(0)).numpy()
    blurred = torch.from_numpy(ndimage.gaussian_filter(noise, (0, 0, 3, 3)))
    frame = torch.zeros(side, side)
    frame[9:-9, 9:-9] = 1
    return (blurred * torch.from_numpy(ndimage.gaussian_filter(frame.numpy(), 2))).clamp(0, 1)


@pytest.mark.parametrize("arm", ARMS, ids=IDS)
def test_they_are_transforms_and_arms_that_change_no_input(arm, digits):
    before = digits.clone()
    out = arm.apply(digits, 0, "a")
    assert isinstance(arm, Arm)
    assert isinstance(arm, Transform)
    assert (out.shape, out.dtype) == (digits.shape, digits.dtype)
    assert 0 <= float(out.min()) <= float(out.max()) <= 1
    assert torch.equal(digits, before)
    assert torch.equal(out, arm.apply(digits, 0, "a"))


@pytest.mark.parametrize("arm", ARMS, ids=IDS)
def test_a_samples_randomness_is_its_own(arm, digits):
    whole = arm.apply(digits, 0, "a")
    torch.testing.assert_close(whole[:7], arm.apply(digits[:7], 0, "a"))
    assert not torch.equal(whole, arm.apply(digits, 1, "a"))
    assert not torch.equal(whole, arm.apply(digits, 0, "b"))


def test_flips_are_torchvisions_each_way_half_of_the_time(digits):
    flipped = Flip(draws=1).apply(digits, 0, "a")
    ways = [digits, V.horizontal_flip(digits), V.vertical_flip(digits),
            V.vertical_flip(V.horizontal_flip(digits))]  # fmt: skip
    which = torch.stack([(flipped == way).flatten(1).all(1) for way in ways])
    assert bool(which.any(0).all())
    assert bool((which.double().mean(1) - 0.25).abs().max() < 0.06)


def test_rotation_is_torchvisions_by_an_angle_within_bounds():
    x = smooth(60)
    turned = Rotation(degrees=20, draws=1).apply(x, 0, "a")
    candidates = torch.linspace(-24, 24, 193)
    found = []
    for image, own in zip(x, turned, strict=True):
        tried = torch.stack(
            [V.rotate(image, float(angle), InterpolationMode.BILINEAR) for angle in candidates]
        )
        errors = (tried - own).square().flatten(1).mean(1)
        best = int(errors.argmin())
        assert float(errors[best]) < 1e-5
        assert float(errors[best]) < 0.05 * float((image - own).square().mean()) + 1e-6
        found.append(float(candidates[best]))
    angles = torch.tensor(found)
    assert -20.2 <= float(angles.min()) < -13
    assert 13 < float(angles.max()) <= 20.2
    assert float(angles.std()) == pytest.approx(40 / 12**0.5, rel=0.2), "uniform over the range"


def test_shifts_are_scipys_and_all_of_them_as_likely(digits):
    shifted = Shift(pixels=1, draws=1).apply(digits, 0, "a")
    ways = [
        torch.from_numpy(ndimage.shift(digits.numpy(), (0, 0, down, right), order=0, mode="nearest"))
        for down in (-1, 0, 1)
        for right in (-1, 0, 1)
    ]
    which = torch.stack([(shifted == way).flatten(1).all(1) for way in ways])
    assert bool(which.any(0).all())
    assert bool((which.double().mean(1) - 1 / 9).abs().max() < 0.06)


def test_what_comes_in_repeats_the_border():
    white = torch.ones(5, 1, 8, 8)
    torch.testing.assert_close(Rotation(degrees=180, draws=1).apply(white, 0, "a"), white)


def test_large_sets_are_turned_piece_by_piece(digits, monkeypatch):
    whole = Rotation(degrees=10, draws=1).apply(digits, 0, "a")
    monkeypatch.setattr("uae_cli.arms.conventional.AT_ONCE", 150)
    torch.testing.assert_close(Rotation(degrees=10, draws=1).apply(digits, 0, "a"), whole)


@pytest.mark.parametrize("arm", ARMS, ids=IDS)
def test_tables_of_features_are_refused(arm):
    with pytest.raises(ConfigError, match=r"needs images \(C, H, W\).*\(20,\)"):
        arm.apply(torch.rand(3, 20), 0, "a")


@pytest.mark.parametrize("degrees", [0, -3, 181, float("nan")])
def test_degrees_out_of_range_are_refused(degrees):
    with pytest.raises(ValueError, match="degrees"):
        Rotation(degrees=degrees, draws=1)
