"""What a table of the paper is made of."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from uae_cli.results.collect import Measured
from uae_cli.results.columns import experiment_name, gain_name
from uae_cli.tables import format as numbers


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One metric of a table: ours, the paper's beside it, and the gains measured against other arms.

    `show(value, std)` writes our number, `show_paper` the paper's. `gains` names the reference arms:
    'original' shows the metric '<metric>_gain_vs_original'.
    """

    metric: str
    heading: str
    show: Callable[[float, float | None], str]
    show_paper: Callable[[float, float | None], str]
    gains: tuple[str, ...] = ()

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metric itself and its gains."""
        return (self.metric, *(self.gain(reference) for reference in self.gains))

    def gain(self, reference: str) -> str:
        """Name of the metric that holds the gain against `reference`."""
        return gain_name(self.metric, reference)


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """Runs that differ in some settings of the attack's solver, as the lines of one block.

    `values` are those of the paper, by setting: {'alpha': (0.01, 0.05), …}.
    """

    values: Mapping[str, tuple[float, ...]]

    @property
    def lines(self) -> tuple[str, ...]:
        """Names of the paper's lines ('alpha0.01_beta0.1', …), as in `reported.csv`."""
        combinations = product(*self.values.values())
        return tuple(_line_name(dict(zip(self.values, values, strict=True))) for values in combinations)

    @property
    def overrides(self) -> str:
        """What makes `uae run -m` go through them."""
        return " ".join(f"attack.{name}={','.join(map(str, values))}" for name, values in self.values.items())

    def fold(self, rows: Iterable[Measured]) -> list[Measured]:
        """The rows as lines: named after their settings instead of their arm, and alike in all else."""
        return [folded for row in rows if (folded := self._folded(row)) is not None]

    def _folded(self, row: Measured) -> Measured | None:
        """None for a solver without these settings."""
        settings = dict(word.split("=", 1) for word in row.attack.split())
        if not self.values.keys() <= settings.keys():
            return None
        name = _line_name({name: float(settings.pop(name)) for name in self.values})
        rest = " ".join(f"{key}={value}" for key, value in settings.items())
        swept = tuple(f"attack.{name}=" for name in self.values)
        overrides = " ".join(word for word in row.overrides.split() if not word.startswith(swept))
        return replace(row, arm=name, overrides=overrides, settings=f"{row.settings[:8]} {rest}".strip())


def _line_name(settings: Mapping[str, float]) -> str:
    return "_".join(f"{name}{value:g}" for name, value in settings.items())


def _numbers_in(name: str) -> tuple[float, ...]:
    return tuple(map(float, re.findall(r"\d[\d.]*(?:e[+-]?\d+)?", name)))


@dataclass(frozen=True, kw_only=True)
class TableSpec:
    """One table of the paper: which runs belong in it, and what it shows of them.

    `models` and `datasets` (None: any) choose the runs; `arms` are its lines in order; with a `sweep`,
    its combinations of settings are, and of those there must be two at least. `needs` names arms of
    which a run must have one, or it belongs in other tables only. `epochs` adds the training epochs of
    every arm; `experiment` names the run of a dataset and a model. `own` keeps other experiments out.
    """

    number: str
    title: str
    models: tuple[str, ...]
    arms: tuple[str, ...]
    measures: tuple[Measure, ...]
    datasets: tuple[str, ...] | None = None
    needs: tuple[str, ...] = ()
    sweep: Sweep | None = None
    epochs: bool = False
    own: bool = False
    example: str = "digits_conv_ae"
    experiment: Callable[[str, str], str] = experiment_name

    @property
    def command(self) -> str:
        """A command line that begins it."""
        if self.sweep is None:
            return f"uae run experiment={self.example}"
        return f"uae run -m experiment={self.example} {self.sweep.overrides}"

    @property
    def metrics(self) -> tuple[str, ...]:
        """Every metric the table shows, gains included."""
        return tuple(metric for measure in self.measures for metric in measure.metrics)

    def rows(self, rows: Iterable[Measured]) -> list[Measured]:
        """Those that belong in this table, each with the name of its line for its arm."""
        wanted = [row for row in rows if self.holds(row.dataset, row.model, row.arm, row.metric)]
        wanted = [row for row in wanted if not self.own or self._is_own(row)]
        if self.needs:
            having = {row.identity for row in wanted if row.arm in self.needs}
            wanted = [row for row in wanted if row.identity in having]
        if self.sweep is None:
            return wanted
        folded = self.sweep.fold(wanted)
        lines: dict[object, set[str]] = {}
        for row in folded:
            lines.setdefault(row.identity, set()).add(row.arm)
        return [row for row in folded if len(lines[row.identity]) > 1]

    def left_out(self, rows: Sequence[Measured]) -> list[Measured]:
        """Rows of this table's metrics whose arm is none of its lines, of its runs and its own experiments.

        A sweep has settings for lines, and leaves nothing out.
        """
        if self.sweep is not None:
            return []
        shown = {row.identity for row in self.rows(rows)}
        return [
            row
            for row in rows
            if row.arm not in self.arms
            and self.holds(row.dataset, row.model, self.arms[0], row.metric)
            and (row.identity in shown or self._is_own(row))
        ]

    def _is_own(self, row: Measured) -> bool:
        return row.experiment in (self.experiment(row.dataset, row.model), self.example)

    def lines(self, there: Iterable[str]) -> list[str]:
        """The names of those lines that are there, in order."""
        found = set(there)
        if self.sweep is not None:
            return sorted(found, key=_numbers_in)
        return [arm for arm in self.arms if arm in found]

    def holds(self, dataset: str, model: str, arm: str, metric: str) -> bool:
        """Whether such a number belongs in this table."""
        wanted = self.datasets is None or dataset in self.datasets
        return wanted and model in self.models and arm in self.arms and metric in self.metrics


def as_printed(value: float, std: float | None) -> str:
    """A number of the paper with the digits it has there."""
    return f"{value:g}" if std is None else f"{value:g} ± {std:g}"


def error_measure(metric: str, heading: str) -> Measure:
    """Measure a reconstruction error, with its gains against original and against replicate."""
    return Measure(
        metric=metric,
        heading=heading,
        show=numbers.error,
        show_paper=numbers.error,
        gains=("original", "replicate"),
    )


ACCURACY = Measure(
    metric="test_accuracy",
    heading="accuracy %",
    show=numbers.rate,
    show_paper=as_printed,
    gains=("original", "replicate"),
)
ASR = Measure(metric="asr", heading="ASR %", show=numbers.rate, show_paper=as_printed)
