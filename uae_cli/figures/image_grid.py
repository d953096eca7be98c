"""Rows of images in one figure, every image an exact multiple of its pixels."""

import textwrap
from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from uae_cli.figures.style import DPI, INK, LABEL_SIZE, SMALL_SIZE, TITLE_SIZE

Picture = NDArray[np.uint8]

# Everything in pixels of the file.
CELL = 120
GAP = 6
LABELS = 200
MARGIN = 24
CAPTIONS = 34
TITLE_LINE = 34
LEAST_WIDTH = 560
MOST = 10  # samples in a row


def image_rows(path: Path, rows: Mapping[str, Tensor], title: str, success: Tensor | None = None) -> bool:
    """Draw the first ten samples in columns, one labelled row per entry.

    Columns whose `success` (n,) is false are marked as failed.

    Every entry is of shape (n, C, H, W) with values in [0, 1] (cut to it; see `amplified` for a
    perturbation); one channel is grey, three are colour, any other number is averaged to grey. Labels
    may hold line breaks. Returns False, and writes nothing, for samples that are no images or are none.

    Raises:
        ValueError: the entries differ in shape.

    """
    shapes = {tuple(images.shape) for images in rows.values()}
    if len(shapes) > 1:
        raise ValueError(f"rows of images differ in shape: {sorted(shapes)}")
    if not shapes or not _is_images(shapes.pop()):
        return False
    shown = {label: images[:MOST] for label, images in rows.items()}
    if success is None or bool(success[:MOST].all()):
        draw_mosaic(path, shown, title)
        return True
    marks = ["" if one else "✗" for one in success[:MOST].tolist()]
    draw_mosaic(path, shown, title, captions=marks, caption_label="✗: none found,\nthe original stays")
    return True


def largest_perturbations(path: Path, original: Tensor, uae: Tensor, success: Tensor, title: str) -> bool:
    """Draw the ten successful samples whose perturbation is largest in L2, as the paper's Figure 5.

    `original` and `uae` are of shape (n, C, H, W) in [0, 1], `success` is boolean of shape (n,). The rows
    are original, UAE and |δ| (its largest value is white), with ‖δ‖₂ and the sample's number, from 0,
    under every column; the title is followed by what they were chosen from. Returns False, and writes
    nothing, for samples that are no images or if no sample succeeded.

    Raises:
        ValueError: `original`, `uae` and `success` disagree in shape.

    """
    if original.shape != uae.shape or success.shape != original.shape[:1]:
        raise ValueError(
            f"shapes disagree: original {tuple(original.shape)}, UAE {tuple(uae.shape)}, "
            f"success {tuple(success.shape)}"
        )
    if not _is_images(original.shape) or not bool(success.any()):
        return False
    chosen, norms = _largest(original, uae, success)
    size = (uae[chosen] - original[chosen]).detach().abs()
    peak = float(size.max())
    rows = {
        "original": original[chosen],
        "UAE": uae[chosen],
        f"|δ|\nwhite = {peak:.2g}": size / peak if peak > 0 else size,
    }
    numbers = zip(norms, chosen.tolist(), strict=True)
    draw_mosaic(
        path,
        rows,
        f"{title}, the {len(norms)} largest ‖δ‖₂ of {int(success.sum()):,} successful samples",
        captions=[f"{f'{norm:#.3g}'.rstrip('.')}\n{index}" for norm, index in numbers],
        caption_label="‖δ‖₂\nsample",
    )
    return True


def amplified(delta: Tensor) -> tuple[Tensor, float]:
    """Make a perturbation visible: mid-grey is no change; returned with the factor it was multiplied by.

    `delta` is of any shape with values in [-1, 1]; the result is 0.5 + factor · delta, cut to [0, 1]. The
    factor is one of 0.5, 1, 2, 5, 10, 20, … , the largest that cuts nothing.
    """
    peak = float(delta.detach().abs().max()) if delta.numel() else 0.0
    steps = [0.5, *(digit * 10.0**power for power in range(4) for digit in (1, 2, 5))]
    factor = max([step for step in steps if step * peak <= 0.5], default=0.5) if peak > 0 else 1.0
    return (0.5 + factor * delta.detach()).clamp(0, 1), factor


