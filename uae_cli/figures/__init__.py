"""Figures of a run, as PNG. Most functions say whether they drew: tables of features have no images."""

from uae_cli.figures.curves import Course, attack_curves, loss_curves, similarity_curves, success_curves
from uae_cli.figures.gains import GainLine, gain_intervals
from uae_cli.figures.image_grid import amplified, draw_mosaic, image_rows, largest_perturbations

__all__ = [
    "Course",
    "GainLine",
    "amplified",
    "attack_curves",
    "draw_mosaic",
    "gain_intervals",
    "image_rows",
    "largest_perturbations",
    "loss_curves",
    "similarity_curves",
    "success_curves",
]
