"""What people see of work that takes long: bars in a terminal, lines now and then in a log file or pipe."""

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from uae_cli.text import duration

log = logging.getLogger(__name__)

# Seconds
_FIRST_LINE, _LONGEST_SILENCE = 10, 600
_AT_ONCE = 1.0  # what is done by then was found, not made, and says nothing of the speed
_SPEED_OF = 120.0  # the last steps that bars tell the speed by; an epoch may take more than rich's 30
_SLOW = 2  # after which people wonder


class Bar(ABC):
    """A piece of work under way."""

    @abstractmethod
    def __call__(self, steps: int) -> None:
        """Count so many steps more; or fewer, where some must be done again."""

    @abstractmethod
    def begin(self, total: int) -> None:
        """Count from 0 again, to another total."""


class _DrawnBar(Bar):
    def __init__(self, label: str, total: int, display: Progress) -> None:
        self._display, self._task = display, display.add_task(label, total=total)

    def __call__(self, steps: int) -> None:
        self._display.advance(self._task, steps)

    def begin(self, total: int) -> None:
        self._display.reset(self._task, total=total)


class _LoggedBar(Bar):
    def __init__(self, label: str, total: int) -> None:
        self._label = label
        self.begin(total)

    def begin(self, total: int) -> None:
        self._total, self._done, self._started = total, 0, time.monotonic()
        self._next, self._found = float(_FIRST_LINE), (0.0, 0)

    def __call__(self, steps: int) -> None:
        self._done += steps
        elapsed = time.monotonic() - self._started
        if elapsed < _AT_ONCE:
            self._found = elapsed, self._done
        if elapsed < self._next or not 0 < self._done < self._total:
            return
        self._next = elapsed + min(elapsed, _LONGEST_SILENCE)
        share = 100 * self._done / self._total
        log.info("%s: %.0f %% after %s%s", self._label, share, duration(elapsed), self._left(elapsed))

    def _left(self, elapsed: float) -> str:
        since, done = elapsed - self._found[0], self._done - self._found[1]
        return f", about {duration(since * (self._total - self._done) / done)} left" if done > 0 else ""


class Bars:
    """Bars on standard error, one per running piece of work, removed when it ends.

    Where that is no terminal, lines are logged instead: after ten seconds, and whenever the time since the
    beginning has doubled, or ten minutes have passed.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)

    @contextmanager
    def bar(self, label: str, total: int) -> Iterator[Bar]:
        """A bar over `total` steps."""
        if not self._console.is_terminal:
            yield _LoggedBar(label, total)
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        display = Progress(*columns, console=self._console, transient=True, speed_estimate_period=_SPEED_OF)
        with display:
            yield _DrawnBar(label, total, display)


@contextmanager
def said_if_slow(what: str) -> Iterator[None]:
    """Log `what` if the block, whose end can't be foreseen, isn't through after two seconds."""
    timer = threading.Timer(_SLOW, log.info, (what,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
