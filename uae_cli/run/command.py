"""`uae run`: check every job of the command line, then let Hydra run them."""

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from hydra import version
from hydra._internal.utils import _run_hydra, get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig

from uae_cli.errors import ConfigError, SettingError, UaeError, UnknownSettingError
from uae_cli.experiment.compose import (
    CONFIG_NAME,
    VERSION_BASE,
    Job,
    compose_jobs,
    conf_dir,
    default_of,
    plain,
    register_resolvers,
    siblings,
)
from uae_cli.experiment.heeded import check_heeded
from uae_cli.experiment.own_files import check_own_experiments
from uae_cli.text import nearest, one_line, shown

if TYPE_CHECKING:
    from uae_cli.experiment.preparation import Preparation

Task = Callable[[DictConfig], None]


def run_command(arguments: list[str]) -> int:
    """Run the experiments that `arguments` (Hydra's) stand for.

    Raises:
        UaeError: a job can't run; none has been started then.
    """
    register_resolvers()
    parser = _parser()
    # Intermixed, so that `-m` may also stand after the settings
    options = parser.parse_intermixed_args(arguments)
    _check_options(options)
    if options.hydra_help or options.shell_completion:
        _hand_over(options, parser, lambda _config: None)
        return 0
    if options.config_dir:
        check_own_experiments(Path(options.config_dir), options.overrides)
    jobs = compose_jobs(options.overrides, multirun=options.multirun, extra_dir=options.config_dir)
    if options.help or options.cfg or options.info:
        _hand_over(options, parser, lambda _config: None)
        return 0
    return _run(jobs, options, parser, command=shlex.join(["uae", "run", *arguments]))


def _run(jobs: list[Job], options: argparse.Namespace, parser: argparse.ArgumentParser, command: str) -> int:
    # Only now: with torch it takes two seconds, which a misspelled setting need not cost
    from uae_cli.experiment.preparation import Preparation

    preparation = Preparation()
    _check_jobs(jobs, preparation, options)
    _note_inherited_settings(options.overrides)
    failures = _Failures()

    def task(config: DictConfig) -> None:
        _job(config, failures, preparation, command)

    _hand_over(options, parser, task)
    failures.tell()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = get_args_parser()
    parser.prog = "uae run"

    def error(message: str) -> NoReturn:
        way = "settings are written without dashes, as in scale=smoke; " if "unrecognized" in message else ""
        raise ConfigError(f"run: {message}; {way}see uae run --help")

    parser.error = error  # type: ignore[method-assign]
    return parser


def _check_options(options: argparse.Namespace) -> None:
    if options.config_dir and not Path(options.config_dir).is_dir():
        raise ConfigError(
            f"--config-dir = {options.config_dir}: no such folder; name the one above experiment/"
        )
    for name in ("config_name", "config_path"):
        if value := getattr(options, name):
            raise ConfigError(
                f"--{name.replace('_', '-')} = {value}: uae always starts from its own config; put your own "
                "files in DIR/experiment/ and use --config-dir DIR experiment=NAME"
            )


def _check_jobs(jobs: list[Job], preparation: "Preparation", options: argparse.Namespace) -> None:
    """Everything cheap for all jobs first, then their data, then the place for their results.

    Raises:
        UaeError: a job can't run.
    """
    check_heeded(options.overrides, [job.config for job in jobs])
    for job in jobs:
        try:
            preparation.settings(job.config)
        except SettingError as error:
            default = default_of(error.setting, options.overrides, options.config_dir)
            hint = "" if default is None else f" (default: {shown(default)})"
            raise ConfigError(f"{error}{hint}") from error
        except UnknownSettingError as error:
            raise ConfigError(_unknown(error, job.config)) from error
    for job in jobs:
        preparation.whole(job.config)
    for job in jobs:
        _check_writable("outputs", Path(job.config["outputs"]))
        _check_writable("hydra.run.dir or hydra.sweep.dir", job.above)


def _unknown(error: UnknownSettingError, config: dict[str, object]) -> str:
    section, dot, name = error.setting.rpartition(".")
    return f"{error}; {nearest(name, siblings(error.setting, config), section + dot)}"


def _check_writable(setting: str, folder: Path) -> None:
    probe = folder / f".probe-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ConfigError(
            f"{setting} = {folder}: cannot be written ({error.strerror}); use outputs=DIR, a folder of yours"
        ) from error


def _note_inherited_settings(overrides: list[str]) -> None:
    """The default experiment's own settings would else slip into one put together by hand."""
    set_by_user = {override.lstrip("+~").split("=", 1)[0] for override in overrides}
    if set_by_user & {"dataset", "model"} and "experiment" not in set_by_user:
        print(
            "uae: note: what experiment=digits_conv_ae sets (attack.alpha, epochs …) still applies; "
            "add ~experiment to start from the plain defaults",
            file=sys.stderr,
        )


def _hand_over(options: argparse.Namespace, parser: argparse.ArgumentParser, task: Task) -> None:
    version.setbase(VERSION_BASE)
    with _whole_errors():
        try:
            _run_hydra(
                args=options,
                args_parser=parser,
                task_function=task,
                config_path=str(conf_dir()),
                config_name=CONFIG_NAME,
            )
        except HydraException as error:
            raise ConfigError(one_line(error)) from error
        except SystemExit as end:
            # Hydra leaves so when it has shown its help
            if end.code:
                raise


@contextmanager
def _whole_errors() -> Iterator[None]:
    """Have Hydra let exceptions through: `main` tells a user's mistake in one line, shows a failure whole."""
    name = "HYDRA_FULL_ERROR"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


class _Failures:
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


def _job(config: DictConfig, failures: _Failures, preparation: "Preparation", command: str) -> None:
    from uae_cli.results.collect import read_run
    from uae_cli.run.job import run
    from uae_cli.tables import print_run

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
