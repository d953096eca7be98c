"""Runs what is missing, one job after another; what fails is told and passed over."""

import contextlib
import io
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from uae_cli.errors import UaeError
from uae_cli.paper.jobs import Job
from uae_cli.run.command import run_command

# A run's log goes to its folder alone
_QUIET = "hydra.job_logging.root.handlers=[file]"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """How a job went: its seconds, and what stopped it (empty: nothing)."""

    job: Job
    seconds: float
    problem: str = ""


def run_jobs(
    jobs: Sequence[Job], *, before: Callable[[int, Job], None], after: Callable[[Outcome], None]
) -> list[Outcome]:
    """Run them in this process, without their own tables.

    Args:
        jobs: with their data at hand.
        before: told the number (from 1) and the job that begins.
        after: told every outcome at once.
    """
    outcomes = []
    for number, job in enumerate(jobs, start=1):
        before(number, job)
        outcomes.append(_run(job))
        after(outcomes[-1])
    return outcomes


def _run(job: Job) -> Outcome:
    started = time.monotonic()
    problem = ""
    try:
        # The page shows all tables; bars go to standard error and stay
        with contextlib.redirect_stdout(io.StringIO()):
            run_command([*job.arguments, _QUIET])
    except UaeError as error:
        problem = str(error)
    except Exception as error:
        log.exception("%s", job.command)
        problem = f"{type(error).__name__}: {error}"
    return Outcome(job, time.monotonic() - started, problem)
