"""What a fit has done so far, and the checkpoint that lets a killed one go on."""

import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from uae_cli.hashing import write_whole
from uae_cli.training.objectives import Updater

log = logging.getLogger(__name__)

_CHECKPOINT_SECONDS = 20.0


@dataclass
class History:
    """How a fit went.

    Attributes:
        losses: mean training loss of every epoch.
        scalars: what the objective tells beside it, per epoch.
        tries: fits from scratch it took; the lists are of the last one.
        converged: whether the objective says so.
    """

    losses: list[float] = field(default_factory=list)
    scalars: list[dict[str, float]] = field(default_factory=list)
    tries: int = 1
    converged: bool = False

    def replay(self, on_epoch: Callable[[int, float, dict[str, float]], None]) -> None:
        """Tell of all its epochs once more."""
        for epoch, (loss, scalars) in enumerate(zip(self.losses, self.scalars, strict=True), start=1):
            on_epoch(epoch, loss, scalars)


class Checkpoint:
    """The file that an interrupted fit leaves.

    Args:
        path: of the file; read if it is there.
        device: of the model.
    """

    def __init__(self, path: Path, device: torch.device) -> None:
        self._path = path
        self._saved_at = time.monotonic()
        self._state: dict[str, Any] = {}
        if path.exists():
            self._state = torch.load(path, map_location=device, weights_only=True)
        self.history = History(**self._state["history"]) if self._state else History()
        self.best: dict[str, Tensor] = self._state.get("best", {})

    def restore(self, model: nn.Module, updater: Updater, generators: list[torch.Generator]) -> None:
        """Put everything back as it was saved; does nothing at the beginning of a fit."""
        if not self._state:
            return
        log.info("going on after epoch %d", len(self.history.losses))
        model.load_state_dict(self._state["model"])
        updater.load_state_dict(self._state["updater"])
        for source, saved in zip(generators, self._state["generators"], strict=True):
            source.set_state(saved.cpu())

    def forget(self) -> None:
        """Another try begins: what was saved of the last one no longer counts."""
        self._state, self.best = {}, {}

    def save_now_and_then(
        self, history: History, model: nn.Module, updater: Updater, generators: list[torch.Generator]
    ) -> None:
        """Write the file, unless that was done a moment ago."""
        if time.monotonic() - self._saved_at < _CHECKPOINT_SECONDS:
            return
        state = {
            "model": model.state_dict(),
            "updater": updater.state_dict(),
            "generators": [source.get_state() for source in generators],
            "history": asdict(history),
            "best": self.best,
        }
        write_whole(self._path, lambda part: torch.save(state, part))
        self._saved_at = time.monotonic()

    def remove(self) -> None:
        """The fit is finished."""
        self._path.unlink(missing_ok=True)
