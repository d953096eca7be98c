"""MinMax on problems whose answers are known in closed form."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from uae_cli.attacks.solvers.base import glorot_limit

X = torch.tensor([[0.5, 0.5, 0.05], [0.9, 0.1, 0.3]], dtype=torch.float64)
SLOPE = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
INNER = torch.tensor([[0.5, 0.5, 0.5], [0.9, 0.6, 0.3]], dtype=torch.float64)  # far from the box's walls
INDEX = torch.tensor([3, 11])


def linear(x: Tensor, _t: int) -> Tensor:
    return x @ SLOPE


def distance(centre: Tensor):
    """½‖x − centre‖², whose gradient is x − centre."""
    return lambda x, _t=0: (x - centre).square().sum(1) / 2


def solve(solver, problem, index: Tensor = INDEX, seed: int = 0):
    return solver.run(replace(problem, batch=replace(problem.batch, index=index, seed=seed)))


@pytest.mark.parametrize("step", ["gradient", "sign"])
@pytest.mark.parametrize("epsilon", [0.2, 1.0])
@pytest.mark.parametrize(("goal", "way"), [("minimize", -1), ("maximize", 1)])
def test_a_linear_similarity_ends_in_the_corner_of_the_box(minmax, problem, goal, way, epsilon, step):
    found = solve(
        minmax(alpha=0.05, iterations=60, epsilon=epsilon, step=step), problem(X, linear, goal=goal)
    )
    corner = (X + way * epsilon * SLOPE.sign()).clamp(0, 1)
    torch.testing.assert_close(found.x, corner)
    torch.testing.assert_close(found.similarity, linear(corner, 0))
    assert found.success.tolist() == [True, True]


def test_a_quadratic_similarity_ends_in_the_projection_on_the_box(minmax, problem):
    centre = torch.tensor([0.55, 1.4, -0.3], dtype=torch.float64)
    found = solve(minmax(alpha=0.3, iterations=60, epsilon=0.2), problem(X, distance(centre)))
    expected = torch.minimum(torch.maximum(centre, X - 0.2), X + 0.2).clamp(0, 1)
    torch.testing.assert_close(found.x, expected)


def test_with_an_active_criterion_it_ends_in_the_projection_on_the_half_space(minmax, problem):
    """Nearest point to x with w·x' ≤ b. Without decay (a large exponent), c is plain dual ascent."""
    w, b = torch.tensor([0.6, 0.8, 0.0], dtype=torch.float64), torch.tensor([0.5, 0.8], dtype=torch.float64)
    solver = minmax(alpha=0.01, beta=0.5, iterations=600, c_decay_exponent=30.0)
    found = solve(solver, problem(INNER, distance(INNER), lambda x: x @ w - b))
    expected = INNER - (INNER @ w - b).unsqueeze(1) * w
    torch.testing.assert_close(found.x, expected, rtol=0, atol=2e-3)
    assert bool((found.x @ w <= b).all())


def test_with_full_decay_c_settles_at_the_excess_it_leaves(minmax, problem):
    """At exponent 0 the fixed point is c = f⁺, x' = x − c·w: c = (w·x − b) / (1 + ‖w‖²)."""
    w, b = torch.tensor([0.6, 0.8, 0.5], dtype=torch.float64), 0.2
    found = solve(
        minmax(alpha=0.05, iterations=500, c_decay_exponent=0.0),
        problem(INNER, distance(INNER), lambda x: x @ w - b),
    )
    expected = (INNER @ w - b) / (1 + w @ w)
    torch.testing.assert_close(found.trace.c[:, -1], expected)
    torch.testing.assert_close(found.trace.f[:, -1], expected)


# β = 0.5, c₀ = 1, f = 2, −1, 0.4; worked by hand: c ← (1 − ½/t^r) c + ½ f⁺
@pytest.mark.parametrize(
    ("exponent", "expected"),
    [
        (0.0, [1.5, 0.75, 0.575]),
        (0.25, [1.5, 0.869328, 0.739055]),
        (0.5, [1.5, 0.969670, 0.889750]),
        (1.0, [1.5, 1.125, 1.1375]),
    ],
)
def test_c_follows_its_recursion(minmax, problem, exponent, expected):
    values = iter([9.0, 2.0, -1.0, 0.4])  # the first is the starting point's, which c never sees
    found = solve(
        minmax(beta=0.5, c_start=1.0, iterations=3, c_decay_exponent=exponent),
        problem(X, linear, lambda x: next(values) + 0 * x.sum(1)),
    )
    assert found.trace.c[0].tolist() == pytest.approx(expected, abs=2e-6)
    assert found.trace.f[0].tolist() == [2.0, -1.0, 0.4]


