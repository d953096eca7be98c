"""`uae run`: check every job of the command line, then let Hydra run them."""

import os
import sys
from pathlib import Path

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from uae_cli.compose import CONFIG_NAME, VERSION_BASE, compose_jobs, conf_dir, plain, register_resolvers
from uae_cli.errors import ConfigError, DataError, UaeError


def run_command(arguments: list[str]) -> int:
    """Run the experiments that `arguments` (Hydra's) stand for.

    Raises:
        UaeError: a job can't run; none has been started then.
    """
    register_resolvers()
    options = get_args_parser().parse_args(arguments)
    only_shows = options.help or options.hydra_help or options.cfg or options.info or options.shell_completion
    if not only_shows:
        _check_jobs(options.overrides, multirun=options.multirun, extra_dir=options.config_dir)
    # Let exceptions through: main() turns the user's mistakes into one line and shows real failures whole
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv = ["uae run", *arguments]
    failures: list[UaeError] = []
    decorate = hydra.main(version_base=VERSION_BASE, config_path=str(conf_dir()), config_name=CONFIG_NAME)
    decorate(lambda config: _job(config, failures))()
    if failures:
        raise type(failures[0])("; ".join(map(str, failures)))
    return 0


def _check_jobs(overrides: list[str], *, multirun: bool, extra_dir: str | None) -> None:
    from uae_cli.run import prepare

    for config in compose_jobs(overrides, multirun=multirun, extra_dir=extra_dir):
        experiment, _ = prepare(config)
        _check_writable(experiment.outputs)
        found = experiment.dataset.check(experiment.data.root, verify=False)
        if found.problem:
            raise DataError(f"dataset {experiment.dataset.name}: {found.problem}")
        if not found.present and not experiment.data.download:
            raise DataError(f"dataset {experiment.dataset.name}: {found.path} is missing; {found.remedy}")


def _check_writable(outputs: Path) -> None:
    probe = outputs / f".probe-{os.getpid()}"
    try:
        outputs.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ConfigError(
            f"outputs = {outputs}: cannot be written ({error.strerror}); set outputs=DIR to a folder of yours"
        ) from None


def _job(config: DictConfig, failures: list[UaeError]) -> None:
    """One job; a mistake of the user's is kept for the end, so that the other jobs of a sweep still run."""
    from uae_cli.report.terminal import print_run
    from uae_cli.run import run

    hydra_config = HydraConfig.get()
    folder = Path(hydra_config.runtime.output_dir)
    try:
        rows = run(plain(config), folder, overrides=list(hydra_config.overrides.task))
    except UaeError as error:
        failures.append(error)
        return
    print_run(rows, None)
    print(f"Everything is in {os.path.relpath(folder)}")
