"""What a fit has done so far, and the checkpoint that lets a killed one go on."""

import logging
import pickle
import time
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from uae_cli.errors import refusal
from uae_cli.hashing import write_whole
from uae_cli.text import one_line

log = logging.getLogger(__name__)

SECONDS_BETWEEN = 20.0  # one checkpoint and the next


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
        path: of the file, read if it is there; None keeps nothing.
        device: of the model.
        state: what another process read, instead.

    Attributes:
        history: of the fit so far.
        best: weights of the lowest loss, where they are wanted.
        training: state of what was being trained; empty at the beginning of a try.
    """

    def __init__(self, path: Path | None, device: torch.device, state: dict[str, Any] | None = None) -> None:
        self._path = path
        self._saved_at = time.monotonic()
        state = state or (_read(path, device) if path and path.exists() else {})
        self.history = History(**state.get("history", {}))
        self.best: dict[str, Tensor] = state.get("best", {})
        self.training: dict[str, Any] = state.get("training", {})

    def begin_try(self, number: int) -> None:
        """What was saved of the last try no longer counts."""
        self.history, self.best, self.training = History(tries=number), {}, {}

    def save_now_and_then(self, training: Callable[[], dict[str, Any]]) -> None:
        """Write the file with this state, unless that was done a moment ago."""
        if self._path is None or time.monotonic() - self._saved_at < SECONDS_BETWEEN:
            return
        self.training = training()
        write_whole(self._path, lambda part: torch.save(self.state(), part))
        self.training = {}
        self._saved_at = time.monotonic()

    def state(self) -> dict[str, Any]:
        """All of it, as it is written."""
        return {"training": self.training, "history": asdict(self.history), "best": self.best}

    def remove(self) -> None:
        """The fit is finished."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def _read(path: Path, device: torch.device) -> dict[str, Any]:
    """What the file holds; nothing, and a word, if it is damaged."""
    try:
        with zipfile.ZipFile(path) as archive:  # whose checksums torch doesn't look at
            if damaged := archive.testzip():
                raise ValueError(f"{damaged} doesn't hold what was written")
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except (
        zipfile.BadZipFile,
        pickle.UnpicklingError,
        OSError,
        RuntimeError,
        ValueError,
        LookupError,
    ) as error:
        if refused := refusal(error, path):
            raise refused from error
        log.warning("%s: damaged (%s); this fit begins again", path, one_line(error))
        path.unlink() if path.is_file() else path.rmdir()
        return {}
    return state