def test_c_is_each_samples_own(minmax, problem):
    found = solve(minmax(beta=1.0, iterations=1, alpha=1e-9), problem(X, linear, lambda x: x[:, 0] - 0.6))
    assert found.trace.c[:, 0].tolist() == pytest.approx([0.0, 0.3])


@pytest.mark.parametrize(
    ("goal", "c", "f_offset", "slope"),
    [
        ("minimize", 0.0, 1.0, [1.0, -2.0, 0.5]),
        ("minimize", 3.0, 1.0, [1.0, -2.0, 3.5]),  # S + c·f⁺ with f rising in the last value
        ("maximize", 3.0, 1.0, [-1.0, 2.0, 2.5]),
        ("minimize", 3.0, -9.0, [1.0, -2.0, 0.5]),  # f < 0: the criterion doesn't pull
    ],
)
@pytest.mark.parametrize("step", ["gradient", "sign"])
def test_one_step_is_alpha_times_the_losss_slope_or_its_sign(minmax, problem, goal, c, f_offset, slope, step):
    seen = {}

    def similarity(x: Tensor, t: int) -> Tensor:
        seen[t] = x.detach()
        return linear(x, t)

    solve(minmax(c_start=c, step=step), problem(X, similarity, lambda x: x[:, 2] + f_offset, goal=goal))
    expected = torch.tensor(slope, dtype=torch.float64)
    torch.testing.assert_close(
        seen[0] - seen[1], 0.01 * (expected.sign() if step == "sign" else expected).expand(2, 3)
    )


