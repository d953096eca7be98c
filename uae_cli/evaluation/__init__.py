"""Evaluation: what a trained model is measured by."""

from uae_cli.evaluation.base import Evaluation, EvaluationData, Watcher
from uae_cli.evaluation.image_quality import ImageQuality
from uae_cli.evaluation.mutual_information import HeldOutInformation
from uae_cli.evaluation.outputs import ClassificationEvaluation, ReconstructionEvaluation
from uae_cli.evaluation.representation import ContrastiveEvaluation, LinearProbe, NearestNeighbours
from uae_cli.evaluation.selected_features import SelectedFeatures

__all__ = [
    "ClassificationEvaluation",
    "ContrastiveEvaluation",
    "Evaluation",
    "EvaluationData",
    "HeldOutInformation",
    "ImageQuality",
    "LinearProbe",
    "NearestNeighbours",
    "ReconstructionEvaluation",
    "SelectedFeatures",
    "Watcher",
]
