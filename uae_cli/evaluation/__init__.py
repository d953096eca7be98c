"""Evaluation: what a trained model is measured by."""

from uae_cli.evaluation.base import Evaluation, Subject
from uae_cli.evaluation.classification import ClassificationEvaluation
from uae_cli.evaluation.contrastive import ContrastiveEvaluation
from uae_cli.evaluation.image_quality import ImageQuality
from uae_cli.evaluation.linear_probe import LinearProbe
from uae_cli.evaluation.mutual_information import HeldOutInformation
from uae_cli.evaluation.nearest_neighbours import NearestNeighbours
from uae_cli.evaluation.reconstruction import ReconstructionEvaluation
from uae_cli.evaluation.selected_features import SelectedFeatures
from uae_cli.evaluation.watcher import Watcher

__all__ = [
    "ClassificationEvaluation",
    "ContrastiveEvaluation",
    "Evaluation",
    "HeldOutInformation",
    "ImageQuality",
    "LinearProbe",
    "NearestNeighbours",
    "ReconstructionEvaluation",
    "SelectedFeatures",
    "Subject",
    "Watcher",
]