@pytest.mark.parametrize("start", ["zero", "glorot", 0.7])
@pytest.mark.parametrize("epsilon", [0.03, 0.3, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_iterate_is_an_image_within_epsilon(minmax, problem, start, epsilon, dtype):
    x = torch.rand(5, 1, 4, 4, generator=torch.Generator().manual_seed(0)).to(dtype)
    x[0], x[1] = 0, 1
    seen = []

    def wild(moved: Tensor, t: int) -> Tensor:
        seen.append(moved.detach())
        return ((moved + 0.1 * t) * 37).sin().flatten(1).sum(1)

    solver = minmax(alpha=0.05, iterations=15, epsilon=epsilon, delta_start=start)
    seen.append(solve(solver, problem(x, wild), torch.arange(5)).x)
    iterates = torch.stack(seen)
    assert float(iterates.min()) >= 0
    assert float(iterates.max()) <= 1
    assert float((iterates - x).abs().max()) <= epsilon * (1 + 1e-6)
    assert float((iterates - x).abs().max()) > 0.01, "nothing moved, so nothing was tested"


def at_start(solver, problem, x: Tensor, index: Tensor, seed: int = 0) -> Tensor:
    """δ of the starting point."""
    seen = {}

    def similarity(moved: Tensor, t: int) -> Tensor:
        seen[t] = moved.detach()
        return moved.flatten(1).sum(1)

    solve(solver, problem(x, similarity), index, seed)
    return seen[0] - x


def test_the_start_is_the_sample_itself(minmax, problem):
    assert not bool(at_start(minmax(delta_start="zero"), problem, X, INDEX).any())


# The grey box leaves room for every δ; glorot on (1, 28, 28): √(6 / (28·28 + 28·1)) = 0.08596
@pytest.mark.parametrize(
    ("start", "epsilon", "limit"), [("glorot", 1.0, 0.08596), (0.3, 1.0, 0.3), (0.3, 0.1, 0.1)]
)
def test_a_random_start_is_uniform_up_to_its_limit(minmax, problem, start, epsilon, limit):
    grey = torch.full((20, 1, 28, 28), 0.5, dtype=torch.float64)
    delta = at_start(minmax(delta_start=start, epsilon=epsilon), problem, grey, torch.arange(20))
    assert float(delta.abs().max()) == pytest.approx(limit, rel=1e-3)
    assert abs(float(delta.mean())) < 0.02 * limit
    if epsilon == 1:
        assert float(delta.std()) == pytest.approx(limit / 3**0.5, rel=0.02)


def test_a_start_is_its_samples_own_and_its_seeds(minmax, problem):
    grey = torch.full((3, 5), 0.5, dtype=torch.float64)
    solver, index = minmax(delta_start="glorot"), torch.tensor([4, 7, 9])
    delta = at_start(solver, problem, grey, index)
    turned = at_start(solver, problem, grey, index.flip(0))
    assert torch.equal(turned.flip(0), delta)
    assert not torch.equal(at_start(solver, problem, grey, index, seed=1), delta)


@pytest.mark.parametrize(
    ("shape", "limit"),
    [((1, 28, 28), 0.08596), ((3, 32, 32), 0.07319), ((1, 8, 8), 0.28868), ((617,), 0.09853)],
)
def test_glorot_limits_worked_by_hand(shape, limit):
    assert glorot_limit(shape) == pytest.approx(limit, abs=1e-5)


def scripted(problem, f: list[float], s: list[float], **changes):
    """A one-sample problem whose f and S at iteration t are given; iterate t is marked by its value."""
    x = torch.tensor([[0.5]], dtype=torch.float64)
    turn = iter([0.0, *f])
    return problem(
        x,
        lambda moved, t: [0.0, *s][t] + moved.sum(1) - moved.sum(1).detach(),
        lambda moved: next(turn) + 0 * moved.sum(1),
        **changes,
    )


# Each iteration moves the value by −0.01 (minimise) or +0.01 (maximise), so δ tells which was kept
@pytest.mark.parametrize(
    ("f", "s", "settings", "kept"),
    [
        ([-1, -1, -1], [3, 1, 2], {}, 2),
        ([-1, 1, -1], [3, 1, 2], {}, 3),  # the best of all fails the criterion
        ([0, -1, 1], [1, 2, 0], {}, 1),  # f = 0 is success
        ([-1, -1, -1], [2.0, 1.0, 1.0 + 1e-9], {}, 2),
        ([-1, -1, -1], [2, -1, 0], {}, 2),
        ([-1, -1, -1], [2, -1, 0], {"require_positive": True}, 1),
        ([-1, -1, -1], [-2, 0, 3], {"require_positive": True}, 3),
        ([-1, -1, -1], [1, 3, 2], {"goal": "maximize"}, 2),
        ([1, 2, 3], [1, 2, 3], {}, None),
        ([-1, -1, -1], [0, -1, -2], {"require_positive": True}, None),
        ([-1, -1, -1], [float("nan"), 5, float("nan")], {}, 2),
        ([float("nan")] * 3, [1, 2, 3], {}, None),
    ],
)
def test_the_best_successful_iterate_is_kept(minmax, problem, f, s, settings, kept):
    found = solve(minmax(iterations=3), scripted(problem, f, s, **settings), INDEX[:1])
    way = 1 if settings.get("goal") == "maximize" else -1
    assert found.success.tolist() == [kept is not None]
    assert float(found.x) == pytest.approx(0.5 if kept is None else 0.5 + way * 0.01 * kept)
    if kept is None:
        assert bool(found.similarity.isnan())
    else:
        assert float(found.similarity) == pytest.approx(s[kept - 1])


def test_a_failed_sample_keeps_its_original_bit_for_bit(minmax, problem):
    x = torch.rand(40, 3, generator=torch.Generator().manual_seed(0))
    hopeless = torch.arange(40) % 2 == 0
    found = solve(
        minmax(iterations=5, delta_start="glorot"),
        problem(x, lambda moved, _t: moved.sum(1), lambda moved: hopeless * 2.0 - 1 + 0 * moved.sum(1)),
        torch.arange(40),
    )
    assert torch.equal(found.success, ~hopeless)
    assert torch.equal(found.x[hopeless], x[hopeless])
    assert not bool((found.x[~hopeless] == x[~hopeless]).all(dim=1).any())
    assert torch.equal(found.similarity.isnan(), hopeless)


def test_traces_hold_every_iteration_and_the_bar_is_told(minmax, problem):
    told = []
    solver = minmax(iterations=7)
    found = solver.run(problem(X, linear), on_iteration=told.append)
    assert {trace.shape for trace in (found.trace.f, found.trace.similarity, found.trace.c)} == {(2, 7)}
    assert told == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    "setting",
    [
        {"alpha": 0.0},
        {"alpha": -1.0},
        {"alpha": float("inf")},
        {"beta": 0.0},
        {"beta": 1.01},
        {"beta": float("nan")},
        {"iterations": 0},
        {"epsilon": 0.0},
        {"c_start": -1e-3},
        {"c_decay_exponent": -0.25},
        {"delta_start": "uniform"},
        {"delta_start": 0.0},
        {"step": "newton"},
        {"stray": 1},
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused(minmax, setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        minmax(**setting)
