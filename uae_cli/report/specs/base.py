"""What a table of the paper is made of."""

from collections.abc import Callable
from dataclasses import dataclass

from uae_cli.report import numbers
from uae_cli.report.columns import gain_name


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
class TableSpec:
    """One table of the paper: which runs belong in it, and what it shows of them.

    `models` and `datasets` (None: any) choose the runs; `arms` are its lines in order; `epochs` adds
    the training epochs of every arm.
    """

    number: str
    title: str
    models: tuple[str, ...]
    arms: tuple[str, ...]
    measures: tuple[Measure, ...]
    datasets: tuple[str, ...] | None = None
    epochs: bool = False
    example: str = "digits_conv_ae"

    @property
    def metrics(self) -> tuple[str, ...]:
        """Every metric the table shows, gains included."""
        return tuple(metric for measure in self.measures for metric in measure.metrics)

    def holds(self, dataset: str, model: str, arm: str, metric: str) -> bool:
        """Whether such a number belongs in this table."""
        wanted = self.datasets is None or dataset in self.datasets
        return wanted and model in self.models and arm in self.arms and metric in self.metrics


def _paper_rate(value: float, std: float | None) -> str:
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


ASR = Measure(metric="asr", heading="ASR %", show=numbers.rate, show_paper=_paper_rate)
