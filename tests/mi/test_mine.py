"""Per-sample MINE against a slow reference, and on Gaussians whose mutual information is known."""

import math

import pytest
import torch
from torch import Tensor

from uae_cli.mi import FeatureMaps, MineSettings, PerSampleMine, RandomProjections
from uae_cli.mi.mine import derangement
from uae_cli.models import Response
from uae_cli.randomness import generator, uniform

STEPS, RATE, HIDDEN, SEED = 4, 0.02, 3, 5
INDEX = torch.tensor([8, 0, 30])


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def response(vectors: Tensor) -> Response:
    """A response whose feature maps are these (B, K, D) vectors."""
    return Response(x=vectors, output=vectors, features=vectors)


def mine(vectors: Tensor, index: Tensor = INDEX, **changes) -> PerSampleMine:
    marginals = changes.pop("marginals", "all_pairs")
    sampling = FeatureMaps(layer=None, marginals=marginals)
    settings = {"hidden": HIDDEN, "steps": STEPS, "learning_rate": RATE} | changes
    return PerSampleMine(MineSettings(sampling=sampling, **settings), response(vectors), index, SEED)


class Reference:
    """MINE of one sample: autograd, torch's Adam, and the coordinates of the vectors' own span."""

    def __init__(self, u: Tensor, index: int, marginals: str) -> None:
        self.k, self.size = u.shape
        self.marginals = marginals
        entry, head = (2 * self.size) ** -0.5, HIDDEN**-0.5
        self.u_weights = self._start("left", entry, index, HIDDEN, self.size)
        self.v_weights = self._start("right", entry, index, HIDDEN, self.size)
        self.reach: dict[str, float] = {}
        self.u_entered, self.a = self._coordinates("u", u, self.u_weights)
        self.b = torch.zeros(HIDDEN, min(self.k, self.size), dtype=torch.float64)
        self.bias = self._start("bias", entry, index, HIDDEN)
        self.head = self._start("head", head, index, HIDDEN)
        self.parameters = [p.requires_grad_() for p in (self.a, self.b, self.bias, self.head)]
        self.adam = torch.optim.Adam(self.parameters, lr=RATE)

    def train(self, v: Tensor, iteration: int) -> None:
        entered, start = self._coordinates("v", v, self.v_weights)
        self.b.data.copy_(start)
        source = generator(SEED, f"mine/train/{iteration}", torch.device("cpu"))
        for order in [torch.randperm(self.k, generator=source) for _ in range(STEPS)]:
            self.adam.zero_grad()
            (-self._bound(entered @ self.b.T, order)).backward()
            self.adam.step()
        # entered Δᵀ is what was learnt, as a function of the vectors: find the weights that do it
        change = self.b.detach() - start
        self.v_weights = self.v_weights + (torch.linalg.pinv(v) @ entered @ change.T).T

    def bound(self, v: Tensor) -> Tensor:
        self._coordinates("v", v.detach(), self.v_weights)  # the very first vectors settle the units
        cycle = torch.randperm(self.k, generator=generator(SEED, "mine/judge", torch.device("cpu")))
        judging = torch.empty_like(cycle)
        judging[cycle] = cycle.roll(1)
        return self._bound(v @ self.v_weights.T, judging)

    def _bound(self, v_part: Tensor, order: Tensor) -> Tensor:
        u_part = self.u_entered @ self.a.T
        joint = torch.relu(u_part + v_part + self.bias) @ self.head
        if self.marginals == "shuffle":
            product = torch.relu(u_part + v_part[order] + self.bias) @ self.head
        else:
            pairs = torch.relu(u_part[:, None] + v_part[None] + self.bias) @ self.head
            product = pairs[~torch.eye(self.k, dtype=torch.bool)]
        return joint.mean() - torch.log(torch.exp(product).mean())

    @staticmethod
    def _start(name: str, limit: float, index: int, *shape: int) -> Tensor:
        numbers = uniform(SEED, f"mine/{name}", torch.tensor([index]), math.prod(shape), torch.float64)
        return ((2 * numbers - 1) * limit).view(shape)

    def _coordinates(self, side: str, vectors: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """What replaces the vectors, and the weights that give the same function there."""
        if vectors.shape[0] >= vectors.shape[1]:
            return vectors, weights.clone()
        triangle = torch.linalg.cholesky(vectors @ vectors.T)
        triangle = triangle * self.reach.setdefault(side, float(vectors.abs().sum() / triangle.abs().sum()))
        return triangle, torch.linalg.solve(triangle, vectors @ weights.T).T.contiguous()


@pytest.mark.parametrize("marginals", ["all_pairs", "shuffle"])
@pytest.mark.parametrize(("k", "size"), [(4, 11), (7, 8), (8, 8), (20, 3)])
def test_it_is_the_slow_reference_one_sample_at_a_time(marginals, k, size):
    clean = normal(3, k, size, seed=1)
    moved = [clean + 0.3 * normal(3, k, size, seed=10 + t) for t in range(4)]
    fast = mine(clean, marginals=marginals)
    slow = [Reference(u, int(i), marginals) for u, i in zip(clean, INDEX, strict=True)]
    for t, vectors in enumerate(moved):
        leaf = vectors.clone().requires_grad_()
        bound = fast(response(leaf), t)
        (slope,) = torch.autograd.grad(bound.sum(), leaf)
        for b, reference in enumerate(slow):
            if t > 0:
                reference.train(vectors[b], t)
            v = vectors[b].clone().requires_grad_()
            expected = reference.bound(v)
            torch.testing.assert_close(bound[b], expected, rtol=1e-8, atol=1e-10)
            torch.testing.assert_close(slope[b], torch.autograd.grad(expected, v)[0], rtol=1e-7, atol=1e-10)


def test_the_starting_point_is_judged_by_an_untrained_network():
    clean = normal(3, 4, 6, seed=1)
    first, again = mine(clean), mine(clean, steps=50)
    assert torch.equal(first(response(clean), 0), again(response(clean), 0))
    assert not torch.equal(first(response(clean), 1), again(response(clean), 1))


@pytest.mark.parametrize("marginals", ["all_pairs", "shuffle"])
def test_a_sample_has_its_own_estimate_whatever_its_batch(marginals):
    clean = normal(3, 4, 6, seed=1)
    moved = clean + 0.1 * normal(3, 4, 6, seed=2)

    def estimates(rows: list[int]) -> Tensor:
        estimator = mine(clean[rows], INDEX[rows], marginals=marginals)
        return torch.stack([estimator(response(moved[rows]), t) for t in range(4)], dim=1)

    together = estimates([0, 1, 2])
    torch.testing.assert_close(estimates([2, 0]), together[[2, 0]], rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(estimates([1]), together[[1]], rtol=1e-9, atol=1e-11)


def test_redrawn_projections_train_on_both_sides_of_the_same_draw():
    """At K ≥ D nothing is reduced, so a plain training loop over the draws must agree."""
    sampling = RandomProjections(
        count=12, dimension=3, redraw=True, standardize=True, marginals="all_pairs", matrices=True
    )
    x = normal(1, 9, seed=1).sigmoid()
    y = x + 0.2 * normal(1, 9, seed=2)
    index = INDEX[:1]
    settings = MineSettings(sampling=sampling, hidden=HIDDEN, steps=STEPS, learning_rate=RATE)
    fast = PerSampleMine(settings, Response(x, x, None), index, SEED)
    draw = sampling.bind(x, SEED)
    slow = Reference(draw(Response(x, x, None), 0)[0], int(index), "all_pairs")
    for t in range(4):
        slow.u_entered, v = draw(Response(x, x, None), t)[0], draw(Response(y, y, None), t)[0]
        if t > 0:
            slow.train(v, t)
        torch.testing.assert_close(fast(Response(y, y, None), t)[0], slow.bound(v), rtol=1e-9, atol=1e-11)


def correlated(k: int, size: int, correlations: list[float]) -> tuple[Tensor, Tensor]:
    """K pairs of vectors a sample; value i of v has this correlation with value i of u."""
    u, noise = normal(2, len(correlations), k, size, seed=7).float()
    rho = torch.tensor(correlations).view(-1, 1, 1)
    return u, rho * u + (1 - rho**2).sqrt() * noise


def converged(u: Tensor, v: Tensor, *, rounds: int, **settings) -> list[float]:
    estimator = mine(u, torch.arange(len(u)), steps=20, learning_rate=5e-3, **settings)
    for t in range(1, rounds + 1):
        estimates = estimator(response(v), t)
    return estimates.tolist()


@pytest.mark.parametrize(
    ("marginals", "k", "size", "hidden", "correlations", "tolerance"),
    [
        ("shuffle", 2000, 1, 10, [0.0, 0.5, 0.8, 0.95], 0.1),
        ("shuffle", 2000, 2, 16, [0.0, 0.4, 0.6, 0.8], 0.12),
        ("shuffle", 4000, 5, 32, [0.0, 0.3, 0.45, 0.6], 0.12),
        ("all_pairs", 150, 1, 10, [0.0, 0.5, 0.8, 0.95], 0.12),
    ],
)
def test_it_finds_the_mutual_information_of_correlated_gaussians(
    marginals, k, size, hidden, correlations, tolerance
):
    u, v = correlated(k, size, correlations)
    found = converged(u, v, rounds=20, hidden=hidden, marginals=marginals)
    truth = [-size / 2 * math.log(1 - rho**2) for rho in correlations]
    assert found == sorted(found), "grows with the correlation"
    assert found == pytest.approx(truth, abs=tolerance)


@pytest.mark.parametrize("count", [2, 3, 16, 500])
def test_vectors_are_judged_by_an_order_that_leaves_none_in_its_place(count):
    orders = [derangement(count, seed) for seed in range(5)]
    for order in orders:
        assert torch.equal(order.sort().values, torch.arange(count))
        assert not bool((order == torch.arange(count)).any())
    assert count < 4 or len({tuple(order.tolist()) for order in orders}) == 5
