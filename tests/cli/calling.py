"""What the tests of the command line share."""

import re
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

    @property
    def mistake(self) -> str:
        """What standard error says, but for the line that tells, before torch is imported, what begins."""
        lines = self.err.splitlines(keepends=True)
        return "".join(line for line in lines if not re.search(r" scale\), device \S+$", line))


Uae = Callable[..., Called]
