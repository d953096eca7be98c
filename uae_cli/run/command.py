"""`uae run`: check every job of the command line, then let Hydra run them."""

import argparse
import gc
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from uae_cli.errors import ConfigError, SettingError, UaeError, UnknownSettingError, check_writable
from uae_cli.experiment.compose import (
    Job,
    compose_jobs,
    default_of,
    help_page,
    plain,
    register_resolvers,
    siblings,
)
from uae_cli.experiment.settings import check_own_files, check_reads, check_without_torch
from uae_cli.run import hydra_app
from uae_cli.text import nearest, shown

if TYPE_CHECKING:
    from uae_cli.experiment.check import Preparation


_OURS = "use outputs=DIR, a folder of yours"


def run_command(arguments: list[str], *, announced: bool = False) -> int:
    """Run the experiments that `arguments` (Hydra's) stand for.

    Args:
        arguments: of `uae run`.
        announced: whether a line tells at once, before torch is imported, what begins.

    Raises:
        UaeError: a job can't run; none has been started then.
    """
    register_resolvers()
    options = hydra_app.parse(arguments)
    if options.shell_completion:
        hydra_app.install_completion(options)
        return 0
    if options.hydra_help or options.version:
        hydra_app.call(options, name="uae run")
        return 0
    if options.config_dir:
        check_own_files(Path(options.config_dir), options.overrides)
    if options.help:
        print(help_page(options.config_dir))
        return 0
    jobs = compose_jobs(options.overrides, multirun=options.multirun, extra_dir=options.config_dir)
    if options.cfg or options.info:
        hydra_app.show(options, jobs[0].config)
        return 0
    check_reads(options.overrides, [job.config for job in jobs])
    for job in jobs:
        with hints(options, job.config):
            check_without_torch(job.config)
    if announced and os.environ.get("RANK", "0") == "0":
        print(_announcement(jobs), file=sys.stderr, flush=True)
    return _run(jobs, options, command=shlex.join(["uae", "run", *arguments]))


def _run(jobs: list[Job], options: argparse.Namespace, command: str) -> int:
    # Only now: with torch it takes seconds, which a misspelled setting need not cost. What modules are made
    # of stays: to look through it for garbage again and again would take another half second
    gc.disable()
    from uae_cli.experiment.check import Preparation

    if not gc.get_freeze_count():
        gc.freeze()
    gc.enable()
    preparation = Preparation()
    if os.environ.get("RANK", "0") != "0":  # torchrun started several; the first runs the jobs
        from uae_cli.run.job import follow

        for job in jobs:
            follow(job.config)
        return 0
    check_jobs(jobs, preparation, options)
    _note_inherited_settings(options.overrides)
    failures = Failures()

    def task(config: DictConfig) -> None:
        _job(config, failures, preparation, command)

    hydra_app.call(options, task)
    if len(jobs) > 1:
        print("the jobs side by side, mean ± deviation over seeds: uae table N (uae paper lists the tables)")
    failures.tell()
    return 0


def _announcement(jobs: list[Job]) -> str:
    names = sorted({f"{job.config['name']} ({job.config['scale']['name']} scale)" for job in jobs})
    count = f"{len(jobs)} jobs: " if len(jobs) > 1 else ""
    return f"{count}{', '.join(names)}, device {jobs[0].config['device']}"


def check_jobs(jobs: list[Job], preparation: "Preparation", options: argparse.Namespace) -> None:
    """Everything cheap for all jobs first, then their data, then the place for their results.

    Raises:
        UaeError: a job can't run.
    """
    for job in jobs:
        with hints(options, job.config):
            preparation.settings(job.config)
    from uae_cli.experiment.check import check_room

    for job in jobs:
        check_room(preparation.whole(job.config))
    for job in jobs:
        check_writable("outputs", Path(job.config["outputs"]), _OURS)
        check_writable("hydra.run.dir or hydra.sweep.dir", job.above, _OURS)


@contextmanager
def hints(options: argparse.Namespace, config: dict[str, Any]) -> Iterator[None]:
    """Tell the default beside a value that is refused, and the known names beside an unknown one."""
    try:
        yield
    except SettingError as error:
        default = default_of(error.setting, options.overrides, options.config_dir)
        hint = "" if default is None else f" (default: {shown(default)})"
        raise ConfigError(f"{error}{hint}") from error
    except UnknownSettingError as error:
        section, dot, name = error.setting.rpartition(".")
        known = siblings(error.setting, config)
        raise ConfigError(f"{error}; {nearest(name, known, section + dot)}") from error


def _note_inherited_settings(overrides: list[str]) -> None:
    """The default experiment's own settings would else slip into one put together by hand."""
    set_by_user = {override.lstrip("+~").split("=", 1)[0] for override in overrides}
    if set_by_user & {"dataset", "model"} and "experiment" not in set_by_user:
        print(
            "uae: note: what experiment=digits_conv_ae sets (attack.alpha, epochs …) still applies; "
            "add ~experiment to start from the plain defaults",
            file=sys.stderr,
        )


class Failures:
    """Mistakes of the user's, kept for the end, so that the other jobs of a sweep still run."""

    def __init__(self) -> None:
        self._process, self._found = os.getpid(), list[UaeError]()

    def add(self, error: UaeError) -> None:
        """Keep it; in a launcher's own process, where nobody would look, let the launcher carry it home."""
        if os.getpid() != self._process:
            raise ConfigError(str(error)) from error
        self._found.append(error)

    def tell(self) -> None:
        """Raise what was kept.

        Raises:
            UaeError: there was something.
        """
        if self._found:
            raise type(self._found[0])("; ".join(map(str, self._found)))


def _job(config: DictConfig, failures: Failures, preparation: "Preparation", command: str) -> None:
    from uae_cli.results.collect import read_run
    from uae_cli.run.job import follow, run
    from uae_cli.tables import print_run

    if follow(config):
        return
    hydra_config = HydraConfig.get()
    folder = Path(hydra_config.runtime.output_dir)
    overrides = list(hydra_config.overrides.task)
    try:
        run(plain(config), folder, overrides=overrides, command=command, preparation=preparation)
    except UaeError as error:
        failures.add(error)
        return
    print_run(read_run(folder), None)
    print(f"Everything is in {os.path.relpath(folder)}")
