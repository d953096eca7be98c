"""Samples made anew: by the epoch alone, as large as they should be, of the model that they should be of."""

import pytest
import torch
from torch import nn

from uae_cli.arms import FreshAttack, Gaussian
from uae_cli.arms.base import FreshTransform
from uae_cli.arms.conventional import AnyWay, FreshNoise
from uae_cli.attacks import Attack, GaussianInformation, MinMax, Reconstruction, squared_error

SOLVER = MinMax(
    alpha=0.05,
    beta=0.1,
    iterations=3,
    epsilon=1.0,
    delta_start=0.05,
    step="gradient",
    c_start=1e-3,
    c_decay_exponent=0.25,
)


@pytest.fixture
def x(digits):
    return digits[:40]


@pytest.fixture
def attack():
    similarity = GaussianInformation(goal="minimize", dimension=1.0, floor=1e-6)
    return Attack(Reconstruction(kappa=0.0), similarity, SOLVER)


@pytest.fixture(params=["transform", "noise", "attack"])
def renewal(request, x, attack, trained_ae):
    if request.param == "transform":
        return FreshTransform(Gaussian(sigma=0.1, draws=1, fresh=True), 0, "gaussian/0", x)
    if request.param == "noise":
        return FreshNoise(0, "noise/0", "digest", 1, AnyWay(), torch.full((1, len(x)), 0.5), x)
    return FreshAttack(attack, 1, 0, "key", x, trained_ae, 16)


def test_a_round_depends_on_the_epoch_alone(renewal, x, trained_ae):
    first, again, next_one = (renewal.samples(trained_ae, epoch) for epoch in (3, 3, 4))
    assert torch.equal(first, again)
    assert first.shape == x.shape
    assert 0 <= float(first.min()) <= float(first.max()) <= 1
    moved = (first != next_one).flatten(1).any(1)
    assert float(moved.double().mean()) > 0.3


def test_what_identifies_it_leaves_samples_and_addresses_out(renewal):
    assert "tensor" not in repr(renewal)
    assert "chunk" not in repr(renewal)


def test_noise_drawn_anew_has_the_sizes_of_its_round(x):
    sizes = torch.rand(3, len(x)) + 0.1
    sizes[:, 0] = 0
    noise = FreshNoise(0, "noise/0", "digest", 2, AnyWay(), sizes, x)
    for epoch, number in ((0, 0), (1, 0), (2, 1), (5, 2), (9, 2)):
        got = (noise.samples(nn.Identity(), epoch) - x).flatten(1).norm(dim=1)
        assert torch.allclose(got, sizes[number], rtol=0.01, atol=0)


def test_the_original_or_the_model_in_training_is_attacked(x, attack, trained_ae):
    """Both are left as they were, in whichever mode."""
    other = nn.Sequential(nn.Dropout(0.5), nn.Conv2d(1, 1, 3, padding=1), nn.Sigmoid()).train()
    fixed, current = (FreshAttack(attack, 1, 0, "", x, target, 16) for target in (trained_ae, None))
    assert torch.equal(fixed.samples(other, 1), fixed.samples(nn.Identity(), 1))
    found = current.samples(other, 1)
    assert other.training
    assert all(parameter.requires_grad for parameter in other.parameters())
    assert not torch.equal(found, fixed.samples(other, 1))
    moved = (found != x).flatten(1).any(1)
    with torch.no_grad():
        other.eval()
        better = squared_error(x, other(found)) <= squared_error(x, other(x))
    assert bool(better[moved].all())
    assert bool(moved.any())


def test_the_chunk_changes_nothing(x, attack, trained_ae):
    in_parts, at_once = (FreshAttack(attack, 1, 0, "", x, trained_ae, size) for size in (7, 40))
    assert torch.allclose(in_parts.samples(trained_ae, 2), at_once.samples(trained_ae, 2), atol=1e-5)
    assert in_parts.passes == at_once.passes == 40 * 3
