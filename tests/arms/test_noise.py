from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from uae_cli.arms import Adversarial, Arm, ExtraSamples, Gaussian, MatchedNoise, Replicate
from uae_cli.attacks import ReconstructionError, Similarity


@dataclass
class Inputs:
    """Inputs whose adversarial examples are given."""

    x: Tensor
    uae: Tensor
    seed: int = 0

    def attacked(self, arm: str, similarity: Similarity, *_: object) -> ExtraSamples:
        return ExtraSamples(self.uae, similarity=torch.full((len(self.x),), float(arm == "mine_uae")))

    def extra(self, arm: str) -> ExtraSamples:
        return ExtraSamples(self.uae)


def l2(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).double().flatten(1).norm(dim=1)


@pytest.fixture
def inputs(digits) -> Inputs:
    """UAEs from hardly moved to far away, the first two not moved at all."""
    direction = torch.rand(digits.shape, generator=torch.Generator().manual_seed(1)) - digits
    size = torch.logspace(-3, -0.3, len(digits))
    size[:2] = 0
    return Inputs(digits, digits + size.view(-1, 1, 1, 1) * direction)


ARMS = [
    Replicate(),
    Gaussian(sigma=0.1, draws=2),
    MatchedNoise(of="mine_uae", draws=2),
    Adversarial(similarity=ReconstructionError(goal="maximize")),
]


@pytest.mark.parametrize("arm", ARMS, ids=lambda arm: type(arm).__name__)
def test_every_arm_gives_one_legal_sample_per_sample_and_the_same_again(inputs, arm):
    before = inputs.x.clone()
    first, second = arm.make("arm", inputs, 0).x, arm.make("arm", inputs, 0).x
    assert isinstance(arm, Arm)
    assert first.shape == inputs.x.shape
    assert first.dtype == inputs.x.dtype
    assert float(first.min()) >= 0
    assert float(first.max()) <= 1
    assert torch.equal(first, second)
    assert torch.equal(inputs.x, before), "the training samples were changed"


def test_replicate_is_the_samples_themselves(inputs):
    assert Replicate().make("replicate", inputs, 0).x is inputs.x


def test_adversarial_asks_for_its_own_attack(inputs):
    extra = ARMS[3].make("mine_uae", inputs, 0)
    assert torch.equal(extra.x, inputs.uae)
    assert bool((extra.similarity == 1).all())


@pytest.mark.parametrize("arm", ARMS[1:3], ids=lambda arm: type(arm).__name__)
def test_draws_seeds_and_names_give_other_noise(inputs, arm):
    plain = arm.make("noise", inputs, 0).x
    others = [
        arm.make("noise", inputs, 1).x,
        arm.make("another", inputs, 0).x,
        arm.make("noise", Inputs(inputs.x, inputs.uae, seed=1), 0).x,
    ]
    assert not any(torch.equal(plain, other) for other in others)


@pytest.mark.parametrize("sigma", [1e-2, 0.1])
def test_gaussian_noise_has_its_deviation_where_the_box_leaves_room(inputs, sigma):
    grey = torch.full((200, 1, 8, 8), 0.5)
    noise = Gaussian(sigma=sigma, draws=1).make("gaussian", Inputs(grey, grey), 0).x - grey
    assert float(noise.std()) == pytest.approx(sigma, rel=0.02)
    assert abs(float(noise.mean())) < sigma * 0.03


def test_gaussian_noise_is_cut_at_the_box(inputs):
    x = Gaussian(sigma=0.1, draws=1).make("gaussian", inputs, 0).x
    black = inputs.x == 0
    assert float((x[black] == 0).float().mean()) == pytest.approx(0.5, abs=0.02)


def test_matched_noise_is_as_large_as_each_adversarial_example(inputs):
    noisy = MatchedNoise(of="mine_uae", draws=1).make("matched", inputs, 0).x
    wanted, got = l2(inputs.uae, inputs.x), l2(noisy, inputs.x)
    assert torch.allclose(got, wanted, rtol=1e-4, atol=0)
    assert torch.equal(noisy[:2], inputs.x[:2]), "a sample that wasn't moved got noise"


def test_matched_noise_goes_its_own_way(inputs):
    noisy = MatchedNoise(of="mine_uae", draws=1).make("matched", inputs, 0).x
    cosine = torch.cosine_similarity((noisy - inputs.x).flatten(1), (inputs.uae - inputs.x).flatten(1))[2:]
    assert float(cosine.abs().mean()) < 0.5


def test_matched_noise_presses_against_the_box_where_it_must():
    """From grey, a move of 0.45 a value is 90 % of what the box allows."""
    grey, uae = torch.full((5, 64), 0.5), torch.full((5, 64), 0.95)
    noisy = MatchedNoise(of="a", draws=1).make("n", Inputs(grey, uae), 0).x
    assert torch.allclose(l2(noisy, grey), l2(uae, grey), rtol=1e-4, atol=0)


def test_matched_noise_fills_the_box_where_there_is_no_more_room():
    corner = torch.zeros(5, 64)
    noisy = MatchedNoise(of="a", draws=1).make("n", Inputs(corner, torch.ones(5, 64)), 0).x
    share = float((noisy == 1).float().mean())
    assert share == pytest.approx(0.5, abs=0.1), "every value whose noise points into the box"
    assert share == float((noisy > 0).float().mean())
