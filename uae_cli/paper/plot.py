"""The gains of one experiment as dots on an axis, ready to be drawn in SVG."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from uae_cli.results import METRICS, MeanResult, gain, gain_name, unit_of
from uae_cli.tables import Table, reported

WIDTH, LEFT, ROW, TOP = 360, 112, 20, 8  # user units; the names of the arms take LEFT of them
_TICKS = 4


@dataclass(frozen=True)
class Dot:
    """One arm's gain, the interval of it where there is one, and the paper's."""

    arm: str
    ours: float | None
    interval: tuple[float, float] | None
    papers: float | None


@dataclass(frozen=True)
class Panel:
    """All arms' gains against one reference arm; `low`, `high` and `ticks` are of the axis, in `unit`."""

    reference: str
    unit: str
    dots: Sequence[Dot]
    low: float
    high: float
    ticks: Sequence[float]

    def x(self, value: float) -> float:
        """Where a value lies, in user units."""
        return round(LEFT + 8 + (WIDTH - LEFT - 20) * (value - self.low) / (self.high - self.low), 1)


def panels(table: Table, run: Sequence[MeanResult]) -> list[Panel]:
    """A panel for each reference arm of the table's first compared measure that has a gain to show."""
    measure = next((measure for measure in table.measures if measure.gains), None)
    if measure is None:
        return []
    cells = {(row.arm, row.metric): row for row in run}
    arms = table.lines(row.arm for row in run)
    found = []
    for reference in reversed(measure.gains):
        name = gain_name(measure.metric, reference)
        dots = []
        for arm in (arm for arm in arms if arm not in ("original", reference)):
            row = cells.get((arm, name))
            ours = row.mean if row is not None and math.isfinite(row.mean) else None
            papers = _papers(table, run[0], arm, measure.metric, reference)
            dots.append(Dot(arm, ours, row.interval if row is not None else None, papers))
        if any(dot.ours is not None for dot in dots):
            found.append(_panel(reference, unit_of(name), dots))
    return found


def _papers(table: Table, first: MeanResult, arm: str, metric: str, reference: str) -> float | None:
    value, base = (
        reported(table.number, first.dataset, first.model, name, metric) for name in (arm, reference)
    )
    if value is None or base is None or METRICS[metric].gains is None or arm == reference:
        return None
    return gain(metric, value.value, base.value)


def _panel(reference: str, unit: str, dots: Sequence[Dot]) -> Panel:
    values = [0.0, *(bound for dot in dots for bound in dot.interval or ())]
    values += [value for dot in dots for value in (dot.ours, dot.papers) if value is not None]
    span = max(values) - min(values) or 1.0
    size = 10.0 ** math.floor(math.log10(span / _TICKS))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= span / _TICKS)
    first, last = math.floor(min(values) / step), math.ceil(max(values) / step)
    last = max(last, first + 1)
    ticks = [round(step * number, 9) for number in range(first, last + 1)]
    return Panel(reference, unit, dots, ticks[0], ticks[-1], ticks)
