"""What the bounds can tell and what they can't, on Gaussian vectors whose mutual information is known.

In every case there are three samples: of independent vectors, of vectors that share `SHARED` nats, and of
equal ones, which share no finite number.
"""

import math

import pytest
import torch
from torch import Tensor, nn

from uae_cli.attacks import Samples
from uae_cli.evaluation.mutual_information import HeldOutInformation
from uae_cli.mi import FeatureMaps, MineSettings, PerSampleMine
from uae_cli.models import Response

SHARED = 1.0
EASY = [
    (100, 1),
    (500, 1),
]  # K vectors of so many values; all pairs of 500 take torch seconds, one order doesn't
HARD = [(16, 784), (100, 784)]
BOUNDS = ["donsker_varadhan", "infonce", "smile"]


def gaussians(k: int, size: int) -> tuple[Tensor, Tensor]:
    """(3, K, size) vectors u and v; every value of v has the same correlation with that of u."""
    u, noise = torch.randn(2, 3, k, size, generator=torch.Generator().manual_seed(7))
    rho = torch.tensor([0, math.sqrt(1 - math.exp(-2 * SHARED / size)), 1]).view(3, 1, 1)
    return u, rho * u + (1 - rho**2).sqrt() * noise


def fitted(bound: str, k: int, size: int, rounds: int = 10) -> Tensor:
    """The bounds (3,) after so many rounds of 20 steps, of the very pairs that were climbed on."""
    u, v = gaussians(k, size)
    sampling = FeatureMaps(layer=None, marginals="all_pairs" if k < 500 else "shuffle")
    settings = MineSettings(sampling=sampling, hidden=10, steps=20, learning_rate=5e-3, bound=bound)
    estimator = PerSampleMine(settings, Response(u, u, u), torch.arange(3), 5)
    for t in range(1, rounds + 1):
        found = estimator(Response(v, v, v), t)
    return found


class Unchanged(nn.Sequential):
    """A model whose feature maps are its inputs."""

    feature_layer = "0"

    def __init__(self) -> None:
        super().__init__(nn.PReLU(init=1.0))


def held_out(k: int, size: int) -> Tensor:
    u, v = gaussians(k, size)
    sampling = FeatureMaps(layer=None, marginals="all_pairs")
    settings = HeldOutInformation(sampling=sampling, hidden=10, steps=60, checkpoints=3, learning_rate=5e-3)
    alone = [Samples(u[i : i + 1], torch.tensor([0]), 0) for i in range(3)]
    estimates = [
        settings.estimate(Unchanged(), one, v[i : i + 1], batch_size=1) for i, one in enumerate(alone)
    ]
    return torch.cat(estimates)


@pytest.mark.parametrize(
    ("bound", "k", "size"),
    [(bound, *case) for bound in BOUNDS for case in EASY if (bound, *case) != ("infonce", 500, 1)],
)
def test_of_single_values_every_bound_finds_the_information(bound, k, size):
    independent, shared, equal = fitted(bound, k, size).tolist()
    assert independent == pytest.approx(0, abs=0.1)
    assert shared == pytest.approx(SHARED, abs=0.2)
    assert equal > shared + 0.5


@pytest.mark.parametrize(("k", "size", "rounds"), [(16, 8, 20), (16, 784, 5), (100, 784, 5), (500, 784, 1)])
def test_infonce_says_no_more_than_the_logarithm_of_k(k, size, rounds):
    assert float(fitted("infonce", k, size, rounds).max()) <= math.log(k) + 1e-5


@pytest.mark.parametrize(("k", "size"), HARD)
def test_on_pairs_that_were_learnt_by_heart_no_bound_tells_independent_vectors_from_equal_ones(k, size):
    """At the paper's own sizes, 16 maps of 784 values. InfoNCE ends at its ceiling for all of them."""
    found = {bound: fitted(bound, k, size) for bound in BOUNDS}
    assert float(found["donsker_varadhan"][0]) > 20 * math.log(k), "of independent vectors"
    assert float(found["infonce"].min()) > 0.99 * math.log(k)
    independent, _, equal = found["smile"].tolist()
    assert independent > 2 * math.log(k)
    assert independent == pytest.approx(equal, rel=0.2)
    assert float(found["smile"].max()) < 0.1 * float(found["donsker_varadhan"][0]), (
        "clipped, it runs less far"
    )


@pytest.mark.parametrize(("k", "size"), [*EASY, *HARD, (16, 8), (100, 32), (500, 128)])
def test_held_out_no_size_invents_information(k, size):
    independent, shared, _ = held_out(k, size).tolist()
    assert independent < 0.02
    assert shared < SHARED + 0.1


def test_held_out_vectors_of_many_values_hide_what_they_share():
    """One nat over 784 values is not found: the estimate is of a lower bound, and 0 or less says nothing."""
    assert float(held_out(500, 1)[1]) > 0.2
    for k, size in [*HARD, (100, 32), (500, 128)]:
        assert float(held_out(k, size)[1]) < 0.1
    for k, size in [(16, 8), (100, 32)]:
        assert float(held_out(k, size)[2]) > 0.5, "equal vectors share enough to be found"
