"""What a config may call: nothing is imported, let alone called, before it is allowed.

A config is data, but Hydra calls whatever a `_target_` names, and Python's logging whatever a `class` or
`()` does: `pandas.read_pickle` would run the code in a pickle that the config names, whoever wrote it.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from uae_cli.errors import ConfigError

# Classes that packages of ours export, and torch's optimisers
_OURS = re.compile(
    r"uae_cli\.(arms|attacks|contrastive|datasets|evaluation|mi|models|protocols|stages|training)\.[A-Z]\w*"
    r"|torch\.optim\.[A-Z]\w*"
)
# Hydra's launchers and sweepers, what the latter sample by, and what its logging is made of
_HYDRAS = re.compile(
    r"hydra\._internal\.core_plugins\.(basic_launcher\.BasicLauncher|basic_sweeper\.BasicSweeper)"
    r"|hydra_plugins\.hydra_joblib_launcher\.joblib_launcher\.JoblibLauncher"
    r"|hydra_plugins\.hydra_submitit_launcher\.submitit_launcher\.(Local|Slurm)Launcher"
    r"|hydra_plugins\.hydra_ray_launcher\.ray_launcher\.RayLauncher"
    r"|hydra_plugins\.hydra_rq_launcher\.rq_launcher\.RQLauncher"
    r"|hydra_plugins\.hydra_optuna_sweeper\.optuna_sweeper\.OptunaSweeper"
    r"|hydra_plugins\.hydra_ax_sweeper\.ax_sweeper\.AxSweeper"
    r"|hydra_plugins\.hydra_nevergrad_sweeper\.nevergrad_sweeper\.NevergradSweeper"
    r"|optuna\.samplers\.\w+Sampler"
    r"|logging\.(StreamHandler|FileHandler|NullHandler)|colorlog\.ColoredFormatter"
)
_CALLING = ("_target_", "class", "()", "custom_search_space", "queue", "listener")
# Python's logging imports what follows ext://, wherever it stands; and opens files that a handler names
_LOGGING = ("job_logging", "hydra_logging")
_STREAMS = ("ext://sys.stdout", "ext://sys.stderr")
_LOGS = ("${hydra.runtime.output_dir}/run.log", "${hydra.runtime.output_dir}/${hydra.job.name}.log")
_FORMAT = "${uae_line:${hydra.mode},${oc.select:hydra.job.num,null}}"
_PLAIN_NAME = re.compile(r"\w[\w.+-]*")

# Values of these parts of Hydra's section become arguments of what it calls
_BUILT = ("callbacks", "launcher")
# What a launcher runs beside the job
_SAID = (("job", "env_set"), ("launcher", "setup"), ("launcher", "python"))
_ELSEWHERE = re.compile(r"\$\{(?!hydra[.:]|uae_|now:|oc\.env:|oc\.select:hydra\.)")


def check_said(config: dict[str, Any], hydra: dict[str, Any], overrides: Sequence[str]) -> None:
    """See whether what only a person may allow stands on the command line, not in a file.

    Args:
        config: of the job, resolved, without Hydra's own section.
        hydra: that section, unresolved.
        overrides: as on the command line.

    Raises:
        ConfigError: a file allows modules or sets environment variables, or hides what is called.
    """
    said = " ".join(overrides)
    if config.get("plugins") and "plugins" not in said:
        raise ConfigError(
            f"plugins = {config['plugins']}: stands in a file; allow modules on the command line, plugins=[…]"
        )
    for section, name in _SAID:
        part = hydra.get(section)
        if isinstance(part, dict) and part.get(name) and name not in said:
            raise ConfigError(
                f"hydra.{section}.{name}: stands in a file; only a command line may say what runs beside uae"
            )
    for part in _BUILT:
        for place, value in _texts(hydra.get(part), f"hydra.{part}"):
            if _ELSEWHERE.search(value):
                raise ConfigError(
                    f"{place} = {value}: must not refer to another part of the config; write it out"
                )
    for part in _LOGGING:
        for place, value in _texts(hydra.get(part), f"hydra.{part}"):
            _check_logged(place, value)
    name = str(hydra.get("job", {}).get("name"))
    if not _PLAIN_NAME.fullmatch(name):
        raise ConfigError(f"hydra.job.name = {name}: must be letters, digits and . _ + -, for a log has it")


def check_allowed(config: dict[str, Any], hydra: dict[str, Any]) -> None:
    """See whether a job calls only what this package, Hydra, torch's optimisers and its `plugins` bring.

    Args:
        config: of the job, resolved, without Hydra's own section.
        hydra: that section, resolved or not.

    Raises:
        ConfigError: it calls something else; the line says what would allow it. Or `plugins` is no list.
    """
    plugins = config.get("plugins", [])
    if not isinstance(plugins, list) or not all(isinstance(name, str) and name for name in plugins):
        raise ConfigError(f"plugins = {plugins}: must be a list of modules, as in plugins=[my_pkg]")
    called = [(*found, _OURS) for found in _texts(config, "", ("_target_",))]
    called += [(*found, _HYDRAS) for found in _texts(hydra, "hydra", _CALLING)]
    for setting, named, known in called:
        if not known.fullmatch(named) and not any(named.startswith(f"{plugin}.") for plugin in plugins):
            raise ConfigError(
                f"{setting} = {named}: calls what this package doesn't bring; if you trust that module, "
                f"allow it: plugins=[{','.join([*plugins, named.partition('.')[0]])}]"
            )


def _check_logged(place: str, value: str) -> None:
    """See whether logging would import something, or write elsewhere than into the run's folder."""
    key = place.rpartition(".")[2]
    if key == "filename" and value not in _LOGS:
        raise ConfigError(f"{place} = {value}: a log belongs in the run's folder; write {_LOGS[0]}")
    if key == "mode" and value != "a":
        raise ConfigError(f"{place} = {value}: a log is only added to; write a")
    if "://" in value and value not in _STREAMS:
        raise ConfigError(f"{place} = {value}: must be {' or '.join(_STREAMS)}")
    if "${" in value and value not in (*_LOGS, _FORMAT):
        raise ConfigError(f"{place} = {value}: must not refer to anything else; write it out")


def _texts(node: object, place: str, keys: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Every setting, at any depth, whose value is text, and that text; with `keys`, those called so alone."""
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in inner:
        name = f"{place}.{key}".lstrip(".")
        if isinstance(value, str) and (not keys or key in keys):
            yield name, value
        yield from _texts(value, name, keys)
