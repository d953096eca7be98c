"""Samples made of two: mixed, or with some values of others."""

import pytest
import torch

from uae_cli.arms import Arm, FeatureSwap, Mixup, Transform

MIXUP, SWAP = Mixup(alpha=1.0, draws=1), FeatureSwap(share=0.3, draws=1)


@pytest.mark.parametrize("arm", [MIXUP, SWAP], ids=["mixup", "feature_swap"])
@pytest.mark.parametrize("kind", ["images", "table"])
def test_they_change_no_input_and_repeat(arm, kind, digits):
    x = digits if kind == "images" else digits.flatten(1)
    before, out = x.clone(), arm.apply(x, 0, "a")
    assert isinstance(arm, Arm)
    assert isinstance(arm, Transform)
    assert (out.shape, out.dtype) == (x.shape, x.dtype)
    assert 0 <= float(out.min()) <= float(out.max()) <= 1
    assert torch.equal(x, before)
    assert torch.equal(out, arm.apply(x, 0, "a"))
    for other in (arm.apply(x, 1, "a"), arm.apply(x, 0, "b")):
        assert not torch.equal(out, other)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 5.0])
def test_a_mixed_sample_lies_between_two_and_nearer_its_own(alpha):
    """One-hot samples tell by their two values who was mixed, and by how much."""
    x = torch.eye(500)
    mixed = Mixup(alpha=alpha, draws=1).apply(x, 0, "a")
    own = mixed.diagonal()
    rest = mixed - torch.diag(own)
    assert torch.allclose(mixed.sum(1), torch.ones(500))
    assert bool(((rest > 0).sum(1) <= 1).all())
    assert float(own.min()) >= 0.5
    drawn = torch.distributions.Beta(alpha, alpha).sample((100_000,))
    expected = float(torch.maximum(drawn, 1 - drawn).mean())
    assert float(own[own < 1].mean()) == pytest.approx(expected, abs=0.03)


def test_partners_are_drawn_from_all():
    partners = (Mixup(alpha=5.0, draws=1).apply(torch.eye(500), 0, "a") - torch.eye(500)).argmax(1)
    assert len(partners.unique()) > 250
    assert abs(float(partners.double().mean()) - 249.5) < 25


def test_values_come_from_the_same_feature_of_a_sample_of_their_own():
    """Sample i's value of feature j is i + j / 10: it tells where it comes from."""
    x = torch.arange(400.0)[:, None] + torch.arange(10.0) / 10
    swapped = SWAP.apply(x, 0, "a")
    donor, feature = swapped.floor(), (swapped - swapped.floor()) * 10
    assert torch.allclose(feature, torch.arange(10.0).expand(400, 10), atol=1e-2)
    moved = donor != torch.arange(400.0)[:, None]
    assert float(moved.double().mean()) == pytest.approx(0.3, abs=0.03)
    several = [
        len(row[chosen].unique()) > 1 for row, chosen in zip(donor, moved, strict=True) if chosen.sum() > 1
    ]
    assert sum(several) > 0.9 * len(several), "each value has a donor of its own"


def test_all_values_swapped_keep_each_features_distribution():
    x = torch.stack([torch.rand(2000), 0.5 + 0.1 * torch.rand(2000)], dim=1)
    swapped = FeatureSwap(share=1.0, draws=1).apply(x, 0, "a")
    assert torch.allclose(swapped.mean(0), x.mean(0), atol=0.02)
    assert abs(float(torch.corrcoef(torch.stack([swapped[:, 0], x[:, 0]]))[0, 1])) < 0.1


@pytest.mark.parametrize(("arm", "change"), [(Mixup, {"alpha": 0}), (FeatureSwap, {"share": 1.2})])
def test_settings_out_of_range_are_refused(arm, change):
    with pytest.raises(ValueError, match=next(iter(change))):
        arm(**change, draws=1)
