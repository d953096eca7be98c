"""Coordinates instead of vectors: the same function before, during and after the ascent."""

import pytest
import torch
from torch import Tensor

from uae_cli.errors import ConfigError
from uae_cli.mi.networks import CompiledNetworks, LinearLayer, StatisticsNetworks, initial_networks

SIZES = [(4, 9), (5, 6), (6, 6), (9, 4)]  # K vectors of D values; reduced where K < D


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def layer(k: int, d: int) -> LinearLayer:
    weights = normal(2, 3, d)
    return LinearLayer(weights, weights.new_empty(2, 3, min(k, d)))


def networks(
    k: int, d: int, *, compiled: bool, dtype: torch.dtype = torch.float64, **settings
) -> StatisticsNetworks:
    return (CompiledNetworks if compiled else StatisticsNetworks)(
        left=normal(2, 3, d, seed=10, dtype=dtype),
        right=normal(2, 3, d, seed=11, dtype=dtype),
        bias=normal(2, 3, seed=12, dtype=dtype),
        head=normal(2, 3, seed=13, dtype=dtype),
        vectors=k,
        **({"marginals": "all_pairs", "learning_rate": 0.05} | settings),
    )


@pytest.mark.parametrize(("k", "d"), SIZES)
def test_entering_changes_the_coordinates_and_not_the_function(k, d):
    linear, vectors = layer(k, d), normal(2, k, d, seed=1)
    expected = linear.weights @ vectors.mT
    coordinates = linear.enter(vectors)
    torch.testing.assert_close(linear.coefficients @ coordinates, expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(("k", "d"), SIZES)
def test_leaving_carries_what_was_learnt_to_the_full_weights(k, d):
    linear, vectors = layer(k, d), normal(2, k, d, seed=1)
    coordinates = linear.enter(vectors)
    linear.coefficients += normal(*linear.coefficients.shape, seed=2)
    learnt = linear.coefficients @ coordinates
    linear.leave()
    torch.testing.assert_close(linear.weights @ vectors.mT, learnt, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize(("k", "d"), SIZES[:2])
def test_what_was_learnt_stays_in_the_span_of_the_vectors(k, d):
    linear, vectors = layer(k, d), normal(2, k, d, seed=1)
    start = linear.weights.clone()
    linear.enter(vectors)
    linear.coefficients += 1
    linear.leave()
    change = linear.weights - start
    basis = torch.linalg.qr(vectors.mT).Q
    torch.testing.assert_close(change @ basis @ basis.mT, change, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize(("k", "d"), SIZES)
def test_leaving_untrained_changes_nothing(k, d):
    linear, vectors = layer(k, d), normal(2, k, d, seed=1)
    start = linear.weights.clone()
    linear.enter(vectors)
    linear.leave()
    assert torch.equal(linear.weights, start)


@pytest.mark.parametrize("compiled", [False, True], ids=["torch", "compiled"])
@pytest.mark.parametrize(("k", "d"), SIZES)
def test_the_bound_outlives_leaving_and_entering_again(k, d, compiled):
    nets, u, v = networks(k, d, compiled=compiled), normal(2, k, d, seed=1), normal(2, k, d, seed=2)
    order = torch.arange(k)
    entered, coordinates = nets.left.enter(u), nets.right.enter(v)
    before = nets.bound(entered, coordinates, v, order)
    nets.ascend(entered, coordinates, order.expand(20, k))
    after = nets.bound(entered, coordinates, v, order)
    nets.right.leave()
    nets.left.leave()
    again = nets.bound(nets.left.enter(u), nets.right.enter(v), v, order)
    torch.testing.assert_close(again, after, rtol=1e-7, atol=1e-8)
    assert bool((after > before + 0.01).all()), "twenty ascent steps raise the bound"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("marginals", ["all_pairs", "shuffle"])
@pytest.mark.parametrize(("k", "d"), SIZES)
def test_the_compiled_ascent_is_torchs(k, d, marginals, dtype):
    u, v = normal(2, k, d, seed=1, dtype=dtype), normal(2, k, d, seed=2, dtype=dtype)
    orders = torch.stack([torch.randperm(k, generator=torch.Generator().manual_seed(i)) for i in range(8)])

    def trained(compiled: bool) -> list[Tensor]:
        nets = networks(k, d, compiled=compiled, dtype=dtype, marginals=marginals)
        for _ in range(3):
            entered, coordinates = nets.left.enter(u), nets.right.enter(v)
            nets.ascend(entered, coordinates, orders)
            nets.right.leave()
            nets.left.leave()
        return [nets.bound(entered, coordinates, v, orders[0]), nets.left.weights, nets.right.weights]

    close = {"rtol": 1e-9, "atol": 1e-10} if dtype == torch.float64 else {"rtol": 1e-3, "atol": 1e-4}
    for ours, theirs in zip(trained(True), trained(False), strict=True):
        torch.testing.assert_close(ours, theirs, **close)


@pytest.mark.parametrize("threads", [2, 5])
def test_the_compiled_ascent_shares_samples_among_threads(threads):
    """Two samples: one for each of two threads, and fewer than five threads."""
    vectors, order = normal(2, 4, 9, seed=1), torch.arange(4).expand(10, 4)

    def trained(count: int) -> Tensor:
        torch.set_num_threads(count)
        nets = networks(4, 9, compiled=True)
        u, v = nets.left.enter(vectors), nets.right.enter(vectors)
        for _ in range(2):
            nets.ascend(u, v, order)
        return nets.bound(u, v, vectors, order[0])

    assert torch.equal(trained(threads), trained(1))


def flawed(flaw: str, dtype: torch.dtype) -> Tensor:
    """(2, 5, 8) vectors whose Gram matrix is singular in the first sample."""
    vectors = normal(2, 5, 8, seed=1, dtype=dtype)
    match flaw:
        case "dead":
            vectors[0, [1, 4]] = 0
        case "equal":
            vectors[0, 3] = vectors[0, 1]
        case "parallel":
            vectors[0, 3] = -2.5 * vectors[0, 1]
        case "all dead":
            vectors[0] = 0
        case "tiny":
            vectors[0] *= 1e-12
        case "huge spread":
            vectors[0, 2] *= 1e6
    return vectors


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("compiled", [False, True], ids=["torch", "compiled"])
@pytest.mark.parametrize("flaw", ["dead", "equal", "parallel", "all dead", "tiny", "huge spread"])
def test_singular_vectors_give_finite_numbers_and_leave_neighbours_alone(flaw, compiled, dtype):
    def trained(vectors: Tensor) -> tuple[StatisticsNetworks, Tensor]:
        nets, order = networks(5, 8, dtype=dtype, compiled=compiled), torch.arange(5).expand(10, 5)
        for _ in range(3):
            u, v = nets.left.enter(vectors), nets.right.enter(vectors)
            nets.ascend(u, v, order)
            nets.right.leave()
            nets.left.leave()
        return nets, nets.bound(u, v, vectors, order[0])

    nets, bound = trained(flawed(flaw, dtype))
    _, sound = trained(flawed("none", dtype))
    for values in (bound, nets.left.weights, nets.right.weights):
        assert bool(values.isfinite().all())
    assert float(nets.right.weights.abs().max()) < 20, "weights ran away along a direction without data"
    torch.testing.assert_close(bound[1], sound[1])


@pytest.mark.parametrize("compiled", [False, True], ids=["torch", "compiled"])
def test_weights_of_dead_maps_stay_where_they_were(compiled):
    nets, vectors = networks(2, 4, compiled=compiled), torch.zeros(2, 2, 4, dtype=torch.float64)
    start = nets.right.weights.clone()
    nets.ascend(nets.left.enter(vectors), nets.right.enter(vectors), torch.arange(2).expand(5, 2))
    nets.right.leave()
    assert torch.equal(nets.right.weights, start)


@pytest.mark.parametrize(("device", "bound"), [("meta", "donsker_varadhan"), ("cpu", "infonce")])
def test_the_kernel_is_for_cpus_and_one_bound_alone(device, bound):
    vectors = torch.empty(2, 4, 9, device=device)
    settings = {"hidden": 3, "seed": 0, "stream": "", "marginals": "shuffle", "learning_rate": 0.1}
    message = rf"similarity.compiled = true: the kernel is for CPUs .* is {device} and {bound}; use null"
    with pytest.raises(ConfigError, match=message):
        initial_networks(vectors, torch.arange(2), **settings, bound=bound, compiled=True)
