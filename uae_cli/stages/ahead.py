"""Stages made side by side: other processes fill the store, while this one goes through it as it would alone.

A stage is known by its content, locked and written whole, so that nothing else need pass between processes.
The one that asks finds what another has made, does something else where another is at it, and makes what is
missing. A worker that fails or is killed costs only time: the one that asks meets the mistake, and tells it.
"""

import logging
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache

import torch

from uae_cli.experiment.schema import Experiment
from uae_cli.machine import choose_jobs, keep_freed_memory, use_precision, worker_processes
from uae_cli.progress import Bars
from uae_cli.stages.stages import Stages
from uae_cli.text import plural

log = logging.getLogger("uae_cli.side_by_side")  # of no stage: `_silent` must not swallow it

Unit = Callable[[Stages], object]

_PATIENCE = 2.0  # seconds of work after which further processes, which take as long to start, are worth it


@contextmanager
def side_by_side(stages: Stages, units: Sequence[Unit]) -> Iterator[None]:
    """While the block asks for stages one after another, have other processes make them, too.

    They start when the block has worked for two seconds (at once, where `jobs` is a number), and end with it.
    With more than one process, threads=auto means one thread for each.

    Args:
        stages: of the block.
        units: what can be done independently, picklable, the longest first; each asks for some stages. Others
            take them from the front; this process, while it waits for a stage, from the back.
    """
    experiment = stages.experiment
    threads = 1 if experiment.threads == "auto" else experiment.threads
    jobs = min(choose_jobs(experiment.jobs, stages.device, threads), len(units))
    if jobs < 2:
        yield
        return
    before = torch.get_num_threads(), stages.jobs
    torch.set_num_threads(threads)
    stages.jobs = jobs
    own, left = _untold(stages), deque(units)

    @cache
    def lost() -> None:
        log.warning("jobs = %d: another process ended, for lack of memory maybe; going on without", jobs)

    def hand_out(done: Future[None] | None = None) -> None:
        if left and done is not None and done.exception() is not None:
            return lost()
        with suppress(IndexError):
            pool.submit(_make, left.popleft()).add_done_callback(hand_out)

    def start() -> None:
        log.info("%d processes from here on, of %s each", jobs, plural(threads, "thread"))
        for _ in range(jobs - 1):
            hand_out()

    def meanwhile() -> bool:
        try:
            unit = left.pop()
        except IndexError:
            return False
        with _silent():
            unit(own)
        return True

    timer = threading.Timer(_PATIENCE if experiment.jobs == "auto" else 0, start)
    settings = (experiment, stages.device, jobs, threads, stages.store.run, _logs())
    try:
        with worker_processes(jobs - 1, _begin, *settings) as pool:
            stages.store.meanwhile = own.store.meanwhile = meanwhile
            stages.store.on_missing = lambda: None if timer.ident else timer.start()
            try:
                yield
            finally:
                left.clear()
                stages.store.meanwhile, stages.store.on_missing = lambda: False, lambda: None
                timer.cancel()
                if timer.ident:
                    timer.join()
    finally:
        torch.set_num_threads(before[0])
        stages.jobs = before[1]


def _untold(stages: Stages) -> Stages:
    """The same, of which nobody is told."""
    other = replace(stages, on_epoch=lambda *_: None)
    other.store.run = stages.store.run
    return other


@contextmanager
def _silent() -> Iterator[None]:
    """Whoever asks for a stage says what there is to say of it."""
    logger = logging.getLogger(__package__)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


# Of this process, where it is a worker
_stages: Stages


def _begin(
    experiment: Experiment,
    device: torch.device,
    jobs: int,
    threads: int,
    run: str,
    logs: Sequence[tuple[str | None, logging.Formatter | None]],
) -> None:
    """Make this process work as the one that gives all of this does."""
    global _stages
    _log_to(logs)
    torch.set_num_threads(threads)
    use_precision(experiment.precision, device)
    keep_freed_memory()
    # Read here: samples sent for every unit would take several times their memory
    data = experiment.part_of(experiment.dataset.load(experiment.data.root, download=False))
    _stages = Stages(experiment, data, device, Bars(), jobs=jobs)
    _stages.store.run = run


def _make(unit: Unit) -> None:
    # Whatever stops it will stop the process that asks for the stage, and be told there
    with _silent(), suppress(Exception):
        unit(_stages)


def _logs() -> list[tuple[str | None, logging.Formatter | None]]:
    """File (None: standard error) and format of everything that this process logs to."""
    plain = (to for to in logging.root.handlers if type(to) in (logging.FileHandler, logging.StreamHandler))
    return [(getattr(to, "baseFilename", None), to.formatter) for to in plain]


def _log_to(logs: Sequence[tuple[str | None, logging.Formatter | None]]) -> None:
    """Log there, too."""
    logging.root.setLevel(logging.INFO)
    for file, layout in logs:
        handler = logging.StreamHandler() if file is None else logging.FileHandler(file)
        handler.setFormatter(layout)
        if file is None and sys.stderr.isatty():  # where the first process draws its bars
            handler.setLevel(logging.WARNING)
        logging.root.addHandler(handler)
