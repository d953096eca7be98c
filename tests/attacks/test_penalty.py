"""The binary search over c against sequences worked by hand, and what the solver shares with MinMax."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from uae_cli.attacks.solvers.penalty import Bounds, Penalty

X = torch.tensor([[0.5, 0.5, 0.5], [0.9, 0.6, 0.3]], dtype=torch.float64)
INDEX = torch.tensor([0, 1])
PLAIN = {
    "alpha": 0.01,
    "iterations": 4,
    "searches": 4,
    "epsilon": 1.0,
    "c_start": 1e-3,
    "delta_start": "zero",
    "step": "gradient",
}


def penalty(**changes) -> Penalty:
    return Penalty(**(PLAIN | changes))


# S a success, F a failure: what c is tried next
@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ("FFFF", [0.001, 0.01, 0.1, 1.0, 10.0]),
        ("SSSS", [0.001, 0.0005, 0.00025, 0.000125, 0.0000625]),
        ("SFSF", [0.001, 0.0005, 0.00075, 0.000625, 0.0006875]),
        ("FFSFSF", [0.001, 0.01, 0.1, 0.055, 0.0775, 0.06625, 0.071875]),
        ("FSSSF", [0.001, 0.01, 0.0055, 0.00325, 0.002125, 0.0026875]),
    ],
)
def test_c_follows_the_search(outcomes, expected):
    bounds = Bounds(torch.tensor([1e-3], dtype=torch.float64))
    tried = [float(bounds.c)]
    for outcome in outcomes:
        bounds.learn(torch.tensor([outcome == "S"]))
        tried.append(float(bounds.c))
    assert tried == pytest.approx(expected)


def test_c_grows_no_further_than_in_the_program_of_carlini_and_wagner():
    bounds, tried = Bounds(torch.tensor([1e8])), []
    for _ in range(40):
        bounds.learn(torch.tensor([False]))
        tried.append(float(bounds.c))
    assert tried[:2] == pytest.approx([1e9, 1e10])
    assert set(tried[1:]) == {1e10}
    bounds.learn(torch.tensor([True]))
    assert float(bounds.c) == 1e10, "it failed there before"


def test_every_sample_is_searched_for_itself(problem):
    """The first sample succeeds always, the second never."""
    never = torch.tensor([-1.0, 1.0], dtype=torch.float64)
    attacked = problem(X, lambda x, _t: x.sum(1), lambda x: never + 0 * x.sum(1))
    found = penalty(iterations=8).run(attacked)
    expected = [[0.001] * 2 + [0.0005] * 2 + [0.00025] * 2 + [0.000125] * 2]
    expected.append([0.001] * 2 + [0.01] * 2 + [0.1] * 2 + [1.0] * 2)
    torch.testing.assert_close(found.trace.c, torch.tensor(expected, dtype=torch.float64))
    assert found.success.tolist() == [True, False]
    assert torch.equal(found.x[1], X[1])


def test_the_best_iterate_of_all_searches_is_kept(problem):
    """S is smaller in the second search than in any other, and only its first iterate is."""
    values = iter([9.0, 5.0, 4.0, 9.0, 1.0, 3.0, 9.0, 6.0, 7.0])  # start and two iterates, three times

    def similarity(x: Tensor, _t: int) -> Tensor:
        return next(values) + 0 * x.sum(1)

    found = penalty(iterations=6, searches=3).run(problem(X, similarity))
    assert found.similarity.tolist() == [1.0, 1.0]
    assert found.trace.similarity[0].tolist() == [5.0, 4.0, 1.0, 3.0, 6.0, 7.0]


def test_each_search_begins_anew_from_the_same_start(problem):
    begun = []
    attacked = problem(X, lambda x, _t: x.sum(1), lambda x: x[:, 0] - 0.2)

    def counted():
        similarity, seen = attacked.bind_similarity(), []
        begun.append(seen)

        def call(response, iteration):
            seen.append((iteration, response.x.detach()))
            return similarity(response, iteration)

        return call

    told: list[int] = []
    counting = replace(attacked, bind_similarity=counted)
    penalty(iterations=6, searches=3, delta_start=0.1).run(counting, on_iteration=told.append)
    assert [[iteration for iteration, _ in seen] for seen in begun] == [[0, 1, 2]] * 3
    starts = [seen[0][1] for seen in begun]
    assert torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[0], X)
    assert told == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("iterations", "searches", "total"), [(9000, 9, 9000), (40, 2, 40), (10, 4, 8), (3, 9, 3), (1, 1, 1)]
)
def test_the_iterations_are_split_over_the_searches(iterations, searches, total):
    assert penalty(iterations=iterations, searches=searches).total_iterations == total


def test_one_search_is_one_descent_at_that_c(problem, minmax):
    """With c held still, MinMax takes the same path."""

    def linear(x: Tensor, _t: int) -> Tensor:
        return x @ torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)

    attacked = problem(X, linear, lambda x: x[:, 2] - 0.107)
    ours = penalty(searches=1, iterations=9, c_start=2.0).run(attacked)
    theirs = minmax(beta=1e-12, c_start=2.0, iterations=9, c_decay_exponent=0.0).run(attacked)
    torch.testing.assert_close(ours.trace.f, theirs.trace.f)
    torch.testing.assert_close(ours.x, theirs.x)


def test_an_iterate_that_needs_positive_information_is_no_success(problem):
    attacked = problem(X, lambda x, _t: -1 + 0 * x.sum(1), require_positive=True)
    found = penalty(iterations=2, searches=2).run(attacked)
    assert found.success.tolist() == [False, False]
    assert found.trace.c[0].tolist() == pytest.approx([0.001, 0.01])


@pytest.mark.parametrize("change", [{"c_start": 0.0}, {"searches": 0}, {"alpha": -1.0}], ids=str)
def test_settings_out_of_range_are_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        penalty(**change)
