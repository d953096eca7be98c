"""Curves of training, of the attack, of similarity and of success."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from uae_cli.figures.style import (
    INK,
    SMALL_SIZE,
    SPARE_COLOURS,
    Line,
    dress,
    legend_beside,
    line_of,
    save,
    titled_curves,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LOG_FROM = 8.0
MANY_DECADES = 1e3
_CURRENT = "Shown is the current iterate; kept is each sample's best successful one so far."
_DASHES = ("-", "--", ":", "-.")
_MARKERS = ("o", "s", "^", "D")
_MOST_POINTS = 500  # drawn along the iterations; more can't be told apart


@dataclass(frozen=True)
class Course:
    """One attack of n samples over T iterations.

    Attributes:
        similarity: (n, T), S of every iterate, in nats.
        success: (n, T) bool, whether the iterate fulfilled the criterion.
        goal: whether S is minimised or maximised.
        vectors: K that S is estimated from; 0 where it is no estimate.
    """

    similarity: Tensor
    success: Tensor
    goal: Literal["minimize", "maximize"]
    vectors: int = 0

    def kept(self) -> Tensor:
        """S of the best successful iterate so far, (n, T); NaN before the first."""
        sign = 1.0 if self.goal == "maximize" else -1.0
        scores = (sign * self.similarity.double()).masked_fill(~self.success, -torch.inf)
        best = scores.cummax(dim=1).values
        return (sign * best).masked_fill(best.isinf(), torch.nan)


def loss_curves(path: Path, curves: Mapping[str, Sequence[float]], ylabel: str, title: str) -> bool:
    """Draw the training loss of every arm, one value per epoch from epoch 1 on.

    The axis is logarithmic if all losses are positive and span more than a factor of eight. Returns
    False, and writes nothing, if there is no finite loss to draw.
    """
    drawn = {arm: losses for arm, losses in curves.items() if any(map(math.isfinite, losses))}
    if not drawn:
        return False
    figure = titled_curves(title, 4.2)
    axes = figure.add_subplot()
    for place, (arm, losses) in enumerate(drawn.items()):
        _curve(axes, range(1, len(losses) + 1), losses, line_of(arm, place), label=arm)
    dress(axes, "epoch", ylabel)
    _scale(axes, [loss for losses in drawn.values() for loss in losses if math.isfinite(loss)])
    _whole_numbers(axes)
    legend_beside(figure, axes)
    save(figure, path)
    return True


def attack_curves(path: Path, value: Tensor, asr: Tensor, c: Tensor, title: str, vectors: int = 0) -> bool:
    """Draw how an attack went: the in-attack value, the share of successes and c per iteration.

    `value` holds the quartiles (25, 50, 75 %) over samples in nats, shape (iterations, 3); `asr` the share of
    successful samples in [0, 1], shape (iterations,); `c` the mean MinMax weight, (iterations,). All of them
    are of the current iterate, and the figure says so. The logarithm of `vectors` (0: of none) is drawn
    beside the value. Returns False, and writes nothing, if there is no
    iteration.

    Raises:
        ValueError: shapes disagree, or `asr` is not within [0, 1].

    """
    _check(value, asr, c)
    if len(asr) == 0:
        return False
    figure = titled_curves(title, 6.1)
    axes = figure.subplots(3, 1, sharex=True)
    x = range(1, len(asr) + 1)
    if vectors:
        _logarithm(axes[0], vectors, INK)
    axes[0].fill_between(
        x,
        *value[:, ::2].T.tolist(),
        color=line_of("mine_uae").colour,
        alpha=0.2,
        linewidth=0,
        label="middle half of the samples",
    )
    drawn = zip(axes, ("mine_uae", "gaussian_1e-2", "l2_uae"), (value[:, 1], 100 * asr, c), strict=True)
    for one, arm, values in drawn:
        _curve(one, x, values.tolist(), Line(line_of(arm).colour, weight=1.8), label="median")
    axes[0].legend(fontsize=SMALL_SIZE, frameon=False, labelcolor=INK, loc="best")
    dress(axes[0], "", "in-attack value\n(nats)")
    dress(axes[1], "", "samples with f ≤ 0\n(%)")
    axes[1].set_ylim(-3, 103)
    axes[1].set_yticks([0, 25, 50, 75, 100])
    dress(axes[2], f"attack iteration\n{_CURRENT}", "c")
    axes[2].set_ylim(bottom=0)
    _whole_numbers(axes[2])
    figure.align_ylabels(list(axes))
    save(figure, path)
    return True


def similarity_curves(path: Path, courses: Mapping[str, Course], title: str) -> bool:
    """Draw S by method: of every iterate, and of the best successful one so far (paper, Figure 2).

    Lines are means over samples, bands reach from the lower to the upper quartile, dotted is ln K; the second
    panel counts the samples that have succeeded by then. Returns False, and writes nothing, if there is
    nothing to draw.
    """
    courses = {name: course for name, course in courses.items() if course.similarity.numel()}
    if not courses:
        return False
    figure = titled_curves(title, 6.0)
    above, below = figure.subplots(2, 1, sharex=True)
    for place, (name, course) in enumerate(courses.items()):
        _mean_in_band(above, course.similarity.double(), name, place)
        _mean_in_band(below, course.kept(), name, place)
        if course.vectors:
            for axes in (above, below):
                _logarithm(axes, course.vectors, line_of(name, place).colour, name)
    dress(above, "", "of the iterate (nats)")
    dress(below, "attack iteration", "of the best success so far (nats)")
    legend_beside(figure, above)
    save(figure, path)
    return True


def success_curves(
    path: Path, curves: Mapping[tuple[str, str], Sequence[tuple[float, float]]], title: str
) -> None:
    """Draw success rates in percent against ε (paper, Figures 7 to 10).

    Colours tell the victims apart, dashes the methods. `curves` holds, by victim and method, (ε, rate) pairs
    in rising ε.
    """
    victims = list(dict.fromkeys(victim for victim, _ in curves))
    methods = list(dict.fromkeys(method for _, method in curves))
    figure = titled_curves(title, 4.2)
    axes = figure.subplots()
    for (victim, method), points in curves.items():
        colour = SPARE_COLOURS[victims.index(victim) % len(SPARE_COLOURS)]
        place = methods.index(method) % len(_DASHES)
        axes.plot(
            *zip(*points, strict=True),
            color=colour,
            linestyle=_DASHES[place],
            marker=_MARKERS[place],
            markersize=4,
            label=f"{victim}, {method}",
        )
    axes.set_ylim(-2, 102)
    dress(axes, "ε, largest change of any value", "attack success rate (%)")
    legend_beside(figure, axes)
    save(figure, path)


def _logarithm(axes: "Axes", vectors: int, colour: str, name: str = "") -> None:
    """Ln K, about the most that K vectors can show of their information."""
    told = f"{name}: ln K".removeprefix(": ")
    axes.axhline(math.log(vectors), color=colour, linestyle=":", linewidth=1.0, label=told)


def _check(value: Tensor, asr: Tensor, c: Tensor) -> None:
    if asr.ndim != 1 or value.shape != (len(asr), 3) or c.shape != asr.shape:
        found = f"value {tuple(value.shape)}, asr {tuple(asr.shape)}, c {tuple(c.shape)}"
        raise ValueError(f"shapes disagree: {found}")
    if len(asr) and (float(asr.min()) < 0 or float(asr.max()) > 1):
        raise ValueError("asr is a share of samples in [0, 1]")


def _curve(axes: "Axes", x: Sequence[int], y: Any, line: Line, **more: Any) -> None:
    """One line; a single point is a dot."""
    axes.plot(
        x,
        y,
        color=line.colour,
        linestyle=line.dash,
        linewidth=line.weight,
        marker="o" if len(x) == 1 else "",
        markersize=4,
        **more,
    )


def _mean_in_band(axes: "Axes", values: Tensor, name: str, place: int) -> None:
    """Draw the mean over samples of (n, T) values, NaN passed over, with the band between the quartiles."""
    iterations = values.shape[1]
    points = torch.linspace(0, iterations - 1, min(iterations, _MOST_POINTS)).round().long()
    there = [int(point) for point in points if not bool(values[:, point].isnan().all())]
    if not there:
        return
    numbers: NDArray[np.float64] = values[:, there].cpu().numpy()
    line, x = line_of(name, place), [point + 1 for point in there]
    low, high = np.nanquantile(numbers, [0.25, 0.75], axis=0)
    axes.fill_between(x, low, high, color=line.colour, alpha=0.15, linewidth=0)
    _curve(axes, x, np.nanmean(numbers, axis=0), line, label=name)


def _whole_numbers(axes: "Axes") -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _scale(axes: "Axes", losses: Sequence[float]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    if min(losses) <= 0 or max(losses) / min(losses) < LOG_FROM:
        return
    axes.set_yscale("log")
    few_decades = max(losses) / min(losses) < MANY_DECADES
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few_decades else (1.0,)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
