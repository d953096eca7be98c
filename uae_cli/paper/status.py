"""What is done of the paper, what is missing, and how long it would take."""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from uae_cli.errors import UaeError
from uae_cli.paper.jobs import Job, still_open
from uae_cli.progress import Bars
from uae_cli.results import FinishedRun, readable
from uae_cli.tables import Entry

if TYPE_CHECKING:
    from uae_cli.paper.estimate import Calibration


@dataclass(frozen=True)
class Status:
    """One table or figure.

    Attributes:
        entry: which.
        jobs: that it needs.
        done: how many of them are finished.
        missing_data: datasets that aren't at hand, among those of unfinished jobs.
        parts: datasets of which only a part is used.
        others: commits, for people, of the finished jobs that other code made than the code at hand.
        seconds: estimated for the unfinished jobs whose data are at hand; None: not estimated.
    """

    entry: Entry
    jobs: Sequence[Job]
    done: int
    missing_data: tuple[str, ...]
    parts: tuple[str, ...]
    others: tuple[str, ...]
    seconds: float | None

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return self.done == len(self.jobs)


def statuses(
    entries: Sequence[Entry],
    jobs: Sequence[Job],
    finished: Mapping[str, FinishedRun],
    calibration: "Calibration | None",
) -> list[Status]:
    """The state of every entry; without a calibration no time is estimated."""
    from uae_cli.machine import commit  # not with this module: it takes torch along

    now = commit()
    seconds = {} if calibration is None else _estimated(still_open(jobs, finished), calibration)
    return [_status(entry, jobs, finished, now, seconds) for entry in entries]


def _status(
    entry: Entry,
    jobs: Sequence[Job],
    finished: Mapping[str, FinishedRun],
    now: str | None,
    seconds: Mapping[str, float],
) -> Status:
    own = [job for job in jobs if job.run in entry.runs]
    done = [finished[job.identity] for job in own if job.identity in finished]
    open_jobs = [job for job in own if job.identity not in finished]
    told = [seconds.get(job.identity) for job in open_jobs if not job.missing]
    # None where it isn't known which code made a run, or which is at hand (no checkout)
    others = dict.fromkeys(run.commit for run in done if now and run.commit not in ("", now))
    return Status(
        entry,
        own,
        len(done),
        tuple(dict.fromkeys(job.missing for job in open_jobs if job.missing)),
        tuple(dict.fromkeys(job.part for job in own if job.part)),
        tuple(map(readable, others)),
        None if None in told or (open_jobs and not told) else math.fsum(t for t in told if t),
    )


def _estimated(jobs: Sequence[Job], calibration: "Calibration") -> dict[str, float]:
    seconds: dict[str, float] = {}
    with Bars().bar("calibrate", len(jobs)) as advance:
        for job in jobs:
            with suppress(UaeError):  # running it will say what is wrong
                seconds[job.identity] = calibration.seconds(job)
            advance(1)
    return seconds
