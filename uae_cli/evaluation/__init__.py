"""Evaluation: what a trained model is measured by."""

from uae_cli.evaluation.base import Evaluation, Subject
from uae_cli.evaluation.reconstruction import ReconstructionEvaluation

__all__ = ["Evaluation", "ReconstructionEvaluation", "Subject"]
