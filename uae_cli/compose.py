"""From `conf/` and the command line to configs, with Hydra's complaints turned into one line each."""

import re
import secrets
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from uae_cli.errors import ConfigError
from uae_cli.messages import nearest

CONFIG_NAME = "config"
VERSION_BASE = "1.3"


def conf_dir() -> Path:
    """The folder of YAML files: inside the package when installed, beside it in a checkout."""
    package = Path(__file__).parent
    installed = package / "conf"
    return installed if installed.is_dir() else package.parent / "conf"


def register_resolvers() -> None:
    """`${uae_id:}` is six hex digits drawn once per process and job, so that no two runs share a folder."""
    OmegaConf.register_new_resolver("uae_id", lambda: secrets.token_hex(3), use_cache=True, replace=True)


def compose_jobs(overrides: list[str], *, multirun: bool, extra_dir: str | None) -> list[dict[str, Any]]:
    """The resolved config of every job that these overrides stand for, in Hydra's order.

    Args:
        overrides: as on the command line.
        multirun: whether comma-separated values are swept over.
        extra_dir: the user's own folder of configs, searched too.

    Raises:
        ConfigError: an override doesn't parse, or names a setting or choice that isn't there.
    """
    searchpath = [f"hydra.searchpath=[file://{Path(extra_dir).resolve()}]"] if extra_dir else []
    try:
        with initialize_config_dir(str(conf_dir()), version_base=VERSION_BASE):
            jobs = _expand(overrides) if multirun else [overrides]
            return [plain(compose(CONFIG_NAME, [*job, *searchpath])) for job in jobs]
    except MissingConfigException as error:
        raise ConfigError(_unknown_choice(error)) from None
    except OverrideParseException as error:
        raise ConfigError(f"{error.override}: {str(error).splitlines()[0]}") from None
    except ConfigCompositionException as error:
        raise ConfigError(_unknown_setting(error, extra_dir)) from None
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(str(error).splitlines()[0]) from None


def plain(config: DictConfig) -> dict[str, Any]:
    """Every interpolation resolved, as plain containers, without Hydra's own section."""
    container = OmegaConf.to_container(config, resolve=True)
    assert isinstance(container, dict)
    return {str(name): value for name, value in container.items() if name != "hydra"}


def choices(group: str) -> list[str]:
    """The names of a config group's files."""
    return sorted(file.stem for file in (conf_dir() / group).glob("*.yaml"))


def _expand(overrides: list[str]) -> list[list[str]]:
    parsed = OverridesParser.create().parse_overrides(overrides)
    batches = BasicSweeper.split_arguments(parsed, max_batch_size=None)
    return [list(job) for batch in batches for job in batch]


def _unknown_choice(error: MissingConfigException) -> str:
    group, _, choice = (error.missing_cfg_file or "").rpartition("/")
    return f"{group} = {choice}: no such choice; {nearest(choice, list(error.options or []))}"


def _unknown_setting(error: Exception, extra_dir: str | None) -> str:
    found = re.search(r"Could not (?:override|append to|delete from) '([^']+)'", str(error))
    if found is None:
        return " ".join(str(error).split())
    key = found.group(1)
    parent, _, name = key.rpartition(".")
    [node] = compose_jobs([], multirun=False, extra_dir=extra_dir)
    for part in parent.split(".") if parent else []:
        if not isinstance(node, dict) or part not in node:
            return f"{key}: no such setting; {nearest(part, _names(node))}"
        node = node[part]
    return f"{key}: no such setting; {nearest(name, _names(node))}"


def _names(node: Any) -> list[str]:
    return [name for name in node if not name.startswith("_")] if isinstance(node, dict) else []
