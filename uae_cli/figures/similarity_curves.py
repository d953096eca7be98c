"""How similarity moves while attacks go on, several methods in one figure (paper, Figure 2)."""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from matplotlib.axes import Axes
from numpy.typing import NDArray
from torch import Tensor

from uae_cli.figures.style import INK, SMALL_SIZE, TITLE_SIZE, line_of, new_figure, save
from uae_cli.figures.style import dress as dress_axes

_WIDTH = 7.2
_MOST_POINTS = 500  # drawn along the iterations; more can't be told apart


@dataclass(frozen=True)
class Course:
    """One attack of n samples over T iterations.

    Attributes:
        similarity: (n, T), S of every iterate, in nats.
        success: (n, T) bool, whether the iterate fulfilled the criterion.
        goal: whether S is minimised or maximised.
    """

    similarity: Tensor
    success: Tensor
    goal: Literal["minimize", "maximize"]

    def kept(self) -> Tensor:
        """S of the best successful iterate so far, (n, T); NaN before the first."""
        sign = 1.0 if self.goal == "maximize" else -1.0
        scores = (sign * self.similarity.double()).masked_fill(~self.success, -torch.inf)
        best = scores.cummax(dim=1).values
        return (sign * best).masked_fill(best.isinf(), torch.nan)


def similarity_curves(path: Path, courses: Mapping[str, Course], title: str) -> bool:
    """Draw S by method: of every iterate as it comes, and of the best successful one so far.

    Lines are means over samples, bands reach from the lower to the upper quartile; the second panel counts
    the samples that have succeeded by then. Returns False, and writes nothing, if there is nothing to draw.
    """
    courses = {name: course for name, course in courses.items() if course.similarity.numel()}
    if not courses:
        return False
    figure = new_figure(_WIDTH, 6.0, constrained=True)
    above, below = figure.subplots(2, 1, sharex=True)
    for place, (name, course) in enumerate(courses.items()):
        _draw(above, course.similarity.double(), name, place)
        _draw(below, course.kept(), name, place)
    dress_axes(above, "", "of the iterate (nats)")
    dress_axes(below, "attack iteration", "of the best success so far (nats)")
    handles, labels = above.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside right center", fontsize=SMALL_SIZE, frameon=False, labelcolor=INK
    )
    text = "\n".join(textwrap.wrap(title, 72))
    figure.suptitle(text, x=0.01, ha="left", size=TITLE_SIZE, weight="bold", color=INK, parse_math=False)
    save(figure, path)
    return True


def _draw(axes: Axes, values: Tensor, name: str, place: int) -> None:
    iterations = values.shape[1]
    points = torch.linspace(0, iterations - 1, min(iterations, _MOST_POINTS)).round().long()
    there = [int(point) for point in points if not bool(values[:, point].isnan().all())]
    numbers: NDArray[np.float64] = values[:, there].cpu().numpy()
    if not there:
        return
    line, x = line_of(name, place), [point + 1 for point in there]
    low, high = np.nanquantile(numbers, [0.25, 0.75], axis=0)
    axes.fill_between(x, low, high, color=line.colour, alpha=0.15, linewidth=0)
    axes.plot(
        x,
        np.nanmean(numbers, axis=0),
        color=line.colour,
        linestyle=line.dash,
        linewidth=line.weight,
        marker="o" if len(x) == 1 else "",
        markersize=4,
        label=name,
    )
