"""The closed form of what MINE estimates on Gaussian compressions."""

import math

import pytest
import torch

from uae_cli.attacks import GaussianInformation
from uae_cli.models import Response


def information(x: torch.Tensor, moved: torch.Tensor, **changes) -> torch.Tensor:
    settings = {"goal": "minimize", "dimension": 1.0, "floor": 1e-6} | changes
    return GaussianInformation(**settings).compare(x, Response(moved, moved, None))


def rotated(angle: float) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.tensor([[3.0, 0.0]], dtype=torch.float64)
    return x, 2 * torch.tensor([[math.cos(angle), math.sin(angle)]], dtype=torch.float64)


@pytest.mark.parametrize("angle", [0.05, 0.3, 1.0, math.pi / 2])
@pytest.mark.parametrize("dimension", [1.0, 128.0])
def test_it_is_the_mutual_information_of_two_gaussians(angle, dimension):
    """From the determinants of the covariance, coordinate by coordinate; the floor hardly shows there."""
    x, moved = rotated(angle)
    both = torch.cat([x, moved])
    gram = both @ both.T
    expected = 0.5 * dimension * torch.log(gram[0, 0] * gram[1, 1] / torch.linalg.det(gram))
    torch.testing.assert_close(information(x, moved, dimension=dimension)[0], expected, rtol=1e-3, atol=1e-5)


def test_it_does_not_depend_on_lengths():
    x, moved = rotated(0.4)
    torch.testing.assert_close(information(x, moved), information(5 * x, 0.1 * moved))


@pytest.mark.parametrize("floor", [1e-6, 1e-3])
def test_it_is_finite_at_zero_and_flat_there(floor):
    x = torch.rand(3, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    moved = x.clone().requires_grad_()
    value = information(x, moved, floor=floor)
    torch.testing.assert_close(
        value, torch.full((3,), 0.5 * math.log((1 + floor) / floor)), rtol=1e-3, atol=0
    )
    (slope,) = torch.autograd.grad(value.sum(), moved)
    assert float(slope.abs().max()) < 1e-2


@pytest.mark.parametrize("x", [torch.zeros(1, 4), torch.ones(1, 4)])
def test_black_samples_have_values_and_gradients(x):
    moved = torch.zeros(1, 4, requires_grad=True)
    value = information(x, moved)
    (slope,) = torch.autograd.grad(value.sum(), moved)
    assert bool(value.isfinite().all())
    assert bool(slope.isfinite().all())


def test_its_gradient_is_its_own():
    source = torch.Generator().manual_seed(0)
    x = torch.rand(2, 6, generator=source, dtype=torch.float64)
    moved = torch.rand(2, 6, generator=source, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda moved: information(x, moved), (moved,))


@pytest.mark.parametrize("change", [{"dimension": 0.0}, {"floor": 0.0}], ids=str)
def test_settings_out_of_range_are_refused(change):
    x = torch.ones(1, 4)
    with pytest.raises(ValueError, match=next(iter(change))):
        information(x, x, **change)
