"""One look for every figure: an arm has the same colour and dash everywhere.

The colours are those of Okabe and Ito, told apart with any colour vision; dashes tell the arms apart in grey.
matplotlib is imported only where something is drawn.
"""

import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 150
TITLE_SIZE = 11
LABEL_SIZE = 9
SMALL_SIZE = 8
INK = "#222222"
FAINT = "#d9d9d9"
WIDTH = 7.2  # inches, of every figure of curves


@dataclass(frozen=True)
class Line:
    """How an arm's curve is drawn."""

    colour: str
    dash: str = "-"
    weight: float = 1.6


_ARMS = {
    "original": Line("#000000"),
    "replicate": Line("#E69F00", "--"),
    "mine_uae": Line("#D55E00", weight=2.4),
    "exact_uae": Line("#8B1A1A", "--", 2.0),
    "l2_uae": Line("#0072B2"),
    "criterion_only": Line("#332288", ":"),
    "gaussian_1e-2": Line("#009E73", "-."),
    "gaussian_1e-3": Line("#56B4E9", "-."),
    "matched_noise": Line("#CC79A7", ":", 2.0),
}
_SPARE = (Line("#666666"), Line("#8C6D31"), Line("#332288"), Line("#AA4499", "--"), Line("#117733", "--"))


# For curves that are no arms: Okabe and Ito's, without their yellow
SPARE_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#000000")


def line_of(arm: str, place: int = 0) -> Line:
    """Choose the line of an arm; an unknown one takes the spare line number `place`, counted round.

    The draws of an arm ("gaussian_1e-2 draw 2") share its line.
    """
    return _ARMS.get(arm.split(" draw ")[0], _SPARE[place % len(_SPARE)])


def titled_curves(title: str, height: float) -> "Figure":
    """Open a figure of curves, `WIDTH` wide, that makes room for its parts, with a title over it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor="white", layout="constrained")
    text = "\n".join(textwrap.wrap(title, 72))
    figure.suptitle(text, x=0.01, ha="left", size=TITLE_SIZE, weight="bold", color=INK, parse_math=False)
    return figure


def legend_beside(figure: "Figure", axes: "Axes") -> None:
    """Name the curves of `axes` to the right of the figure."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside right center", fontsize=SMALL_SIZE, frameon=False, labelcolor=INK
    )


def dress(axes: "Axes", xlabel: str, ylabel: str) -> None:
    """Label the axes and clear away what carries no information."""
    axes.set_xlabel(xlabel, fontsize=LABEL_SIZE, color=INK)
    axes.set_ylabel(ylabel, fontsize=LABEL_SIZE, color=INK)
    axes.tick_params(labelsize=SMALL_SIZE, colors=INK)
    axes.grid(visible=True, color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def save(figure: "Figure", path: Path) -> None:
    """Write the figure as PNG at its exact size, and make the folder if there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=DPI, format="png")
