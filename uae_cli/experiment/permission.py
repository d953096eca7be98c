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
    r"uae_cli\.(arms|attacks|contrastive|datasets|evaluation|mi|models|protocols|training)\.[A-Z]\w*"
    r"|torch\.optim\.[A-Z]\w*"
)
# What Hydra's launchers and sweepers are, and the logging that it sets up
_HYDRAS = re.compile(
    r"hydra(\.\w+)*\.[A-Z]\w*|hydra_plugins(\.\w+)+|colorlog\.[A-Z]\w*|logging(\.handlers)?\.[A-Z]\w*"
)


# Values of these parts of Hydra's section become arguments of what it calls
_BUILT = ("callbacks", "job_logging", "hydra_logging", "launcher")
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
    if hydra.get("job", {}).get("env_set") and "env_set" not in said:
        raise ConfigError("hydra.job.env_set: stands in a file; set environment variables in your shell")
    for part in _BUILT:
        for place, value in _texts(hydra.get(part), f"hydra.{part}"):
            if _ELSEWHERE.search(value):
                raise ConfigError(
                    f"{place} = {value}: must not refer to another part of the config; write it out"
                )


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
    called += [(*found, _HYDRAS) for found in _texts(hydra, "hydra", ("_target_", "class", "()"))]
    for setting, named, known in called:
        if not known.fullmatch(named) and not any(named.startswith(f"{plugin}.") for plugin in plugins):
            raise ConfigError(
                f"{setting} = {named}: calls what this package doesn't bring; if you trust that module, "
                f"allow it: plugins=[{','.join([*plugins, named.partition('.')[0]])}]"
            )


def _texts(node: object, place: str, keys: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Every setting, at any depth, whose value is text, and that text; with `keys`, those called so alone."""
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in inner:
        name = f"{place}.{key}".lstrip(".")
        if isinstance(value, str) and (not keys or key in keys):
            yield name, value
        yield from _texts(value, name, keys)
