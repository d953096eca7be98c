"""What an entry of the paper's contents is made of: a figure, or a table with its measures."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import ClassVar

from uae_cli.results import MeanResult, gain_name
from uae_cli.tables.reported import full_name, reported_pairs

Run = tuple[str, ...]  # the arguments of `uae run` that make it, apart from scale and seed


@dataclass(frozen=True)
class Figure:
    """One figure of the paper.

    Attributes:
        number: the paper's.
        short: its title in a few words.
        file: name pattern below a run's `figures/`.
        experiments: whose runs draw it.
    """

    kind: ClassVar = "figure"
    number: str
    short: str
    file: str
    experiments: tuple[str, ...]

    @property
    def key(self) -> str:
        """As `--only` takes it: 'f5'."""
        return f"f{self.number}"

    @property
    def runs(self) -> tuple[Run, ...]:
        """What must have been run."""
        return tuple((f"experiment={name}",) for name in self.experiments)


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One metric of a table: ours, the paper's beside it, and the gains measured against other arms.

    `gains` names the reference arms: 'original' shows the metric '<metric>_gain_vs_original'. Of `ours_alone`
    the paper has no numbers, and no column.
    """

    metric: str
    heading: str
    gains: tuple[str, ...] = ()
    ours_alone: bool = False

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metric itself and its gains."""
        return (self.metric, *(gain_name(self.metric, reference) for reference in self.gains))


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """Runs that differ in some settings of the attack's solver, as the lines of one block.

    `values` are those of the paper, by setting: {'alpha': (0.01, 0.05), …}.
    """

    values: Mapping[str, tuple[float, ...]]

    @property
    def lines(self) -> dict[str, Run]:
        """The paper's lines, named as in `reported.csv` ('alpha0.01_beta0.1', …): arguments of `uae run`."""
        combinations = [dict(zip(self.values, each, strict=True)) for each in product(*self.values.values())]
        return {
            _line_name(line): tuple(f"attack.{name}={value}" for name, value in line.items())
            for line in combinations
        }

    @property
    def overrides(self) -> str:
        """What makes `uae run -m` go through them."""
        return " ".join(f"attack.{name}={','.join(map(str, values))}" for name, values in self.values.items())

    def fold(self, rows: Iterable[MeanResult]) -> list[MeanResult]:
        """The rows as lines: named after their settings instead of their arm, and alike in all else.

        Without those of a solver that lacks these settings.
        """
        return [folded for row in rows if (folded := self._folded(row)) is not None]

    def _folded(self, row: MeanResult) -> MeanResult | None:
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
class Table:
    """One table of the paper: which runs belong in it, and what it shows of them.

    Attributes:
        number: the paper's, or the section of its supplement whose numbers these are.
        title: what it shows.
        short: the same in a few words.
        models: whose runs belong in it; `datasets` (None: any) likewise.
        arms: its lines in order; with a `sweep`, its combinations of settings are, and of those there must
            be two at least.
        measures: its columns.
        needs: arms of which a run must have one, or it belongs in other tables only.
        sweep: of settings of the attack's solver.
        epochs: whether the training epochs of every arm are told.
        experiment: the name of the run of a {dataset} and a {model}; {whole} is the dataset that a partial
            one is a part of.
        exceptions: such names of pairs of dataset and model that `experiment` doesn't name.
        own: whether other experiments are kept out.
        excluded: experiments that are kept out by name.
        example: an experiment that begins it.
    """

    kind: ClassVar = "table"
    number: str
    title: str
    short: str
    models: tuple[str, ...]
    arms: tuple[str, ...]
    measures: tuple[Measure, ...]
    datasets: tuple[str, ...] | None = None
    needs: tuple[str, ...] = ()
    sweep: Sweep | None = None
    epochs: bool = False
    experiment: str = "{dataset}_{model}"
    exceptions: Mapping[tuple[str, str], str] = field(default_factory=dict)
    own: bool = False
    excluded: tuple[str, ...] = ()
    example: str = "digits_conv_ae"

    @property
    def key(self) -> str:
        """As `--only` takes it: '4', 's6.6'."""
        return self.number

    @property
    def runs(self) -> tuple[Run, ...]:
        """What must have been run: every dataset and model of which `reported.csv` has a number."""
        swept = self.sweep.lines.values() if self.sweep else ((),)
        names = [f"experiment={self.experiment_of(*pair)}" for pair in reported_pairs(self.number)]
        return tuple((name, *more) for name in names for more in swept)

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

    def experiment_of(self, dataset: str, model: str) -> str:
        """The name of the run of a dataset and a model."""
        name = self.experiment.format(dataset=dataset, model=model, whole=full_name(dataset))
        return self.exceptions.get((dataset, model), name)

    def rows(self, rows: Iterable[MeanResult]) -> list[MeanResult]:
        """Those that belong in this table, each with the name of its line for its arm."""
        wanted = [row for row in rows if self.holds(row.dataset, row.model, row.arm, row.metric)]
        wanted = [row for row in wanted if row.experiment not in self.excluded]
        wanted = [row for row in wanted if not self.own or self._is_own(row)]
        if self.needs:
            having = {row.identity for row in wanted if row.arm in self.needs}
            wanted = [row for row in wanted if row.identity in having]
        if self.sweep is None:
            return wanted
        folded = self.sweep.fold(wanted)
        lines = Counter(identity for identity, _ in {(row.identity, row.arm) for row in folded})
        return [row for row in folded if lines[row.identity] > 1]

    def left_out(self, rows: Sequence[MeanResult]) -> list[MeanResult]:
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

    def _is_own(self, row: MeanResult) -> bool:
        return row.experiment in (self.experiment_of(row.dataset, row.model), self.example)

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
