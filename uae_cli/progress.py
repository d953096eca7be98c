"""What people see of work that takes long: bars in a terminal, lines now and then in a log file or pipe."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from uae_cli.report.numbers import duration

log = logging.getLogger(__name__)

Advance = Callable[[int], None]

_FIRST_LINE, _LONGEST_SILENCE = 10, 600  # seconds
_SLOW = 2  # seconds after which people wonder


class Bars:
    """Bars on standard error, one per running piece of work, removed when it ends.

    Where that is no terminal, lines are logged instead: after ten seconds, and whenever the time since the
    beginning has doubled, or ten minutes have passed.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)

    @contextmanager
    def bar(self, label: str, total: int) -> Iterator[Advance]:
        """A bar over `total` steps; the block is given a function that advances it by n steps."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        drawn = self._console.is_terminal
        with Progress(*columns, console=self._console, transient=True, disable=not drawn) as progress:
            name = progress.add_task(label, total=total)
            lines = _Lines(progress.tasks[0])

            def advance(steps: int) -> None:
                progress.advance(name, steps)
                if not drawn:
                    lines.tell()

            yield advance


class _Lines:
    """Logs how far a task is, less and less often."""

    def __init__(self, task: Task) -> None:
        self._task, self._next = task, float(_FIRST_LINE)

    def tell(self) -> None:
        task, elapsed = self._task, self._task.elapsed or 0.0
        if elapsed < self._next or task.finished:
            return
        self._next = elapsed + min(elapsed, _LONGEST_SILENCE)
        left = "" if task.time_remaining is None else f", about {duration(task.time_remaining)} left"
        log.info("%s: %d %% after %s%s", task.description, task.percentage, duration(elapsed), left)


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
