"""Cached stages, and a record of what each one cost."""

import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from uae_cli.hashing import write_json
from uae_cli.machine import device_name, metered
from uae_cli.stages.store import Stage, StageStore

log = logging.getLogger(__name__)


class Ledger:
    """Runs stages, or finds them again, and writes down their cost.

    Args:
        outputs: folder that holds the cache.
        device: where they run.

    Attributes:
        costs: per stage label, seconds, peak bytes and the device of its making, and whether it was reused.
        stages: by label.
    """

    def __init__(self, outputs: Path, device: torch.device) -> None:
        self._store, self._device = StageStore(outputs / "stages"), device
        self.costs: list[dict[str, Any]] = []
        self.stages: dict[str, Stage] = {}

    def stage(self, label: str, kind: str, inputs: dict[str, Any], compute: Callable[[Path], None]) -> Stage:
        """What `compute` writes into a folder for these inputs, now or at an earlier time."""

        def metered_compute(folder: Path) -> None:
            with metered(self._device) as cost:
                compute(folder)
            record = {"seconds": cost.seconds, "peak_bytes": cost.peak_bytes}
            write_json(folder / "cost.json", record | {"device": device_name(self._device)})

        stage = self._store.get(kind, inputs, metered_compute)
        self.stages[f"{kind} {label}"] = stage
        cost = stage.read_json("cost.json")
        self.costs.append({"stage": f"{kind} {label}", "reused": stage.reused, **cost})
        took = "reused" if stage.reused else f"{cost['seconds']:.1f} s"
        log.info("%s %s: %s, %s", kind, label, took, stage.key)
        return stage

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
