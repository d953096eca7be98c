"""Rows of images in one figure, every image an exact multiple of its pixels."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from uae_cli.figures.style import DPI, INK, LABEL_SIZE, SMALL_SIZE, TITLE_SIZE, new_figure, save

Picture = NDArray[np.float32]

# Everything in pixels of the file.
CELL = 120
GAP = 6
LABELS = 200
MARGIN = 24
CAPTIONS = 34
TITLE_LINE = 34
LEAST_WIDTH = 560


def draw_mosaic(
    path: Path, rows: Mapping[str, Tensor], title: str, captions: Sequence[str] = (), caption_label: str = ""
) -> None:
    """Draw rows of images (n, C, H, W) in [0, 1], the label of each to its left, captions below the last.

    Captions may hold line breaks, all as many.
    """
    zoom = max(1, round(CELL / max(next(iter(rows.values())).shape[2:])))
    picture = np.concatenate([_row(images, zoom) for images in rows.values()])[:-GAP]
    height, width = picture.shape[:2]
    lines = textwrap.wrap(title, max(20, (LABELS + max(width, LEAST_WIDTH - LABELS)) // 15))
    top = MARGIN + TITLE_LINE * len(lines)
    bottom = MARGIN + CAPTIONS * (1 + caption_label.count("\n") if captions else 0)
    full_width = max(LABELS + width + MARGIN, LEAST_WIDTH)
    figure = new_figure(full_width / DPI, (top + height + bottom) / DPI)
    _place(figure, picture, bottom)
    _label(figure, picture, list(rows), top)
    _caption(figure, picture, captions, caption_label, bottom)
    _write(figure, MARGIN, MARGIN / 2, "\n".join(lines), va="top", size=TITLE_SIZE, weight="bold")
    save(figure, path)


def _row(images: Tensor, zoom: int) -> Picture:
    """Join images (n, C, H, W) side by side, magnified, with white gaps to the right and below."""
    pictures = _colour(images).repeat(zoom, axis=1).repeat(zoom, axis=2)
    padded = np.pad(pictures, ((0, 0), (0, GAP), (0, GAP), (0, 0)), constant_values=1.0)
    joined: Picture = np.concatenate(list(padded), axis=1)[:, :-GAP]
    return joined


def _colour(images: Tensor) -> Picture:
    """Turn (n, C, H, W) into (n, H, W, 3): grey is repeated, odd channel counts are averaged to grey."""
    pixels = images.detach().float().cpu()
    pixels = pixels if pixels.shape[1] == 3 else pixels.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    colour: Picture = pixels.nan_to_num(0.0).clamp(0, 1).permute(0, 2, 3, 1).numpy()
    return colour


def _place(figure: Figure, picture: Picture, bottom: int) -> None:
    across, up = _size(figure)
    height, width = picture.shape[:2]
    axes = figure.add_axes((LABELS / across, bottom / up, width / across, height / up))
    axes.imshow(picture, interpolation="nearest", aspect="auto")
    axes.set_axis_off()


def _label(figure: Figure, picture: Picture, labels: Sequence[str], top: int) -> None:
    step = (picture.shape[0] + GAP) / len(labels)
    for index, label in enumerate(labels):
        middle = top + step * index + (step - GAP) / 2
        _write(figure, LABELS - 12, middle, label, ha="right", va="center", size=LABEL_SIZE)


def _caption(figure: Figure, picture: Picture, captions: Sequence[str], label: str, bottom: int) -> None:
    if not captions:
        return
    step = (picture.shape[1] + GAP) / len(captions)
    middle = _size(figure)[1] - bottom + (bottom - MARGIN) / 2
    _write(figure, LABELS - 12, middle, label, ha="right", va="center", size=LABEL_SIZE)
    for index, caption in enumerate(captions):
        left = LABELS + step * index + (step - GAP) / 2
        _write(figure, left, middle, caption, ha="center", va="center", size=SMALL_SIZE)


def _write(
    figure: Figure,
    x: float,
    y: float,
    text: str,
    *,
    size: float,
    ha: str = "left",
    va: str = "center",
    weight: str = "normal",
) -> None:
    """Write text at a pixel counted from the upper left corner."""
    across, up = _size(figure)
    figure.text(
        x / across, 1 - y / up, text, ha=ha, va=va, size=size, weight=weight, color=INK, parse_math=False
    )


def _size(figure: Figure) -> tuple[float, float]:
    width, height = figure.get_size_inches()
    return float(width) * DPI, float(height) * DPI
