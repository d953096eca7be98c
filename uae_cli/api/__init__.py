"""The Python door, which `uae_cli` re-exports: UAEs of any model and any samples; and `uae attack`."""

from uae_cli.api.front import attack
from uae_cli.api.uaes import Augmented, Refresh, Uaes, augmented

__all__ = ["Augmented", "Refresh", "Uaes", "attack", "augmented"]
