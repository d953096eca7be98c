"""Attacks: criterion × similarity × solver; every attack of the paper is one such triple."""

from uae_cli.attacks.criteria import Contrastive, Criterion, Misclassification, Reconstruction
from uae_cli.attacks.dataset import Attack
from uae_cli.attacks.methods import Method
from uae_cli.attacks.samples import Samples
from uae_cli.attacks.similarities import (
    CosineDistance,
    FeatureScattering,
    L2Distance,
    Mine,
    Nothing,
    ReconstructionError,
    Similarity,
)
from uae_cli.attacks.solvers import MinMax, Penalty, Pgd, Solver

__all__ = [
    "Attack",
    "Contrastive",
    "CosineDistance",
    "Criterion",
    "FeatureScattering",
    "L2Distance",
    "Method",
    "MinMax",
    "Mine",
    "Misclassification",
    "Nothing",
    "Penalty",
    "Pgd",
    "Reconstruction",
    "ReconstructionError",
    "Samples",
    "Similarity",
    "Solver",
]
