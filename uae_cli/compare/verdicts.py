"""From the gains of every seed to what can be said of every arm, in words that a person can act on."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import attrgetter
from statistics import fmean
from typing import Literal

from uae_cli.compare.statistics import (
    LEVEL,
    Estimate,
    LearningCurve,
    estimate_over,
    further_seeds,
    holm,
    least_p,
    seeds_needed,
)
from uae_cli.results import METRICS
from uae_cli.text import plural

EVERYWHERE = "mean over all cells"
Word = Literal["helps", "harms", "no effect", "undecided", "not measured"]


@dataclass(frozen=True)
class Cell:
    """What was measured of one kind of data, model and number of samples.

    Attributes:
        group: data and model, for people.
        n_train: samples trained on.
        values: of the measure, by arm and seed.
        gains: likewise, of the arms that are compared; positive is better.
    """

    group: str
    n_train: int
    values: Mapping[str, Mapping[int, float]]
    gains: Mapping[str, Mapping[int, float]]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What is known of one arm, in one cell or over all of them.

    Attributes:
        group: of the cell, or `EVERYWHERE`.
        n_train: of the cell; None over all of them.
        arm: its name.
        found: mean gain, interval and p; of no seeds where nothing was measured.
        p: after Holm's correction for the arms of this cell.
        word: the short answer.
        unit: of gains, % or points.
        margin: gains within ± this are of no practical size.
        worth: real samples that the interval's low end, the mean and its high end are worth; ±∞ beyond the
            learning curve, NaN where there is none.
        arms: compared in this cell.
        beyond: samples by which the learning curve goes on below and above this cell's.
    """

    group: str
    n_train: int | None
    arm: str
    found: Estimate
    p: float
    word: Word
    unit: str
    margin: float
    worth: tuple[float, float, float] = (math.nan,) * 3
    arms: int = 1
    beyond: tuple[int, int] = (0, 0)

    @property
    def text(self) -> str:
        """The answer, as in 'helps: +4.1 to +7.0 %, worth 300 samples'."""
        found = self.found
        if self.word == "not measured":
            return "not measured: fewer than two seeds have a result"
        span = f"{signed_span(found.low, found.high)} {self.unit}"
        if self.word == "no effect":
            return _no_effect(self, found.low, found.high)
        if self.word != "undecided":
            worth = self.worth_text
            return f"{self.word}: {span}{', ' if worth else ''}{worth}"
        if found.seeds < seeds_needed(self.arms):
            return f"undecided: {span}, more seeds needed ({seeds_needed(self.arms)} at least)"
        needed = further_seeds(found, self.margin)
        told = f" (about {needed:,.0f})" if math.isfinite(needed) else ""
        return f"undecided: {span}, more seeds needed{told}"

    @property
    def worth_text(self) -> str:
        """What the mean gain is worth, as in 'worth 300 samples'; empty where that can't be told."""
        low, mean, high = self.worth
        verb, bound = ("worth", self.beyond[1]) if self.found.mean > 0 else ("costs", self.beyond[0])
        if math.isinf(mean):
            return f"{verb} more than {plural(bound, 'sample')}" if bound else ""
        count = _rounded(abs(mean))
        if math.isnan(mean) or not count:
            return ""
        ends = sorted((abs(low), abs(high))) if low * high > 0 else []
        between = (
            f" ({_rounded(ends[0]):,} to {_rounded(ends[1]):,})" if ends and math.isfinite(ends[1]) else ""
        )
        return f"{verb} {plural(count, 'sample')}{between}"


@dataclass(frozen=True)
class Comparison:
    """All that was compared.

    Attributes:
        measure: metric of `results.csv`.
        against: the arm that gains are against.
        cells: in their order.
        verdicts: of every cell's arms, then those over all cells where there are several.
    """

    measure: str
    against: str
    margin: float
    cells: Sequence[Cell]
    verdicts: Sequence[Verdict] = field(default_factory=tuple)

    @property
    def groups(self) -> list[str]:
        """Data and models, in their order, and at last all of them if there are several cells."""
        return list(dict.fromkeys(verdict.group for verdict in self.verdicts))

    def of(self, group: str) -> list[Verdict]:
        """Verdicts of a group, cell by cell."""
        return [verdict for verdict in self.verdicts if verdict.group == group]

    def sentences(self, group: str) -> list[str]:
        """One for every arm of the group; where they differ, one for each number of samples."""
        told = []
        for arm, verdicts in groupby(self.by_arm(group), attrgetter("arm")):
            own = list(verdicts)
            if len(own) == 1:
                told.append(f"{arm}: {own[0].text}{self._elsewhere(own[0])}.")
            elif all(verdict.word == "no effect" for verdict in own):
                low, high = min(v.found.low for v in own), max(v.found.high for v in own)
                told.append(f"{arm}, any number of samples: {_no_effect(own[0], low, high)}.")
            else:
                told += [f"{arm}, {verdict.n_train:,} samples: {verdict.text}." for verdict in own]
        return told

    def _elsewhere(self, verdict: Verdict) -> str:
        """Of a mean over cells, in how many of them the arm helps and harms: it may do both."""
        if verdict.group != EVERYWHERE:
            return ""
        words = [v.word for v in self.verdicts if v.arm == verdict.arm and v.group != EVERYWHERE]
        counts = [f"{word} in {words.count(word)}" for word in ("helps", "harms") if word in words]
        return f"; {' and '.join(counts)} of {plural(len(words), 'cell')}" if counts else ""

    def by_arm(self, group: str) -> list[Verdict]:
        """Verdicts of a group, arm by arm."""
        own = self.of(group)
        arms = list(dict.fromkeys(verdict.arm for verdict in own))
        return sorted(own, key=lambda verdict: arms.index(verdict.arm))


