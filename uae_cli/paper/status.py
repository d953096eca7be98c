"""What is done of the paper, what is missing, and how long it would take."""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from uae_cli.errors import UaeError
from uae_cli.machine import commit
from uae_cli.paper.estimate import Calibration
from uae_cli.paper.items import Item
from uae_cli.paper.jobs import Job, commit_of
from uae_cli.progress import Bars
from uae_cli.results.collect import readable


@dataclass(frozen=True)
class Status:
    """One table or figure.

    Attributes:
        item: which.
        jobs: that it needs.
        done: how many of them are finished.
        missing_data: datasets that aren't at hand, among those of unfinished jobs.
        parts: datasets of which only a part is used.
        others: commits, for people, of the finished jobs that other code made than the code at hand.
        seconds: estimated for the unfinished jobs whose data are at hand; None: not estimated.
    """

    item: Item
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
    items: Sequence[Item],
    jobs: Sequence[Job],
    finished: Mapping[str, Path],
    calibration: Calibration | None,
    bars: Bars,
) -> list[Status]:
    """The state of every item; without a calibration no time is estimated."""
    now = commit()
    seconds = {} if calibration is None else _estimated(jobs, finished, calibration, bars)
    found = []
    for item in items:
        own = [job for job in jobs if job.run in item.runs]
        open_jobs = [job for job in own if job.identity not in finished]
        told = [seconds.get(job.identity) for job in open_jobs if not job.missing]
        found.append(
            Status(
                item,
                own,
                len(own) - len(open_jobs),
                tuple(dict.fromkeys(job.missing for job in open_jobs if job.missing)),
                tuple(dict.fromkeys(job.part for job in own if job.part)),
                _others([finished[job.identity] for job in own if job.identity in finished], now),
                None if None in told or (open_jobs and not told) else math.fsum(t for t in told if t),
            )
        )
    return found


def _others(folders: Sequence[Path], now: str | None) -> tuple[str, ...]:
    """None where it isn't known which code made a run, or which is at hand (no checkout)."""
    if now is None:
        return ()
    made = dict.fromkeys(commit_of(folder) for folder in folders)
    return tuple(readable(recorded) for recorded in made if recorded not in ("", now))


def _estimated(
    jobs: Sequence[Job], finished: Mapping[str, Path], calibration: Calibration, bars: Bars
) -> dict[str, float]:
    seconds: dict[str, float] = {}
    wanted = [job for job in jobs if not job.missing and job.identity not in finished]
    with bars.bar("calibrate", len(wanted)) as advance:
        for job in wanted:
            with suppress(UaeError):  # running it will say what is wrong
                seconds[job.identity] = calibration.seconds(job)
            advance(1)
    return seconds
