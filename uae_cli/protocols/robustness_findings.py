"""What a robustness protocol found: success against ε as lines, curves and images."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from uae_cli.figures import figures
from uae_cli.figures.image_grid import draw_mosaic
from uae_cli.figures.robustness_curves import success_curves
from uae_cli.protocols.base import Measured
from uae_cli.stages.stages import Metrics
from uae_cli.stages.tensorboard import Observer

_SAMPLES = 3  # per method, in the grid of images


@dataclass(frozen=True)
class Point:
    """One victim under one method at one ε.

    Attributes:
        victim: its name.
        method: of attack.
        epsilon: largest |δ| of any value.
        metrics: what was measured.
        x: (n, *shape) clean samples.
        moved: (n, *shape) what the attack made of them.
    """

    victim: str
    method: str
    epsilon: float
    metrics: Metrics
    x: Tensor
    moved: Tensor

    @property
    def label(self) -> str:
        """Its line's name."""
        return f"{self.victim}/{self.method}@{self.epsilon:g}"


class RobustnessFindings:
    """See `Findings`.

    Args:
        lines: a line per victim, and one per point.
        points: in the order of victims, methods and ε.
        observer: TensorBoard.
    """

    def __init__(self, lines: list[Measured], points: list[Point], observer: Observer) -> None:
        self._lines, self._points, self._observer = lines, points, observer

    @property
    def measured(self) -> Sequence[Measured]:
        """See `Findings.measured`."""
        return self._lines

    def draw(self, folder: Path, title: str) -> None:
        """See `Findings.draw`."""
        figures.loss_curves(folder / "training_loss.png", self._observer.losses, "training loss", title)
        curves: dict[tuple[str, str], list[tuple[float, float]]] = {}
        for point in self._points:
            curve = curves.setdefault((point.victim, point.method), [])
            curve.append((point.epsilon, point.metrics["asr"]))
        success_curves(folder / "success.png", curves, f"{title}: attack success")
        for victim in dict.fromkeys(point.victim for point in self._points):
            self._grid(folder / f"{victim}_grid.png", victim, f"{title}: {victim}")

    def _grid(self, path: Path, victim: str, title: str) -> None:
        """Rows: method × sample; columns: the clean sample, then rising ε (paper, Figures 3 and 6)."""
        own = [point for point in self._points if point.victim == victim]
        if own[0].x.ndim != 4:
            return
        rows: dict[str, Tensor] = {}
        for method in dict.fromkeys(point.method for point in own):
            points = [point for point in own if point.method == method]
            for number in range(min(_SAMPLES, len(points[0].x))):
                shown = [points[0].x[number], *(point.moved[number] for point in points)]
                rows[f"{method}\nsample {number + 1}"] = torch.stack(shown)
        epsilons = [point.epsilon for point in own if point.method == own[0].method]
        draw_mosaic(path, rows, title, captions=["clean", *(f"{e:.3g}" for e in epsilons)], caption_label="ε")
