"""Methods that the attack protocol compares: similarity × solver, under the experiment's criterion."""

from pydantic.dataclasses import dataclass

from uae_cli.attacks.similarities.similarities import Similarity
from uae_cli.attacks.solvers.base import Solver
from uae_cli.settings import STRICT, Count


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Method:
    """One way to attack.

    Attributes:
        similarity: what is optimised besides the criterion.
        solver: how.
        draws: independent runs within one seed; results give their mean and spread.
    """

    similarity: Similarity
    solver: Solver
    draws: Count = 1
