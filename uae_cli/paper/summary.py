"""What all measured experiments say together, in a paragraph: adversarial examples against more training."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from statistics import median

from uae_cli.results import MeanResult, gain_name
from uae_cli.tables import gain, heading, headline, interval, shortfalls, too_small
from uae_cli.text import plural

NOTHING = "No experiment that is large enough has been measured against the same extra training alone yet."
_NOISE = "matched_noise"


@dataclass(frozen=True)
class Comparison:
    """One experiment: the gains against replicate of its best UAE arm and of noise of the same size."""

    best: MeanResult
    noise: MeanResult | None

    @property
    def told(self) -> str:
        """Name, arm and gain."""
        row = self.best
        number = interval(row.interval, row.mean) if row.interval else gain(row.mean)
        return f"{heading(row)}: {row.arm} {number} {row.unit}"


def comparisons(rows: Iterable[MeanResult]) -> list[Comparison]:
    """Every experiment, smoke runs aside, in which an arm of UAEs stands beside replicate."""
    ordered = sorted(rows, key=attrgetter("identity"))
    runs = [list(run) for _, run in groupby(ordered, key=attrgetter("identity"))]
    found = []
    for run in runs:
        main = headline(run)
        if main is None or too_small(run[0]):
            continue
        name = gain_name(main, "replicate")
        gains = {row.arm: row for row in run if row.metric == name and math.isfinite(row.mean)}
        if uaes := [row for arm, row in gains.items() if "_uae" in arm]:
            found.append(Comparison(max(uaes, key=attrgetter("mean")), gains.get(_NOISE)))
    return found


def summary(rows: Iterable[MeanResult]) -> str:
    """The paragraph."""
    found = comparisons(rows)
    if not found:
        return NOTHING
    sentences = [_counted(found)]
    known = [one for one in found if one.best.interval]
    if known:
        sentences.append(_judged(known))
    if single := [one.best.mean for one in found if not one.best.interval]:
        ahead = sum(mean > 0 for mean in single)
        sentences.append(
            f"Of the {len(single)} with fewer seeds, which allow no interval, the best arm of UAEs is ahead "
            f"of replicate in {ahead}."
        )
    if noisy := [(one.noise.mean, one.best.mean) for one in found if one.noise]:
        means = [noise for noise, _ in noisy]
        level = sum(noise >= ours for noise, ours in noisy)
        sentences.append(
            f"Random noise of the same size ({_NOISE}), measured in {len(noisy)}, brings "
            f"{gain(min(means))} to {gain(max(means))} % (median {gain(median(means))} %), and in {level} no "
            "less than the best arm of UAEs."
        )
    sentences.append("The best arm is chosen by the very gain that is told of it, which flatters it.")
    return " ".join(sentences)


def _counted(found: Sequence[Comparison]) -> str:
    short = sum(bool(shortfalls(one.best)) for one in found)
    less = f" ({short} on less than the full data or scale)" if short else ""
    return (
        "Adversarial examples (UAEs) stand beside the same extra training without new samples (replicate) "
        f"in {plural(len(found), 'experiment')}{less}."
    )


def _judged(known: Sequence[Comparison]) -> str:
    bounds = [(one, *(one.best.interval or (0.0, 0.0))) for one in known]
    wins = [one for one, low, _ in bounds if low > 0]
    losses = [one for one, _, high in bounds if high < 0]
    return (
        f"Of the {len(known)} with three seeds or more, the best arm of UAEs beats replicate, with a 95 % "
        f"interval above 0, in {_named(wins)}; it loses, with one below 0, in {_named(losses)}; in "
        f"{len(known) - len(wins) - len(losses)} the interval holds 0."
    )


def _named(some: Sequence[Comparison]) -> str:
    return f"{len(some)} ({'; '.join(one.told for one in some)})" if some else "none"
