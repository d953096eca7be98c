import math

import pytest
import torch
from pytorch_metric_learning.losses import NTXentLoss
from torch import Tensor

from uae_cli.contrastive import nt_xent, per_sample_nt_xent
from uae_cli.errors import ConfigError


def projections(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def slow(z: Tensor, temperature: float) -> float:
    """Eq. 1 of Chen et al. (2020), one pair at a time."""
    views = z.tolist()

    def similarity(a: list[float], b: list[float]) -> float:
        return sum(i * j for i, j in zip(a, b, strict=True)) / (math.hypot(*a) * math.hypot(*b))

    total = 0.0
    for i, view in enumerate(views):
        partner = i + 1 if i % 2 == 0 else i - 1
        others = [math.exp(similarity(view, w) / temperature) for k, w in enumerate(views) if k != i]
        total -= math.log(math.exp(similarity(view, views[partner]) / temperature) / sum(others))
    return total / len(views)


@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
def test_it_is_equation_1(temperature):
    z = projections(3, 8, 5)
    torch.testing.assert_close(
        per_sample_nt_xent(z, temperature), z.new_tensor([slow(views, temperature) for views in z])
    )
    assert float(nt_xent(z[0], temperature)) == pytest.approx(slow(z[0], temperature))


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_it_agrees_with_pytorch_metric_learning(temperature):
    z = projections(12, 5)
    expected = NTXentLoss(temperature=temperature)(z, torch.arange(12) // 2)
    torch.testing.assert_close(nt_xent(z, temperature), expected)


@pytest.mark.parametrize("views", [4, 100])
def test_closed_forms(views):
    """All views alike: log(V − 1); pairs alike, orthogonal to the others: log(1 + (V − 2) e^(−1/τ))."""
    alike = torch.ones(1, views, 3)
    torch.testing.assert_close(per_sample_nt_xent(alike, 0.5), torch.tensor([math.log(views - 1)]))
    apart = torch.eye(views // 2).repeat_interleave(2, 0)[None]
    expected = torch.tensor([math.log1p((views - 2) * math.exp(-2))])
    torch.testing.assert_close(per_sample_nt_xent(apart, 0.5), expected)


def test_swapping_partners_pairs_or_the_length_of_a_projection_changes_nothing():
    z = projections(2, 6, 4)
    expected = per_sample_nt_xent(z, 0.5)
    for same in (z[:, [1, 0, 3, 2, 5, 4]], z[:, [4, 5, 0, 1, 2, 3]], 7 * z):
        torch.testing.assert_close(per_sample_nt_xent(same, 0.5), expected)
    assert not torch.isclose(per_sample_nt_xent(z[:, [0, 2, 1, 3, 4, 5]], 0.5), expected).any()


def test_a_samples_loss_does_not_depend_on_its_neighbours():
    z = projections(4, 100, 16)
    torch.testing.assert_close(per_sample_nt_xent(z, 0.5)[2:3], per_sample_nt_xent(z[2:3], 0.5))


def test_its_gradient_is_that_of_finite_differences():
    z = projections(2, 4, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: per_sample_nt_xent(z, 0.5), z)


@pytest.mark.parametrize("temperature", [0.0, -0.5])
def test_a_temperature_that_is_not_positive_is_refused(temperature):
    with pytest.raises(ConfigError, match=f"temperature = {temperature}: must be above 0"):
        nt_xent(projections(4, 2), temperature)


def test_an_odd_number_of_views_is_refused():
    with pytest.raises(ValueError, match="in pairs, but there are 3"):
        per_sample_nt_xent(projections(1, 3, 2), 0.5)
