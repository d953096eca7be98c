"""What the tests of the command line share."""

from collections.abc import Callable
from dataclasses import dataclass

# The same code on next to nothing
TINY = (
    "scale=smoke",
    "threads=1",
    "data.train_size=8",
    "data.test_size=4",
    "attack.iterations=2",
    "similarity.steps=2",
)


@dataclass(frozen=True)
class Called:
    """What a command answered."""

    status: int
    out: str
    err: str


Uae = Callable[..., Called]
