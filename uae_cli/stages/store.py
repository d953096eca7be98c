"""Cached stages: work keyed by what determines it, so that nothing finished is ever done twice or lost.

A stage lives in `<root>/<kind>-<hash>/`. It is computed in `<root>/.partial/…` and renamed when done, so
its presence means that it is complete. What a killed process leaves in the partial folder is handed to
the next attempt, which may resume from it. A lock per stage lets parallel jobs share one store.
"""

import json
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from torch import Tensor

from uae_cli.hashing import digest, write_json
from uae_cli.machine import device_name, metered
from uae_cli.stages.sources import code_version

log = logging.getLogger(__name__)


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
    """A folder of finished stages, and a record of those that one run asked for.

    Args:
        root: the folder, made if needed.
        device: where stages are computed.

    Attributes:
        costs: per stage, in the order asked for: seconds, peak bytes and the device of its making, and
            whether it was reused.
        stages: by kind and label.
    """

    def __init__(self, root: Path, device: torch.device) -> None:
        self._root, self._device = root, device
        self.costs: list[dict[str, Any]] = []
        self.stages: dict[str, Stage] = {}

    def get(self, label: str, kind: str, inputs: Mapping[str, Any], compute: Callable[[Path], None]) -> Stage:
        """The stage for these inputs, computed only if no finished one is there.

        Args:
            label: what the record calls it.
            kind: "fit", "attack", …; the first part of the folder's name.
            inputs: everything that determines the outcome beside the code, as JSON.
            compute: writes the stage's files into the folder it is given, which may hold what an
                interrupted attempt left there.
        """
        key = f"{kind}-{digest({'code': code_version(kind), **inputs})}"
        final, partial = self._root / key, self._root / ".partial" / key
        partial.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self._root / ".partial" / f"{key}.lock"):
            stage = Stage(final, key, reused=final.is_dir())
            if not stage.reused:
                partial.mkdir(exist_ok=True)
                with metered(self._device) as cost:
                    compute(partial)
                write_json(partial / "cost.json", vars(cost) | {"device": device_name(self._device)})
                write_json(partial / "inputs.json", inputs)
                partial.rename(final)
        self._record(f"{kind} {label}", stage)
        return stage

    def _record(self, name: str, stage: Stage) -> None:
        cost = stage.read_json("cost.json")
        self.stages[name] = stage
        self.costs.append({"stage": name, "reused": stage.reused, **cost})
        log.info("%s: %s", name, "reused" if stage.reused else f"{cost['seconds']:.1f} s")
        log.debug("%s is %s", name, stage.key)  # for run.log; no news to people

    def note(self, **record: Any) -> None:
        """Write this beside the cost of the last stage."""
        self.costs[-1] |= record

    @property
    def unconverged(self) -> list[str]:
        """Labels of the fits that did not converge."""
        return [
            str(cost["stage"]).removeprefix("fit ") for cost in self.costs if cost.get("converged") is False
        ]

    def seconds_here(self, label: str, stage: Stage, seconds: Tensor) -> float:
        """The sum of an attack's seconds (N,); NaN, and a word, if a device of another name took them."""
        if stage.read_json("cost.json")["device"] == device_name(self._device):
            return float(seconds.sum())
        log.warning(
            "attack %s: made on another device, whose seconds are not told; outputs=DIR makes it anew", label
        )
        return math.nan
