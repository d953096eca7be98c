"""What interrupted work leaves, so that it goes on instead of beginning again; and that of a fit."""

import logging
import pickle
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from uae_cli.errors import refusal
from uae_cli.hashing import is_unharmed, remove, write_checked
from uae_cli.text import one_line

log = logging.getLogger(__name__)

SECONDS_BETWEEN = 20.0  # one checkpoint and the next
_REST = (
    50.0  # times as long as saving took, too: a large state on a slow disk must not be what takes the time
)


@dataclass
class History:
    """How a fit went.

    Attributes:
        losses: mean training loss of every epoch.
        scalars: what the objective tells beside it, per epoch.
        tries: fits from scratch it took; the lists are of the last one.
        converged: whether the objective says so.
        passes: forward and backward passes of one sample through the model, those of earlier tries included.
        renewals: rounds in which training samples were made anew, likewise.
    """

    losses: list[float] = field(default_factory=list)
    scalars: list[dict[str, float]] = field(default_factory=list)
    tries: int = 1
    converged: bool = False
    passes: int = 0
    renewals: int = 0

    def replay(self, on_epoch: Callable[[int, float, dict[str, float]], None]) -> None:
        """Tell of all its epochs once more."""
        for epoch, (loss, scalars) in enumerate(zip(self.losses, self.scalars, strict=True), start=1):
            on_epoch(epoch, loss, scalars)


class Checkpoint:
    """A state that is saved now and then. The last two are kept, for when the last one is damaged.

    Args:
        path: NAME.pt; the files are NAME-NUMBER.SUM.pt beside it. The last whole one is read. None keeps
            nothing.
        device: where tensors go.
        seconds_between: from one to the next, at least.

    Attributes:
        state: what was read; empty at the beginning.
    """

    def __init__(
        self, path: Path | None, device: torch.device, seconds_between: float = SECONDS_BETWEEN
    ) -> None:
        self._path, self._between = path, seconds_between
        self._began = self._saved = time.monotonic()
        self._rest = 0.0
        self._files = sorted(path.parent.glob(f"{path.stem}-*.*.pt"), key=_number) if path else []
        self.state: dict[str, Any] = {}
        while self._files and not self.state:
            self.state = self._read(self._files[-1], device)
        self._before = float(self.state.pop("seconds", 0))

    @property
    def seconds(self) -> float:
        """That the work has taken, attempts before this one included."""
        return self._before + time.monotonic() - self._began

    def save_now_and_then(self, state: Callable[[], dict[str, Any]]) -> None:
        """Write this state, of numbers, lists, dicts and tensors, unless that was done a moment ago."""
        now = time.monotonic()
        if self._path is None or now - self._saved < self._between + self._rest:
            return
        saved = state() | {"seconds": self.seconds}
        name = f"{self._path.stem}-{_number(self._files[-1]) + 1 if self._files else 1}.pt"
        self._files.append(write_checked(self._path.with_name(name), lambda part: torch.save(saved, part)))
        while len(self._files) > 2:
            remove(self._files.pop(0))
        self._saved = time.monotonic()
        self._rest = _REST * min(self._saved - now, self._between)

    def remove(self) -> None:
        """The work is done."""
        while self._files:
            remove(self._files.pop())

    def _read(self, file: Path, device: torch.device) -> dict[str, Any]:
        """What the last file holds; one that is damaged is told and removed."""
        problem = "" if is_unharmed(file) else "it doesn't hold what was written"
        if not problem:
            try:
                state: dict[str, Any] = torch.load(file, map_location=device, weights_only=True)
            except (pickle.UnpicklingError, OSError, RuntimeError, ValueError, LookupError) as error:
                if refused := refusal(error, file):
                    raise refused from error
                problem = one_line(error)
            else:
                return state
        earlier = "the one before is used" if len(self._files) > 1 else "this work begins again"
        log.warning("%s: damaged (%s); %s", file, problem, earlier)
        remove(self._files.pop())
        return {}


class FitCheckpoint(Checkpoint):
    """That of a fit; `read` is the state that another process read, instead.

    Attributes:
        history: of the fit so far.
        best: weights of the lowest loss, where they are wanted.
        training: state of what was being trained; empty at the beginning of a try.
    """

    def __init__(
        self,
        path: Path | None,
        device: torch.device,
        seconds_between: float = SECONDS_BETWEEN,
        read: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(path, device, seconds_between)
        self.state = read or self.state
        self.history = History(**self.state.get("history", {}))
        self.best: dict[str, Tensor] = self.state.get("best", {})
        self.training: dict[str, Any] = self.state.get("training", {})

    def begin_try(self, number: int) -> None:
        """What was saved of the last try no longer counts."""
        self.history = History(tries=number, passes=self.history.passes, renewals=self.history.renewals)
        self.best, self.training = {}, {}

    def save_epoch(self, training: Callable[[], dict[str, Any]]) -> None:
        """See `save_now_and_then`."""
        self.save_now_and_then(
            lambda: {"training": training(), "history": asdict(self.history), "best": self.best}
        )


def _number(file: Path) -> int:
    number = file.name.partition(".")[0].rpartition("-")[2]
    return int(number) if number.isdigit() else 0
