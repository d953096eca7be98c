"""The jobs behind the paper's runs: what they are made of, which are finished, and making the others."""

import contextlib
import inspect
import io
import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

from uae_cli import hashing
from uae_cli.errors import UaeError
from uae_cli.experiment import compose
from uae_cli.experiment.compose import compose_jobs, conf_dir
from uae_cli.experiment.settings import reads
from uae_cli.hashing import job_identity, write_json
from uae_cli.results import FinishedRun, finished_runs
from uae_cli.tables import FULL_NAMES, Run
from uae_cli.text import one_line

# A part of a dataset that may stand for the whole where that can't be had
PARTS = {whole: part for part, whole in FULL_NAMES.items()}
_COMPOSED = "composed.json"
_QUIET = "hydra.job_logging.root.handlers=[file]"  # a run's log goes to its folder alone

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """One `uae run`.

    Attributes:
        run: the paper's run that it is one seed of.
        arguments: of `uae run`.
        config: resolved.
        part: the dataset that stands for the whole one; empty if none does.
        missing: the dataset that isn't at hand; empty if it is.
    """

    run: Run
    arguments: tuple[str, ...]
    config: dict[str, Any]
    part: str = ""
    missing: str = ""

    @cached_property
    def identity(self) -> str:
        """Equal for jobs that give the same result."""
        return job_identity(self.config)

    @property
    def command(self) -> str:
        """The command line that makes it."""
        return " ".join(("uae run", *self.arguments))


@dataclass(frozen=True)
class Outcome:
    """How a job went: its seconds, and what stopped it (empty: nothing)."""

    job: Job
    seconds: float
    problem: str = ""


class Composer:
    """Composes command lines, and keeps the configs in the outputs folder: each takes a fifth of a second.

    What is kept holds for the same files of `conf/`, the same code that composes them, the same Hydra and
    the same data root alone.

    Args:
        outputs: the folder.
    """

    def __init__(self, outputs: Path) -> None:
        self._path = outputs / _COMPOSED
        files = {str(file): file.read_text(encoding="utf-8") for file in sorted(conf_dir().rglob("*.yaml"))}
        code = [inspect.getsource(module) for module in (compose, hashing)]
        versions = [metadata.version(name) for name in ("hydra-core", "omegaconf")]
        self._holds_for = hashing.digest([files, code, versions, os.environ.get("UAE_DATA")])
        self._known: dict[str, dict[str, Any]] = {}
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            kept = json.loads(self._path.read_text(encoding="utf-8"))
            self._known = kept["configs"] if kept["holds_for"] == self._holds_for else {}
        self._kept = len(self._known)

    def config(self, arguments: Sequence[str]) -> dict[str, Any]:
        """The resolved config of `uae run` with these arguments.

        Raises:
            ConfigError: a setting is unknown.
        """
        key = " ".join(arguments)
        if key not in self._known or "${" in key:  # which may refer to what isn't in `conf/`
            [job] = compose_jobs(list(arguments), multirun=False, extra_dir=None)
            self._known[key] = job.config
        return self._known[key]

    def keep(self) -> None:
        """Write them down, where there are new ones and the folder can be written."""
        if len(self._known) > self._kept:
            with contextlib.suppress(OSError):
                self._path.parent.mkdir(parents=True, exist_ok=True)
                write_json(self._path, {"holds_for": self._holds_for, "configs": self._known})


