"""The options that `uae run` shares with every Hydra application; Hydra, called as one; tab completion."""

import argparse
import contextlib
import io
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from uae_cli.errors import ConfigError
from uae_cli.experiment.compose import CONFIG_NAME, VERSION_BASE, conf_dir
from uae_cli.text import nearest, one_line

_INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
_ONE_OF = ("run", "multirun", "cfg", "info", "shell_completion")  # Hydra takes one at a time
_COMPLETION = [f"{verb}={shell}" for verb in ("install", "uninstall") for shell in ("bash", "zsh", "fish")]
_TAKE_SETTINGS = ("run", "compare", "bench", "paper")
# Settings that no file of conf/ holds, lest they change what finished runs are known by
_ADDED = re.compile(r"(model|protocol\.source\.model)\.weights=")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        way = "settings are written without dashes, as in scale=smoke; " if "unrecognized" in message else ""
        raise ConfigError(f"run: {message}; {way}see uae run --help")


def parse(arguments: list[str]) -> argparse.Namespace:
    """Hydra's options, which may stand before, after and among the settings (`overrides`).

    Raises:
        ConfigError: there is no such option, or these don't go together.
    """
    parser = _Parser(prog="uae run", add_help=False)
    parser.add_argument("overrides", nargs="*")
    for flags in ("--help -h", "--run -r", "--multirun -m", "--hydra-help", "--version", "--resolve"):
        parser.add_argument(*flags.split(), action="store_true")
    for flags in ("--package -p", "--config-path -cp", "--config-name -cn", "--config-dir -cd"):
        parser.add_argument(*flags.split())
    parser.add_argument("--cfg", "-c", choices=("job", "hydra", "all"))
    parser.add_argument("--info", "-i", nargs="?", const="all", choices=_INFO)
    parser.add_argument("--shell-completion", "-sc", action="store_true")
    parser.add_argument("--experimental-rerun")
    options = parser.parse_intermixed_args(arguments)
    options.overrides = [f"++{one}" if _ADDED.match(one) else one for one in options.overrides]
    _check(options)
    return options


def _check(options: argparse.Namespace) -> None:
    folder, overrides = options.config_dir, options.overrides
    own = "uae always starts from its own config; put your own files in DIR/experiment/ and use"
    several = [f"--{name.replace('_', '-')}" for name in _ONE_OF if getattr(options, name)]
    sweep = "it shows one job; leave out -m, and give every setting one value"
    way = sweep if options.multirun and (options.cfg or options.info) else "use one of them"
    for flag in ("config_name", "config_path"):
        if value := getattr(options, flag):
            name = flag.replace("_", "-")
            raise ConfigError(f"--{name} = {value}: {own} --config-dir DIR experiment=NAME")
    for wrong, line in (
        (len(several) > 1, f"{' and '.join(several)}: don't go together; {way}"),
        (
            folder and not Path(folder).is_dir(),
            f"--config-dir = {folder}: no such folder; name the one above experiment/",
        ),
        (
            folder and any(one.lstrip("+").startswith("hydra.searchpath=") for one in overrides),
            "hydra.searchpath: not beside --config-dir; put both folders into hydra.searchpath",
        ),
        (
            options.experimental_rerun,
            f"--experimental-rerun = {options.experimental_rerun}: not for uae; repeat the command that the "
            "run's results.json holds: what is finished is not done again",
        ),
        (options.resolve and not options.cfg, "--resolve: goes with --cfg job, which shows the settings"),
        (options.package and not options.cfg, "--package: goes with --cfg job, which shows the settings"),
        (
            options.shell_completion and overrides not in [[known] for known in _COMPLETION],
            f'{" ".join(["--shell-completion", *overrides])}: write eval "$(uae run -sc install=bash)", '
            "or zsh, or uae run -sc install=fish | source",
        ),
    ):
        if wrong:
            raise ConfigError(line)


def show(options: argparse.Namespace, config: dict[str, object]) -> None:
    """Let Hydra print what `--cfg` or `--info` ask for.

    Raises:
        ConfigError: the section of `config` that `--package` names isn't there.
    """
    package = options.package
    if options.cfg == "job" and package and not _there(config, package):
        known = [name for name, value in config.items() if isinstance(value, dict)]
        raise ConfigError(f"--package = {package}: no such section; {nearest(package, known)}")
    call(options)


def _there(config: dict[str, object], package: str) -> bool:
    try:
        return OmegaConf.select(OmegaConf.create(config), package) is not None
    except OmegaConfBaseException:  # no name of a section at all
        return False


def call(
    options: argparse.Namespace, task: Callable[[DictConfig], None] | None = None, *, name: str = "uae"
) -> None:
    """Let Hydra do what the options ask for.

    Args:
        options: as from `parse`.
        task: given the config of one job, if Hydra is asked for more than information.
        name: the command that Hydra tells people to type.

    Raises:
        ConfigError: Hydra refuses.
    """
    main = hydra.main(config_path=str(conf_dir()), config_name=CONFIG_NAME, **VERSION_BASE)(task or _nothing)
    with _environment([name, *_arguments(options)]):
        try:
            main()
        except HydraException as error:
            raise ConfigError(one_line(error)) from error
        except SystemExit as end:
            # Hydra leaves so when it has shown its help
            if end.code:
                raise


def _nothing(config: DictConfig) -> None:
    """A task, where Hydra only tells."""


def _arguments(options: argparse.Namespace) -> list[str]:
    """Options first: Hydra 1.3 doesn't take them among the settings."""
    given = []
    for name, value in vars(options).items():
        if name != "overrides" and value:
            given += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    return [*given, *options.overrides]


@contextlib.contextmanager
def _environment(arguments: list[str]) -> Iterator[None]:
    """The command line where `hydra.main` looks for it, and Hydra told to let exceptions through.

    `uae` tells a user's mistake in one line, and shows a failure whole.
    """
    name, words = "HYDRA_FULL_ERROR", sys.argv
    before = os.environ.get(name, "")
    os.environ[name], sys.argv = "1", arguments
    try:
        yield
    finally:
        os.environ[name], sys.argv = before, words


def install_completion(options: argparse.Namespace) -> None:
    """Print the shell's script, as Hydra writes it."""
    if options.overrides == ["install=zsh"]:
        print("autoload -U +X bashcompinit && bashcompinit")  # or zsh doesn't know bash's complete
    call(options)


def complete(query: str, commands: Sequence[str]) -> None:
    """Print what may stand at the end of `COMP_LINE`, which begins with `uae`; nothing after a mistake.

    Args:
        query: `query=bash`, zsh or fish.
        commands: of `uae`.
    """
    line = os.environ.get("COMP_LINE", "")
    words = [*line.split()[1:], *([""] if line.endswith(" ") else [])] or [""]
    command, last = words[0], words[-1]
    if len(words) < 2:
        print("\n".join(known for known in commands if known.startswith(command)))
    elif command in _TAKE_SETTINGS and not last.startswith("-"):
        settings = [word for word in words[1:-1] if "=" in word or word.startswith("~") or word == "-m"]
        os.environ["COMP_LINE"] = " ".join(["uae", *settings, last])
        # A half-written command line is no mistake to be told
        with contextlib.redirect_stderr(io.StringIO()), contextlib.suppress(Exception, SystemExit):
            call(argparse.Namespace(overrides=[query], shell_completion=True))
