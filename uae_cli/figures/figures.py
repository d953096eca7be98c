"""Figures of a run, as PNG. Each function says whether it drew: tables of features have no images."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from uae_cli.figures.curves import attack_curves, loss_curves
from uae_cli.figures.image_grid import draw_mosaic

__all__ = ["amplified", "attack_curves", "image_rows", "largest_perturbations", "loss_curves"]

MOST = 10


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


def _is_images(shape: Sequence[int]) -> bool:
    return len(shape) == 4 and all(size > 0 for size in shape)


def _largest(original: Tensor, uae: Tensor, success: Tensor) -> tuple[Tensor, list[float]]:
    """Find the indices and norms of the successful samples with the largest ‖δ‖₂, in falling order."""
    norms = (uae - original).detach().flatten(1).norm(dim=1).masked_fill(~success.bool(), -1.0)
    top = torch.topk(norms, min(MOST, int(success.sum())))
    return top.indices, top.values.tolist()
