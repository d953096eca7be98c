"""Attack success against the bound on the perturbation (paper, Figures 7 to 10)."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

from uae_cli.report.style import INK, SMALL_SIZE, TITLE_SIZE, dress, line_of, new_figure, save


def success_curves(path: Path, curves: Mapping[str, Sequence[tuple[float, float]]], title: str) -> None:
    """Draw success rates in percent against ε, a line per entry: (ε, rate) pairs in rising ε."""
    figure = new_figure(7.2, 4.2, constrained=True)
    axes = figure.subplots()
    for place, (name, points) in enumerate(curves.items()):
        line = line_of(name, place)
        axes.plot(
            [epsilon for epsilon, _ in points],
            [rate for _, rate in points],
            color=line.colour,
            linestyle=line.dash,
            linewidth=line.weight,
            marker="o",
            markersize=4,
            label=name,
        )
    axes.set_ylim(-2, 102)
    dress(axes, "ε, largest change of any value", "attack success rate (%)")
    figure.legend(loc="outside right center", fontsize=SMALL_SIZE, frameon=False, labelcolor=INK)
    text = "\n".join(textwrap.wrap(title, 72))
    figure.suptitle(text, x=0.01, ha="left", size=TITLE_SIZE, weight="bold", color=INK, parse_math=False)
    save(figure, path)