def compared(cells: Sequence[Cell], measure: str, against: str, margin: float) -> Comparison:
    """Verdicts on every arm of these cells, whose gains of `measure` are those against an arm."""
    verdicts = [verdict for cell in cells for verdict in _of_cell(cell, cells, measure, against, margin)]
    if len(cells) > 1:
        verdicts += _over_all(cells, measure, margin)
    return Comparison(measure, against, margin, cells, tuple(verdicts))


def _of_cell(
    cell: Cell, cells: Sequence[Cell], measure: str, against: str, margin: float
) -> Iterable[Verdict]:
    group = {other.n_train: other for other in cells if other.group == cell.group}
    curve = LearningCurve({n: _mean_loss(other, measure) for n, other in group.items()})
    found = {arm: _estimated([gains]) for arm, gains in cell.gains.items()}
    for verdict in _judged(found, cell.group, cell.n_train, measure, margin):
        worth = _worth(curve, cell.n_train, verdict.found, measure) if against == "replicate" else None
        yield verdict if worth is None else _with_worth(verdict, worth, curve)


def _over_all(cells: Sequence[Cell], measure: str, margin: float) -> list[Verdict]:
    arms = [arm for arm in cells[0].gains if all(arm in cell.gains for cell in cells)]
    found = {arm: _estimated([cell.gains[arm] for cell in cells]) for arm in arms}
    return _judged(found, EVERYWHERE, None, measure, margin)


def _estimated(cells: Sequence[Mapping[int, float]]) -> Estimate:
    """Of the seeds that all cells have."""
    seeds = sorted(set.intersection(*(set(gains) for gains in cells)))
    if len(seeds) < 2:
        return Estimate(math.nan, math.nan, math.nan, math.nan, len(seeds))
    return estimate_over([[gains[seed] for seed in seeds] for gains in cells])


def _judged(
    found: Mapping[str, Estimate], group: str, n_train: int | None, measure: str, margin: float
) -> list[Verdict]:
    adjusted = holm([each.p for each in found.values()])
    unit = "%" if METRICS[measure].gains == "error" else "points"
    return [
        Verdict(
            group=group,
            n_train=n_train,
            arm=arm,
            found=each,
            p=p,
            word=_word(each, p, margin),
            unit=unit,
            margin=margin,
            arms=len(found),
        )
        for (arm, each), p in zip(found.items(), adjusted, strict=True)
    ]


def _word(found: Estimate, p: float, margin: float) -> Word:
    if math.isnan(found.p):
        return "not measured"
    # So few seeds that no arm at all could be told from nothing: their interval is not to be trusted either
    if least_p(found.seeds) < LEVEL and -margin < found.low and found.high < margin:
        return "no effect"
    if p < LEVEL and found.low > 0:
        return "helps"
    return "harms" if p < LEVEL and found.high < 0 else "undecided"


def _mean_loss(cell: Cell, measure: str) -> float:
    """Of `replicate`; lower is better."""
    mean = fmean(cell.values["replicate"].values()) if cell.values.get("replicate") else math.nan
    return mean if METRICS[measure].gains == "error" else -mean


def _worth(curve: LearningCurve, n_train: int, found: Estimate, measure: str) -> tuple[float, float, float]:
    at = curve.loss(n_train)

    def samples(gain: float) -> float:
        reached = at * (1 - gain / 100) if METRICS[measure].gains == "error" else at - gain
        return curve.samples(reached) - n_train

    return samples(found.low), samples(found.mean), samples(found.high)


def _with_worth(verdict: Verdict, worth: tuple[float, float, float], curve: LearningCurve) -> Verdict:
    n_train = verdict.n_train or 0
    return replace(verdict, worth=worth, beyond=(n_train - curve.sizes[0], curve.sizes[-1] - n_train))


def _no_effect(verdict: Verdict, low: float, high: float) -> str:
    margin = f"±{verdict.margin:g} {verdict.unit}"
    return f"no effect beyond {margin} ({signed_span(low, high)} {verdict.unit})"


def signed_span(low: float, high: float) -> str:
    """'+4.1 to +7.0': whole numbers where the two lie 10 apart or more, more digits where they lie close."""
    width = high - low
    decimals = 0 if width >= 10 else 1 if max(width, -low / 10, high / 10) >= 1 else 2
    return " to ".join(f"{end:+.{decimals}f}".replace("-", "−") for end in (low, high))


def _rounded(count: float) -> int:
    """To two digits: no more is known."""
    return int(float(f"{count:.2g}")) if math.isfinite(count) else 0
