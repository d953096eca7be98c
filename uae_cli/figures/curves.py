"""Curves of training and of the attack."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from torch import Tensor

from uae_cli.figures.style import INK, SMALL_SIZE, TITLE_SIZE, dress, line_of, new_figure, save

WIDTH = 7.2
LOG_FROM = 8.0
MANY_DECADES = 1e3
_CURRENT = "Shown is the current iterate; kept is each sample's best successful one so far."


def loss_curves(path: Path, curves: Mapping[str, Sequence[float]], ylabel: str, title: str) -> bool:
    """Draw the training loss of every arm, one value per epoch from epoch 1 on.

    The axis is logarithmic if all losses are positive and span more than a factor of eight. Returns
    False, and writes nothing, if there is no finite loss to draw.
    """
    drawn = {arm: losses for arm, losses in curves.items() if any(map(math.isfinite, losses))}
    if not drawn:
        return False
    figure = new_figure(WIDTH, 4.2, constrained=True)
    axes = figure.add_subplot()
    for place, (arm, losses) in enumerate(drawn.items()):
        _curve(axes, range(1, len(losses) + 1), losses, arm, place)
    dress(axes, "epoch", ylabel)
    _scale(axes, [loss for losses in drawn.values() for loss in losses if math.isfinite(loss)])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    figure.legend(loc="outside right center", fontsize=SMALL_SIZE, frameon=False, labelcolor=INK)
    _title(figure, title)
    save(figure, path)
    return True


def attack_curves(path: Path, mi: Tensor, asr: Tensor, c: Tensor | None, title: str) -> bool:
    """Draw how an attack went: mutual information, the share of successes and, if given, c per iteration.

    `mi` holds the quartiles (25, 50, 75 %) over samples in nats, shape (iterations, 3); `asr` the share of
    successful samples in [0, 1], shape (iterations,); `c` the MinMax weight, its mean (iterations,) or its
    quartiles (iterations, 3). All of them are of the current iterate, and the figure says so. Returns
    False, and writes nothing, if there is no iteration.

    Raises:
        ValueError: shapes disagree, or `asr` is not within [0, 1].

    """
    _check(mi, asr, c)
    if len(asr) == 0:
        return False
    panels = 2 if c is None else 3
    figure = new_figure(WIDTH, 1.9 * panels + 0.4, constrained=True)
    axes = figure.subplots(panels, 1, sharex=True, squeeze=False)[:, 0]
    _band(axes[0], mi, "mine_uae")
    dress(axes[0], "", "mutual information\n(nats)")
    _rates(axes[1], asr)
    if c is not None:
        _band(axes[2], c, "l2_uae")
        dress(axes[2], "", "c")
        axes[2].set_ylim(bottom=0)
    axes[-1].set_xlabel(f"attack iteration\n{_CURRENT}", fontsize=9, color=INK)
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    figure.align_ylabels(list(axes))
    _title(figure, title)
    save(figure, path)
    return True


def _check(mi: Tensor, asr: Tensor, c: Tensor | None) -> None:
    if asr.ndim != 1 or mi.shape != (len(asr), 3) or (c is not None and c.shape[0] != len(asr)):
        found = f"mi {tuple(mi.shape)}, asr {tuple(asr.shape)}, c {None if c is None else tuple(c.shape)}"
        raise ValueError(f"shapes disagree: {found}")
    if len(asr) and (float(asr.min()) < 0 or float(asr.max()) > 1):
        raise ValueError("asr is a share of samples in [0, 1]")


def _curve(axes: Axes, x: Sequence[int], y: Sequence[float], arm: str, place: int) -> None:
    line = line_of(arm, place)
    marker = "o" if len(y) == 1 else ""
    axes.plot(
        x,
        y,
        color=line.colour,
        linestyle=line.dash,
        linewidth=line.weight,
        marker=marker,
        markersize=4,
        label=arm,
    )


def _band(axes: Axes, values: Tensor, arm: str) -> None:
    """Draw a median with the band between its quartiles, or a single line."""
    numbers = values.detach().double().cpu()
    x, colour = range(1, len(numbers) + 1), line_of(arm).colour
    marker = "o" if len(numbers) == 1 else ""
    if numbers.ndim == 1:
        axes.plot(x, numbers.tolist(), color=colour, linewidth=1.8, marker=marker, label="mean")
        return
    low, middle, high = (column.tolist() for column in torch.unbind(numbers, 1))
    axes.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0, label="middle half of the samples")
    axes.plot(x, middle, color=colour, linewidth=1.8, marker=marker, label="median")
    axes.legend(fontsize=SMALL_SIZE, frameon=False, labelcolor=INK, loc="best")


def _rates(axes: Axes, asr: Tensor) -> None:
    percent = (100 * asr.detach().double().cpu()).tolist()
    marker = "o" if len(percent) == 1 else ""
    axes.plot(
        range(1, len(percent) + 1),
        percent,
        color=line_of("gaussian_1e-2").colour,
        linewidth=1.8,
        marker=marker,
    )
    dress(axes, "", "samples with f ≤ 0\n(%)")
    axes.set_ylim(-3, 103)
    axes.set_yticks([0, 25, 50, 75, 100])


def _scale(axes: Axes, losses: Sequence[float]) -> None:
    if min(losses) <= 0 or max(losses) / min(losses) < LOG_FROM:
        return
    axes.set_yscale("log")
    few_decades = max(losses) / min(losses) < MANY_DECADES
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few_decades else (1.0,)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _title(figure: Figure, title: str) -> None:
    text = "\n".join(textwrap.wrap(title, 72))
    figure.suptitle(text, x=0.01, ha="left", size=TITLE_SIZE, weight="bold", color=INK, parse_math=False)
