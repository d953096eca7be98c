"""What paired seeds tell: intervals, p-values, and what a gain is worth in samples."""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.05  # of a test; intervals hold 1 − LEVEL
_RESAMPLES = 9999
_GRID = 10_000  # points at which a learning curve is read backwards


@dataclass(frozen=True)
class Estimate:
    """A mean over n paired seeds, its 95 % interval, and the two-sided p of no difference at all."""

    mean: float
    low: float
    high: float
    p: float
    seeds: int


def estimate(gains: Sequence[float]) -> Estimate:
    """BCa bootstrap interval (Efron 1987) and sign-flip permutation p of one cell's gains, one a seed, n > 1.

    Of up to 13 seeds all 2ⁿ flips are made; of more, 9,999 drawn ones.
    """
    return estimate_over([gains])


def estimate_over(cells: Sequence[Sequence[float]]) -> Estimate:
    """The same of the mean over cells, each with the gains of the same n seeds.

    A seed is resampled with all its cells (every cell is in every resample), and its sign flipped in all at
    once, since its runs there may share data and initial weights.
    """
    values = np.asarray(cells, dtype=float)  # (cells, n)
    mean = float(values.mean())
    low, high = _bootstrapped(values)
    return Estimate(mean, low, high, _sign_flip_p(values.mean(axis=0)), values.shape[1])


def _bootstrapped(values: NDArray[np.float64]) -> tuple[float, float]:
    if not np.isfinite(values).all():
        return math.nan, math.nan
    seeds = values.mean(axis=0)  # every cell is in every resample
    if np.ptp(seeds) == 0:
        return float(values.mean()), float(values.mean())
    from scipy.stats import bootstrap

    for method in ("BCa", "percentile"):  # BCa may find no interval for very few values
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = bootstrap(
                (seeds,), np.mean, n_resamples=_RESAMPLES, method=method, rng=np.random.default_rng(0)
            ).confidence_interval
        low, high = float(found.low), float(found.high)
        if math.isfinite(low) and math.isfinite(high):
            break
    return low, high


def _sign_flip_p(values: NDArray[np.float64]) -> float:
    if not np.isfinite(values).all():
        return math.nan
    from scipy.stats import permutation_test

    test = permutation_test(
        (values,),
        np.mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=_RESAMPLES,
        rng=np.random.default_rng(0),
    )
    return float(test.pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values (Holm 1979), each comparable with the level itself; NaN stays and counts as 1."""
    order = sorted(range(len(p_values)), key=lambda i: math.inf if math.isnan(p_values[i]) else p_values[i])
    adjusted, largest = [math.nan] * len(p_values), 0.0
    for rank, i in enumerate(order):
        if not math.isnan(p_values[i]):
            largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
            adjusted[i] = largest
    return adjusted


def least_p(seeds: int, arms: int = 1) -> float:
    """The smallest p that so many paired seeds can give, after Holm's correction for so many arms."""
    return min(1.0, arms * 2.0 ** (1 - seeds))


def seeds_needed(arms: int = 1) -> int:
    """The fewest seeds with which p can fall below the level."""
    return math.floor(1 + math.log2(arms / LEVEL)) + 1


def further_seeds(found: Estimate, margin: float) -> float:
    """About how many seeds would decide, if mean and spread stayed as they are.

    That is, have the interval leave out 0, or lie within ± the margin: its width falls as 1/√n.
    """
    half = (found.high - found.low) / 2
    aim = max(abs(found.mean), margin - abs(found.mean))
    return math.inf if aim == 0 else max(found.seeds + 1, math.ceil(found.seeds * (half / aim) ** 2))


class LearningCurve:
    """A loss as a function of the number of samples: monotone, interpolated in log n.

    The means are made to fall first (isotonic regression), where chance let one rise; between them runs a
    monotone cubic (Fritsch and Butland 1984).

    Args:
        losses: by the number of samples; lower is better.
    """

    def __init__(self, losses: Mapping[int, float]) -> None:
        self.sizes = sorted(losses)
        values = np.array([losses[size] for size in self.sizes], dtype=float)
        self._falls = len(values) > 1 and bool(np.isfinite(values).all())
        if not self._falls:
            return
        from scipy.interpolate import PchipInterpolator
        from scipy.optimize import isotonic_regression

        self._values = isotonic_regression(values, increasing=False).x
        self._falls = bool(self._values[0] > self._values[-1])
        logs = np.log(self.sizes)
        self._logs = np.linspace(logs[0], logs[-1], _GRID)
        self._grid = PchipInterpolator(logs, self._values)(self._logs)

    def loss(self, size: int) -> float:
        """At one of its own sizes; NaN where there is no curve, or it is level there."""
        if not self._falls:
            return math.nan
        at = self.sizes.index(size)
        around = self._values[max(at - 1, 0) : at + 2]
        return float(self._values[at]) if len(set(around)) == len(around) else math.nan

    def samples(self, loss: float) -> float:
        """With how many samples it comes down to this loss.

        ∞ where it does so beyond its last size at best, −∞ before its first, NaN where it doesn't fall.
        """
        if not self._falls or math.isnan(loss):
            return math.nan
        if loss < self._values[-1]:
            return math.inf
        if loss > self._values[0]:
            return -math.inf
        return float(np.exp(np.interp(-loss, -self._grid, self._logs)))