class Jobs:
    """Makes the jobs of runs.

    Args:
        outputs: the folder of all runs.
        settings: further arguments of `uae run`, for all of them (`data.root=…`).
        partial: whether a part of a dataset may stand for a whole one that is missing.
    """

    def __init__(self, outputs: Path, settings: Sequence[str], *, partial: bool) -> None:
        self._composer, self._partial = Composer(outputs), partial
        self._settings = (*settings, f"outputs={outputs}")
        self._present: dict[str, bool] = {}

    def of(self, runs: Sequence[Run], scale: str, seeds: Sequence[int]) -> Iterator[Job]:
        """Every job of these runs, seed by seed, each as soon as it is known.

        Raises:
            ConfigError: a setting is unknown.
        """
        for seed in seeds:
            for run in runs:
                yield self._job(run, (*run, f"scale={scale}", f"seed={seed}", *self._settings))
        self._composer.keep()

    def _job(self, run: Run, arguments: tuple[str, ...]) -> Job:
        config = self._composer.config(arguments)
        if unread := [argument for argument in arguments if not reads(config, argument)]:
            # A setting for all runs, which this one's protocol would refuse
            arguments = tuple(argument for argument in arguments if argument not in unread)
            config = self._composer.config(arguments)
        dataset = str(config["dataset"]["name"])
        if self._at_hand(config):
            return Job(run, arguments, config)
        part = PARTS.get(dataset, "")
        if self._partial and part:
            arguments = (*arguments, f"dataset={part}")
            other = self._composer.config(arguments)
            if self._at_hand(other):
                return Job(run, arguments, other, part=part)
        return Job(run, arguments, config, missing=dataset)

    def _at_hand(self, config: dict[str, Any]) -> bool:
        """Whether its data are; looked for once for each dataset."""
        root, key = config["data"]["root"], hashing.digest([config["dataset"], config["data"]["root"]])
        if key not in self._present:
            from hydra.utils import instantiate

            self._present[key] = instantiate(config["dataset"]).check(Path(root), verify=False).present
        return self._present[key]


def finished(outputs: Path) -> dict[str, FinishedRun]:
    """All finished runs below `outputs` that say which job they were, by its identity; the latest of each."""
    return {run.job: run for run in finished_runs(outputs) if run.job}


def still_open(jobs: Sequence[Job], done: Mapping[str, FinishedRun]) -> list[Job]:
    """What can be run and hasn't been; equal jobs of several tables once."""
    wanted = {job.identity: job for job in jobs if not job.missing and job.identity not in done}
    return list(wanted.values())


def outcomes(
    jobs: Sequence[Job], begin: Callable[[Job], None], *, whole_jobs: bool = False
) -> Iterator[Outcome]:
    """Run them; `begin` is told of each before its outcome is given.

    Those of smoke scale, or with `whole_jobs` of any, run side by side, in processes of one thread each,
    where several jobs fall to each of as many as `jobs` says. A larger one works side by side itself.
    """
    at_once = min(_at_once(jobs[0].config, whole_jobs), len(jobs) // 2) if jobs else 1
    if at_once < 2:
        for job in jobs:
            begin(job)
            yield run_job(job)
        return
    from uae_cli.machine import worker_processes

    with worker_processes(at_once, str) as pool:
        running = {pool.submit(run_job, job, ("threads=1", "jobs=1")): job for job in jobs}
        for done in as_completed(running):
            begin(running[done])
            error = done.exception()
            yield done.result() if error is None else Outcome(running[done], 0, one_line(error))


def _at_once(config: Mapping[str, Any], whole_jobs: bool) -> int:
    if not whole_jobs and config["scale"]["name"] != "smoke":
        return 1
    from uae_cli.machine import choose_device, choose_jobs

    return choose_jobs(config["jobs"], choose_device(config["device"]), 1)


def run_job(job: Job, further: Sequence[str] = ()) -> Outcome:
    """Run it in this process, with further arguments and without its own table; what fails is told."""
    from uae_cli.run.command import run_command

    started, problem = time.monotonic(), ""
    try:
        # The page shows all tables; bars go to standard error and stay
        with contextlib.redirect_stdout(io.StringIO()), _own_logging():
            run_command([*job.arguments, *further, _QUIET])
    except UaeError as error:
        problem = str(error)
    except Exception as error:
        log.exception("%s", job.command)
        problem = f"{type(error).__name__}: {error}"
    return Outcome(job, time.monotonic() - started, problem)


@contextlib.contextmanager
def _own_logging() -> Iterator[None]:
    """Afterwards logs go where they went: each job's go to its own file, where nobody looks for another's."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        for handler in set(root.handlers) - set(handlers):
            root.removeHandler(handler)
            handler.close()
        root.handlers[:] = handlers
        root.setLevel(level)
