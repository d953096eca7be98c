"""Vectors drawn by their law, beside those that matrices make."""

from itertools import pairwise

import pytest
import torch

from uae_cli.errors import ConfigError
from uae_cli.mi import DrawnMine, MineSettings, PerSampleMine, RandomProjections
from uae_cli.mi.draws import DrawnNetworks, Draws, plane
from uae_cli.mi.networks import initial_networks
from uae_cli.models import Response

VALUES, COUNT, SIZE = 50, 100, 32


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    source = torch.Generator().manual_seed(0)
    x = torch.rand(4, VALUES, generator=source, dtype=torch.float64)
    moved = (x + 0.2 * torch.randn(4, VALUES, generator=source, dtype=torch.float64)).clamp(0, 1)
    return x, moved


def estimator(x: torch.Tensor, *, drawn: bool = True, seed: int = 0, compiled: bool | None = None, **changes):
    plain = {"count": COUNT, "redraw": True, "standardize": True, "marginals": "shuffle"}
    sampling = RandomProjections(dimension=SIZE, matrices=not drawn, **(plain | changes))
    settings = MineSettings(sampling=sampling, hidden=10, steps=20, learning_rate=1e-3, compiled=compiled)
    clean, index = Response(x, x, None), torch.arange(len(x))
    if drawn:
        return DrawnMine(settings, sampling, clean, index, seed)
    return PerSampleMine(settings, clean, index, seed)


def draws_of(x: torch.Tensor, iteration: int = 0, *, count: int = COUNT, standardize: bool = True) -> Draws:
    return Draws.at(0, iteration, x, count=count, dimension=SIZE, standardize=standardize)


def test_a_plane_has_the_pairs_gram_matrix(pair):
    x, moved = pair
    along, across = plane(x, moved)
    torch.testing.assert_close(along * x.norm(dim=1), (x * moved).sum(1))
    torch.testing.assert_close(along.square() + across.square(), moved.square().sum(1))


def test_a_planes_gradient_is_its_own(pair):
    x, moved = pair
    assert torch.autograd.gradcheck(lambda moved: plane(x, moved), (moved.clone().requires_grad_(),))


def test_an_unmoved_sample_and_a_black_one_have_gradients(pair):
    x = torch.cat([pair[0], torch.zeros(1, VALUES, dtype=torch.float64)])
    moved = x.clone().requires_grad_()
    along, across = plane(x, moved)
    (slope,) = torch.autograd.grad(along.sum() + across.sum(), moved)
    assert bool(slope.isfinite().all())
    assert float(across.detach().max()) < 1e-6


@pytest.mark.parametrize("iteration", [0, 7])
def test_drawn_pairs_have_the_moments_of_compressed_ones(pair, iteration):
    """Each coordinate of (u, v) has the covariance G / D; those of different vectors have none."""
    x, moved = pair[0][:1], pair[1][:1]
    draws = draws_of(x, iteration, count=20_000, standardize=False)
    u, v = (side[0] for side in draws.pairs(x, moved))
    both = torch.cat([x, moved])
    found = torch.cov(torch.stack([u.flatten(), v.flatten()])) * SIZE
    torch.testing.assert_close(found, both @ both.T, rtol=0.01, atol=0.01)
    for one, other in pairwise((u[:, 0], v[:, 1], u[:, 2])):
        assert abs(float(torch.corrcoef(torch.stack([one, other]))[0, 1])) < 0.03


def test_standardised_vectors_have_mean_0_and_deviation_1(pair):
    for side in draws_of(pair[0]).pairs(*pair):
        torch.testing.assert_close(side.mean(2), torch.zeros_like(side[..., 0]), rtol=0, atol=1e-9)
        torch.testing.assert_close(side.square().mean(2), torch.ones_like(side[..., 0]), rtol=1e-6, atol=0)


def test_estimates_are_distributed_as_those_of_matrices(pair):
    """Means of 40 seeds within three standard errors of their difference, deviations within a third."""
    x, moved = pair
    found = {}
    for drawn in (True, False):
        runs = [estimator(x, drawn=drawn, seed=seed) for seed in range(40)]
        response = Response(moved, moved, None)
        found[drawn] = torch.stack([torch.stack([run(response, t) for t in range(1, 5)])[-1] for run in runs])
    (mean_drawn, std_drawn), (mean_made, std_made) = (
        (found[d].mean(0), found[d].std(0)) for d in (True, False)
    )
    error = ((std_drawn**2 + std_made**2) / 40).sqrt()
    assert bool(((mean_drawn - mean_made).abs() < 3 * error).all())
    assert bool(((std_drawn / std_made).log().abs() < 0.4).all())


@pytest.mark.parametrize("marginals", ["shuffle", "all_pairs"])
@pytest.mark.parametrize("standardize", [True, False])
def test_the_gradient_is_the_bounds_own(pair, marginals, standardize):
    x, moved = pair[0], pair[1].clone().requires_grad_()
    one = estimator(x, marginals=marginals, standardize=standardize, redraw=False, count=12)
    one(Response(moved.detach(), moved.detach(), None), 1)
    assert torch.autograd.gradcheck(lambda moved: one(Response(moved, moved, None), 0), (moved,))


@pytest.mark.parametrize("bound", ["donsker_varadhan", "infonce", "smile"])
def test_an_ascent_is_that_of_full_vectors_by_torch(pair, bound):
    """The same weights, orders and vectors, given to the networks that know nothing of their law."""
    x, moved = pair
    draws, order = draws_of(x, 1), torch.randperm(COUNT, generator=torch.Generator().manual_seed(1))
    own = {"hidden": 10, "seed": 0, "bound": bound, "marginals": "shuffle", "learning_rate": 1e-3}
    u, v = draws.pairs(x, moved)
    whole = initial_networks(u, torch.arange(4), stream="mine/", reduced=False, compiled=False, **own)
    whole.ascend(whole.left.enter(u), whole.right.enter(v), torch.stack([order] * 5))
    expected = whole.bound(whole.left.enter(u), whole.right.enter(v), v, order)
    for compiled in (True, False) if bound == "donsker_varadhan" else (None,):
        drawn = DrawnNetworks(x, torch.arange(4), size=SIZE, compiled=compiled, **own)
        sides = draws.clean_side(x), *draws.moved_side(x, moved)
        drawn.ascend(draws, *sides, torch.stack([order] * 5))
        torch.testing.assert_close(drawn.judge(draws, *sides, order)[0], expected)


def test_one_sample_is_the_same_alone(pair):
    x, moved = pair
    whole, alone = estimator(x), estimator(x[:1])
    for iteration in range(4):
        together = whole(Response(moved, moved, None), iteration)
        torch.testing.assert_close(alone(Response(moved[:1], moved[:1], None), iteration), together[:1])


def test_fixed_draws_stay_and_redrawn_ones_change(pair):
    x, moved = pair
    for redraw in (True, False):
        one = estimator(x, redraw=redraw)
        values = [one(Response(moved, moved, None), 0), one(Response(moved, moved, None), 0)]
        torch.testing.assert_close(*values)
        assert not torch.equal(draws_of(x).g, draws_of(x, 1).g)


def test_the_kernel_is_refused_where_there_is_none(pair):
    with pytest.raises(ConfigError, match=r"similarity.compiled = true: .* all_pairs; use null"):
        estimator(pair[0], marginals="all_pairs", compiled=True)
