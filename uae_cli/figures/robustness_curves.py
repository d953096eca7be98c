"""Attack success against the bound on the perturbation (paper, Figures 7 to 10)."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

from uae_cli.figures.style import INK, SMALL_SIZE, SPARE_COLOURS, TITLE_SIZE, dress, new_figure, save

_DASHES = ("-", "--", ":", "-.")
_MARKERS = ("o", "s", "^", "D")


def success_curves(
    path: Path, curves: Mapping[tuple[str, str], Sequence[tuple[float, float]]], title: str
) -> None:
    """Draw success rates in percent against ε: colours tell the victims apart, dashes the methods.

    `curves` holds, by victim and method, (ε, rate) pairs in rising ε.
    """
    victims = list(dict.fromkeys(victim for victim, _ in curves))
    methods = list(dict.fromkeys(method for _, method in curves))
    figure = new_figure(7.2, 4.2, constrained=True)
    axes = figure.subplots()
    for (victim, method), points in curves.items():
        axes.plot(
            [epsilon for epsilon, _ in points],
            [rate for _, rate in points],
            color=SPARE_COLOURS[victims.index(victim) % len(SPARE_COLOURS)],
            linestyle=_DASHES[methods.index(method) % len(_DASHES)],
            marker=_MARKERS[methods.index(method) % len(_MARKERS)],
            markersize=4,
            label=f"{victim}, {method}",
        )
    axes.set_ylim(-2, 102)
    dress(axes, "ε, largest change of any value", "attack success rate (%)")
    figure.legend(loc="outside right center", fontsize=SMALL_SIZE, frameon=False, labelcolor=INK)
    text = "\n".join(textwrap.wrap(title, 72))
    figure.suptitle(text, x=0.01, ha="left", size=TITLE_SIZE, weight="bold", color=INK, parse_math=False)
    save(figure, path)
