"""What a solver optimises besides the criterion: S(x, x + δ) (paper §3.2)."""

from uae_cli.attacks.similarities.feature_scattering import FeatureScattering
from uae_cli.attacks.similarities.similarities import (
    BoundSimilarity,
    Comparison,
    CosineDistance,
    Goal,
    Grouped,
    L2Distance,
    Mine,
    Nothing,
    ReconstructionError,
    Similarity,
    group_of,
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
