"""What a solver optimises besides the criterion: S(x, x + δ) (paper §3.2)."""

from uae_cli.attacks.similarities.base import BoundSimilarity, Goal, Grouped, Mine, Similarity, group_of
from uae_cli.attacks.similarities.comparisons import (
    Comparison,
    CosineDistance,
    FeatureScattering,
    L2Distance,
    Nothing,
    ReconstructionError,
)

__all__ = [
    "BoundSimilarity",
    "Comparison",
    "CosineDistance",
    "FeatureScattering",
    "Goal",
    "Grouped",
    "L2Distance",
    "Mine",
    "Nothing",
    "ReconstructionError",
    "Similarity",
    "group_of",
]
