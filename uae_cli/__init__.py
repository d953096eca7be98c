"""Unsupervised adversarial examples: generate them, retrain on them, measure what they change."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from uae_cli.api import Augmented, Refresh, Uaes, attack, augmented
    from uae_cli.attacks import Comparison, Criterion, MinMax, Penalty, Pgd, Similarity, Solver

__version__ = "0.1.0"

__all__ = [
    "Augmented",
    "Comparison",
    "Criterion",
    "MinMax",
    "Penalty",
    "Pgd",
    "Refresh",
    "Similarity",
    "Solver",
    "Uaes",
    "attack",
    "augmented",
]

_API = ("Augmented", "Refresh", "Uaes", "attack", "augmented")


def __getattr__(name: str) -> Any:
    """What is exported, once asked for: torch takes seconds, which the command line need not spend."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{'api' if name in _API else 'attacks'}"), name)
