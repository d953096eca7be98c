"""Gains with their intervals: a panel for each kind of data and model, a line for each arm and size."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from uae_cli.figures.style import (
    DPI,
    FAINT,
    INK,
    LABEL_SIZE,
    SMALL_SIZE,
    TITLE_SIZE,
    WIDTH,
    line_of,
    save,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_GAP, _HEAD = 0.5, 0.55  # between arms, in lines; above a panel, in inches
_INCH = 0.235  # of one line
_QUIET = "#767676"


@dataclass(frozen=True)
class GainLine:
    """One arm's gain.

    Attributes:
        arm: its name.
        detail: what tells it from the arm's other lines; may be empty.
        mean: of the gain.
        low: end of its interval.
        high: the other one.
        decided: whether it is known to help or to harm, which a full dot tells.
        answer: a few words beside it.
    """

    arm: str
    detail: str
    mean: float
    low: float
    high: float
    decided: bool
    answer: str


def gain_intervals(
    path: Path, panels: Mapping[str, Sequence[GainLine]], xlabel: str, title: str, margin: float
) -> None:
    """Draw dots with intervals; gains within ± the margin lie in a grey band."""
    from matplotlib.figure import Figure

    rows = {name: _places(lines) for name, lines in panels.items()}
    heights = [max(places[-1] + 1.4, 2) for places in rows.values()]
    figure = Figure(
        figsize=(WIDTH + 1.3, _INCH * sum(heights) + _HEAD * (len(panels) + 1)),
        dpi=DPI,
        facecolor="white",
        layout="constrained",
    )
    figure.suptitle(title, x=0.01, ha="left", size=TITLE_SIZE, weight="bold", color=INK, parse_math=False)
    grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    arms = list(dict.fromkeys(line.arm for lines in panels.values() for line in lines))
    for axes, (name, lines) in zip(grid, panels.items(), strict=True):
        _panel(axes, name, lines, rows[name], arms, margin)
    grid[-1].set_xlabel(xlabel, fontsize=LABEL_SIZE, color=INK)
    save(figure, path)


def _places(lines: Sequence[GainLine]) -> list[float]:
    """Heights of the lines, from 0 down; an arm's lines stand together."""
    places, place = list[float](), 0.0
    for number, line in enumerate(lines):
        if number:
            place += 1.0 if line.arm == lines[number - 1].arm else 1 + _GAP
        places.append(place)
    return places


def _panel(
    axes: "Axes",
    name: str,
    lines: Sequence[GainLine],
    places: Sequence[float],
    arms: Sequence[str],
    margin: float,
) -> None:
    axes.set_title(name, loc="left", fontsize=LABEL_SIZE, color=INK, parse_math=False)
    axes.axvspan(-margin, margin, color=FAINT, alpha=0.55, linewidth=0)
    axes.axvline(0, color=INK, linewidth=0.8)
    for line, place in zip(lines, places, strict=True):
        colour = line_of(line.arm, arms.index(line.arm)).colour
        axes.plot([line.low, line.high], [place, place], color=colour, linewidth=2.2, solid_capstyle="round")
        face = colour if line.decided else "white"
        axes.plot([line.mean], [place], "o", color=colour, markerfacecolor=face, markersize=6.5)
        axes.text(
            1.015,
            place,
            line.answer,
            transform=axes.get_yaxis_transform(),
            va="center",
            fontsize=SMALL_SIZE,
            color=INK if line.decided else _QUIET,
            weight="bold" if line.decided else "normal",
            parse_math=False,
        )
    told = set[str]()
    labels = []
    for line in lines:  # an arm is named once, beside its first line
        labels.append(f"{'' if line.arm in told else line.arm}  {line.detail}".rstrip())
        told.add(line.arm)
    axes.set_yticks(list(places), labels)
    axes.set_ylim(places[-1] + 0.7, -0.7)
    axes.tick_params(axis="both", labelsize=SMALL_SIZE, colors=INK, length=0)
    axes.grid(visible=True, axis="x", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left", "bottom"]].set_visible(False)