def draw_mosaic(
    path: Path, rows: Mapping[str, Tensor], title: str, captions: Sequence[str] = (), caption_label: str = ""
) -> None:
    """Draw rows of images (n, C, H, W) in [0, 1], the label of each to its left, captions below the last.

    Captions may hold line breaks, all as many.
    """
    zoom = max(1, round(CELL / max(next(iter(rows.values())).shape[2:])))
    picture = np.concatenate([_row(images, zoom) for images in rows.values()])[:-GAP]
    height, width = picture.shape[:2]
    full_width = max(LABELS + width + MARGIN, LEAST_WIDTH)
    lines = textwrap.wrap(title, max(20, (full_width - MARGIN) // 15))
    top = MARGIN + TITLE_LINE * len(lines)
    bottom = top + height + (CAPTIONS * (1 + caption_label.count("\n")) if captions else 0)
    # Without matplotlib, whose figures take several times as long and resample
    canvas = Image.new("RGB", (full_width, bottom + MARGIN), "white")
    canvas.paste(Image.fromarray(picture), (LABELS, top))
    write = partial(ImageDraw.Draw(canvas).text, fill=INK)
    write((MARGIN, MARGIN / 2), "\n".join(lines), font=_font(TITLE_SIZE, "DejaVuSans-Bold"))
    step = (height + GAP) / len(rows)
    labels = [(top + step * index + (step - GAP) / 2, label) for index, label in enumerate(rows)]
    if captions:
        middle, step = (top + height + bottom) / 2, (width + GAP) / len(captions)
        labels.append((middle, caption_label))
        for index, caption in enumerate(captions):
            place = LABELS + step * index + (step - GAP) / 2, middle
            write(place, caption, font=_font(SMALL_SIZE), anchor="mm", align="center")
    for y, label in labels:
        write((LABELS - 12, y), label, font=_font(LABEL_SIZE), anchor="rm", align="right")
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.save(path, dpi=(DPI, DPI))


@cache
def _font(points: int, name: str = "DejaVuSans") -> ImageFont.FreeTypeFont:
    """The font of the other figures, which comes with matplotlib."""
    import matplotlib

    file = Path(matplotlib.get_data_path(), "fonts", "ttf", f"{name}.ttf")
    return ImageFont.truetype(file, points * DPI / 72)


def _row(images: Tensor, zoom: int) -> Picture:
    """Join images (n, C, H, W) side by side, magnified, with white gaps to the right and below.

    Grey is repeated, odd channel counts are averaged to grey.
    """
    pixels = images.detach().float().cpu()
    pixels = pixels if pixels.shape[1] == 3 else pixels.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    colour = (255 * pixels.nan_to_num(0.0).clamp(0, 1)).round().byte().permute(0, 2, 3, 1).numpy()
    pictures = colour.repeat(zoom, axis=1).repeat(zoom, axis=2)
    padded = np.pad(pictures, ((0, 0), (0, GAP), (0, GAP), (0, 0)), constant_values=255)
    joined: Picture = np.concatenate(list(padded), axis=1)[:, :-GAP]
    return joined


def _is_images(shape: Sequence[int]) -> bool:
    return len(shape) == 4 and all(size > 0 for size in shape)


def _largest(original: Tensor, uae: Tensor, success: Tensor) -> tuple[Tensor, list[float]]:
    """Find the indices and norms of the successful samples with the largest ‖δ‖₂, in falling order."""
    norms = (uae - original).detach().flatten(1).norm(dim=1).masked_fill(~success.bool(), -1.0)
    top = torch.topk(norms, min(MOST, int(success.sum())))
    return top.indices, top.values.tolist()
