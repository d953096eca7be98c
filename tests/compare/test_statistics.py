"""Against closed forms, and against what must not change the answer."""

import math
from itertools import product
from statistics import fmean

import numpy as np
import pytest
from scipy.stats import bootstrap

from uae_cli.compare.statistics import (
    LEVEL,
    Estimate,
    LearningCurve,
    estimate,
    estimate_over,
    further_seeds,
    holm,
    least_p,
    seeds_needed,
)

GAINS = [2.1, -0.4, 3.3, 1.2, 0.8, 2.6, 1.9]


def test_p_is_the_share_of_all_flips_at_least_as_far_on_the_nearer_side_twice():
    means = [fmean(s * g for s, g in zip(signs, GAINS, strict=True)) for signs in product((1, -1), repeat=7)]
    as_far = sum(mean >= fmean(GAINS) - 1e-12 for mean in means)
    assert estimate(GAINS).p == pytest.approx(2 * as_far / 2**7)


@pytest.mark.parametrize("seeds", [2, 3, 6, 10])
def test_gains_all_on_one_side_have_the_smallest_p_there_is(seeds):
    assert estimate([1.0 + 0.1 * k for k in range(seeds)]).p == pytest.approx(least_p(seeds))


def test_six_seeds_are_the_fewest_for_one_arm_and_more_arms_need_more():
    assert least_p(6) < LEVEL <= least_p(5)
    for arms in (1, 2, 3, 8, 20):
        assert least_p(seeds_needed(arms), arms) < LEVEL <= least_p(seeds_needed(arms) - 1, arms)
    assert (seeds_needed(1), seeds_needed(8)) == (6, 9)


def test_the_interval_is_scipys_bca():
    expected = bootstrap(
        (GAINS,), np.mean, n_resamples=9999, method="BCa", rng=np.random.default_rng(1)
    ).confidence_interval
    found = estimate(GAINS)
    assert found.mean == pytest.approx(fmean(GAINS))
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.05)


def test_signs_turned_about_turn_the_answer_about():
    found, turned = estimate(GAINS), estimate([-gain for gain in GAINS])
    assert (turned.mean, turned.p) == pytest.approx((-found.mean, found.p))
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low), abs=0.05)


def test_gains_without_any_spread_are_an_interval_of_one_point():
    found = estimate([0.5] * 6)
    assert (found.low, found.mean, found.high) == (0.5, 0.5, 0.5)
    assert estimate([0.0] * 6).p == 1


def test_a_run_that_diverged_leaves_nothing_to_tell():
    found = estimate([1.0, math.nan, 2.0])
    assert math.isnan(found.p)
    assert math.isnan(found.low)


def test_over_cells_seeds_are_resampled_within_each():
    """A cell without spread moves the mean; two cells far apart make no wider interval than each has."""
    near, far = GAINS, [gain + 100 for gain in GAINS]
    found, alone = estimate_over([near, far]), estimate(near)
    assert found.mean == pytest.approx(fmean(GAINS) + 50)
    assert found.high - found.low < alone.high - alone.low
    still = estimate_over([near, [4.0] * 7])
    assert (still.low, still.high) == pytest.approx(((alone.low + 4) / 2, (alone.high + 4) / 2), abs=0.05)


def test_a_seeds_sign_is_flipped_in_all_cells_at_once():
    """Copies of a cell are no further evidence."""
    assert estimate_over([GAINS] * 5).p == estimate(GAINS).p


def test_holm():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.9]) == [1, 1]
    assert holm([]) == []
    adjusted = holm([0.01, math.nan])
    assert adjusted[0] == pytest.approx(0.02)
    assert math.isnan(adjusted[1])


def test_further_seeds_are_those_that_narrow_the_interval_enough():
    wide = Estimate(mean=1.0, low=-1.0, high=3.0, p=0.3, seeds=10)
    assert further_seeds(wide, margin=0.1) == 40  # twice as narrow: it ends at 0
    small = Estimate(mean=0.1, low=-1.7, high=1.9, p=0.9, seeds=10)
    assert further_seeds(small, margin=1) == 40  # ±0.9 around 0.1 lies within ±1
    assert further_seeds(Estimate(1.0, 0.9, 1.1, 0.3, 4), margin=1) == 5


CURVE = {500: 0.020, 1000: 0.015, 4000: 0.010}


def test_a_learning_curve_goes_through_its_points_and_falls():
    curve = LearningCurve(CURVE)
    for size, loss in CURVE.items():
        assert curve.loss(size) == pytest.approx(loss)
        assert curve.samples(loss) == pytest.approx(size, rel=1e-3)
    between = [curve.samples(loss) for loss in np.linspace(0.0199, 0.0101, 50)]
    assert between == sorted(between)


def test_two_points_are_joined_by_a_line_in_log_n():
    assert LearningCurve({100: 3.0, 10_000: 1.0}).samples(2.0) == pytest.approx(1000, rel=1e-3)


def test_beyond_its_ends_no_number_is_told():
    curve = LearningCurve(CURVE)
    assert curve.samples(0.009) == math.inf
    assert curve.samples(0.021) == -math.inf


@pytest.mark.parametrize("losses", [{500: 0.02}, {500: 0.02, 1000: 0.02}, {500: 0.01, 1000: 0.02}, {}])
def test_a_curve_that_does_not_fall_tells_nothing(losses):
    assert math.isnan(LearningCurve(losses).samples(0.015))


def test_a_rise_by_chance_is_levelled():
    curve = LearningCurve({500: 0.020, 1000: 0.014, 2000: 0.016, 4000: 0.010})
    assert math.isnan(curve.loss(1000)), "where it is level, a loss stands for no number of samples"
    assert math.isnan(curve.loss(2000))
