"""Cached stages: work keyed by what determines it, so that nothing finished is ever done twice or lost.

A stage lives in `<root>/<kind>-<hash>/`. It is computed in `<root>/.partial/…` and renamed when done, so
its presence means that it is complete. What a killed process leaves in the partial folder is handed to
the next attempt, which may resume from it. A lock per stage lets parallel jobs share one store.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from filelock import FileLock

from uae_cli.hashing import digest, write_json

# What a stage's outcome is computed by, beside its inputs
_PACKAGE = Path(__file__).parent.parent
_SOURCES = (
    "arms",
    "randomness.py",
    "stages",
    "attacks",
    "contrastive",
    "evaluation",
    "experiment/schema.py",
    "machine.py",
    "mi",
    "models",
    "training",
    "protocols",
)


@dataclass(frozen=True)
class Stage:
    """A finished stage: its folder, its key, and whether it was found rather than computed."""

    folder: Path
    key: str
    reused: bool

    def read_json(self, name: str) -> Any:
        """Parse one of the stage's JSON files."""
        return json.loads((self.folder / name).read_text(encoding="utf-8"))


class StageStore:
    """A folder of finished stages.

    Args:
        root: the folder, made if needed.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def get(self, kind: str, inputs: Mapping[str, Any], compute: Callable[[Path], None]) -> Stage:
        """The stage for these inputs, computed only if no finished one is there.

        Args:
            kind: "fit", "attack", …; the first part of the folder's name.
            inputs: everything that determines the outcome, as JSON.
            compute: writes the stage's files into the folder it is given, which may hold what an
                interrupted attempt left there.
        """
        key = f"{kind}-{digest({'code': code_version(), **inputs})}"
        final, partial = self._root / key, self._root / ".partial" / key
        partial.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self._root / ".partial" / f"{key}.lock"):
            if final.is_dir():
                return Stage(final, key, reused=True)
            partial.mkdir(exist_ok=True)
            compute(partial)
            write_json(partial / "inputs.json", inputs)
            partial.rename(final)
        return Stage(final, key, reused=False)


@cache
def code_version() -> str:
    """Changes with the code that computes stages and with torch: what older code made is not reused."""
    hasher = hashlib.blake2b(metadata.version("torch").encode(), digest_size=8)
    for source in _SOURCES:
        path = _PACKAGE / source
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            hasher.update(file.read_bytes())
    return hasher.hexdigest()
