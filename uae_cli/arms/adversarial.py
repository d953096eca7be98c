"""The arm of unsupervised adversarial examples, once or for several rounds."""

from typing import Literal

from pydantic.dataclasses import dataclass

from uae_cli.arms.base import Extra, Workshop
from uae_cli.attacks.similarities.similarities import Similarity
from uae_cli.settings import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Adversarial:
    """Unsupervised adversarial examples of the current model (paper §4.4).

    Attributes:
        similarity: what the solver optimises beside the criterion.
    """

    similarity: Similarity
    draws: Literal[1] = 1

    def make(self, name: str, shop: Workshop, draw: int) -> Extra:  # noqa: ARG002
        """See `Arm.make`."""
        return shop.attacked(name, self.similarity)
