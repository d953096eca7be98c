"""When an attack has succeeded: f(x + δ) ≤ 0, apart from how it is found (paper §3.2)."""

from uae_cli.attacks.criteria.base import BoundCriterion, Criterion, Reconstruction, squared_error
from uae_cli.attacks.criteria.contrastive import Contrastive, RandomCriterion
from uae_cli.attacks.criteria.misclassification import BoundMisclassification, Misclassification

__all__ = [
    "BoundCriterion",
    "BoundMisclassification",
    "Contrastive",
    "Criterion",
    "Misclassification",
    "RandomCriterion",
    "Reconstruction",
    "squared_error",
]
