"""The bounds against their definition, term by term, and their gradients against autograd."""

import math

import pytest
import torch
from torch import Tensor

from uae_cli.mi.bound import Bound

MARGINALS = {
    "all_pairs": Bound.of("donsker_varadhan", "all_pairs").judged,
    "shuffle": Bound.of("donsker_varadhan", "shuffle").judged,
    "infonce": Bound.of("infonce", "shuffle").judged,
    "smile": Bound.of("smile", "all_pairs").judged,
    "smile, shuffle": Bound.of("smile", "shuffle").judged,
    "jensen_shannon": Bound.of("smile", "all_pairs").climbed,
    "jensen_shannon, shuffle": Bound.of("smile", "shuffle").climbed,
}
SHAPES = [(1, 1, 2), (3, 4, 5), (2, 10, 16), (2, 3, 33)]  # samples, hidden units, vectors


def parts(batch: int, hidden: int, k: int, *, scale: float = 1, seed: int = 0) -> tuple[Tensor, ...]:
    source = torch.Generator().manual_seed(seed)
    p, q = torch.randn(2, batch, hidden, k, generator=source, dtype=torch.float64) * scale
    w = torch.randn(batch, hidden, generator=source, dtype=torch.float64)
    return p, q, w, torch.randperm(k, generator=source)


def score(p: Tensor, q: Tensor, w: Tensor, i: int, j: int) -> float:
    return sum(float(w[h]) * max(0.0, float(p[h, i] + q[h, j])) for h in range(len(w)))


def by_definition(marginals: str, p: Tensor, q: Tensor, w: Tensor, order: Tensor) -> float:
    """The bound of one sample, in plain Python."""
    k = p.shape[1]
    joint = [score(p, q, w, i, i) for i in range(k)]
    if marginals == "infonce":
        rows = [sum(math.exp(score(p, q, w, i, j)) for j in range(k)) / k for i in range(k)]
        return sum(joint) / k - sum(map(math.log, rows)) / k
    shuffled = [(i, int(order[i])) for i in range(k)]
    mismatched = [(i, j) for i in range(k) for j in range(k) if i != j]
    pairs = shuffled if marginals.endswith("shuffle") else mismatched
    product = [score(p, q, w, i, j) for i, j in pairs]
    if marginals.startswith("jensen_shannon"):
        found = sum(math.log1p(math.exp(-t)) for t in joint) / k
        return -found - sum(math.log1p(math.exp(t)) for t in product) / len(pairs)
    clip = 5 if marginals.startswith("smile") else math.inf
    ratios = [math.exp(min(max(t, -clip), clip)) for t in product]
    return sum(joint) / k - math.log(sum(ratios) / len(pairs))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("marginals", MARGINALS)
def test_the_bound_is_its_definition_for_every_sample(marginals, shape, bound_of):
    p, q, w, order = parts(*shape)
    expected = [by_definition(marginals, p[b], q[b], w[b], order) for b in range(shape[0])]
    for found in (MARGINALS[marginals].gradients(p, q, w, order).bound, bound_of(marginals, p, q, w, order)):
        assert found.tolist() == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("marginals", MARGINALS)
def test_the_closed_form_gradients_are_autograds(marginals, shape, bound_of):
    p, q, w, order = parts(*shape)
    leaves = [value.clone().requires_grad_() for value in (p, q, w)]
    expected = torch.autograd.grad(bound_of(marginals, *leaves, order).sum(), leaves)
    with torch.no_grad():
        found = MARGINALS[marginals].gradients(p, q, w, order)
    for ours, autograds in zip((found.p, found.q, found.w), expected, strict=True):
        torch.testing.assert_close(ours, autograds, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("marginals", MARGINALS)
def test_the_bound_is_differentiable(marginals, bound_of):
    p, q, w, order = parts(2, 3, 4)
    leaves = [value.requires_grad_() for value in (p, q, w)]
    assert torch.autograd.gradcheck(lambda *given: bound_of(marginals, *given, order), leaves)


@pytest.mark.parametrize("marginals", MARGINALS)
def test_a_network_that_is_flat_at_zero_has_no_bound_and_no_slope_through_relu(marginals):
    p, q, w, order = parts(2, 3, 4)
    dead = -p.abs() - q.abs() - 1
    found = MARGINALS[marginals].gradients(dead, dead, w, order)
    at_zero = -2 * math.log(2) if marginals.startswith("jensen_shannon") else 0
    assert found.bound.tolist() == pytest.approx([at_zero, at_zero])
    assert all(not bool(gradient.any()) for gradient in (found.p, found.q, found.w))


@pytest.mark.parametrize("marginals", MARGINALS)
def test_huge_scores_overflow_neither_bound_nor_gradients(marginals, bound_of):
    p, q, w, order = (
        part.float() if part.is_floating_point() else part for part in parts(2, 3, 6, scale=1e4)
    )
    values = MARGINALS[marginals].gradients(p, q, w, order)
    assert all(bool(value.isfinite().all()) for value in values)
    reference = bound_of(marginals, p.double(), q.double(), w.double(), order)
    torch.testing.assert_close(values.bound.double(), reference, rtol=1e-5, atol=0)


@pytest.mark.parametrize("marginals", MARGINALS)
def test_samples_are_independent(marginals):
    p, q, w, order = parts(3, 4, 7)
    together = MARGINALS[marginals].gradients(p, q, w, order)
    alone = MARGINALS[marginals].gradients(p[1:2], q[1:2], w[1:2], order)
    for whole, part in zip(together, alone, strict=True):
        torch.testing.assert_close(whole[1:2], part, rtol=1e-12, atol=1e-14)


def test_all_pairs_needs_no_order():
    p, q, w, order = parts(2, 3, 8)
    flipped = MARGINALS["all_pairs"].gradients(p, q, w, order.flip(0)).bound
    assert torch.equal(MARGINALS["all_pairs"].gradients(p, q, w, order).bound, flipped)


def test_the_shuffled_bound_is_all_pairs_on_average():
    """Only exp T averages linearly: mean over cyclic shifts of the product term = the all-pairs term."""
    p, q, w, _ = parts(1, 3, 6)
    shifts = [torch.arange(6).roll(s) for s in range(1, 6)]
    joint = float(torch.einsum("bhk,bh->bk", torch.relu(p + q), w).mean())
    product = [
        math.exp(joint - float(MARGINALS["shuffle"].gradients(p, q, w, order).bound)) for order in shifts
    ]
    expected = joint - math.log(sum(product) / 5)
    assert float(MARGINALS["all_pairs"].gradients(p, q, w, shifts[0]).bound) == pytest.approx(expected)


def test_smile_is_the_plain_bound_where_nothing_is_clipped_and_no_smaller_elsewhere():
    for scale, same in ((0.1, True), (5, False)):
        p, q, w, order = parts(3, 4, 6, scale=scale)
        smile, plain = (MARGINALS[name].gradients(p, q, w, order).bound for name in ("smile", "all_pairs"))
        assert torch.allclose(smile, plain) is same
    assert bool((MARGINALS["smile"].gradients(p.abs(), q.abs(), w.abs(), order).bound > plain).all())
