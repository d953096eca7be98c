"""Attacks: criterion × similarity × solver; every attack of the paper is one such triple."""

from uae_cli.attacks.attack import Attack, Method, attack_batch, judge
from uae_cli.attacks.criteria import (
    Contrastive,
    Criterion,
    Misclassification,
    OwnLoss,
    RandomCriterion,
    Reconstruction,
    squared_error,
)
from uae_cli.attacks.dataset import RESULT, SECONDS, generate, unfinished
from uae_cli.attacks.feature_scattering import FeatureScattering
from uae_cli.attacks.mixing import Partners
from uae_cli.attacks.moves import FittedMoves, Moves, PrincipalComponents, Warp
from uae_cli.attacks.samples import Samples, per_sample
from uae_cli.attacks.similarities import (
    Comparison,
    CosineDistance,
    GaussianInformation,
    L2Distance,
    Mine,
    Nothing,
    ReconstructionError,
    Similarity,
    vectors_of,
)
from uae_cli.attacks.solvers import MinMax, Penalty, Pgd, Solver

__all__ = [
    "RESULT",
    "SECONDS",
    "Attack",
    "Comparison",
    "Contrastive",
    "CosineDistance",
    "Criterion",
    "FeatureScattering",
    "FittedMoves",
    "GaussianInformation",
    "L2Distance",
    "Method",
    "MinMax",
    "Mine",
    "Misclassification",
    "Moves",
    "Nothing",
    "OwnLoss",
    "Partners",
    "Penalty",
    "Pgd",
    "PrincipalComponents",
    "RandomCriterion",
    "Reconstruction",
    "ReconstructionError",
    "Samples",
    "Similarity",
    "Solver",
    "Warp",
    "attack_batch",
    "generate",
    "judge",
    "per_sample",
    "squared_error",
    "unfinished",
    "vectors_of",
]
