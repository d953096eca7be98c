"""From `conf/` and the command line to the configs of every job, exactly as Hydra will compose them."""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import TextWrapper
from typing import Any

import yaml
from hydra import compose, version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from uae_cli.errors import ConfigError
from uae_cli.experiment.hydra_errors import UnknownKeyError, complaint
from uae_cli.text import nearest

CONFIG_NAME = "config"
VERSION_BASE = "1.3"
_WIDEST = 100  # columns of the help
_CHOSEN_BY_OTHERS = ("adversary", "scale_of", "scale_for", "scale_with")  # by other files, never by a user


@dataclass(frozen=True)
class Job:
    """One run to come.

    Attributes:
        config: resolved, without Hydra's own section.
        above: the folder in which the run's (or sweep's) own folder will be made.
    """

    config: dict[str, Any]
    above: Path


def conf_dir() -> Path:
    """The folder of YAML files: inside the package when installed, beside it in a checkout."""
    package = Path(__file__).parent.parent
    installed = package / "conf"
    return installed if installed.is_dir() else package.parent / "conf"


def register_resolvers() -> None:
    """What the YAML files may refer to.

    `${uae_id:}` is six hex digits drawn once per process and job, so that no two runs share a folder;
    `${uae_choices:}` a paragraph per group of choices, for the help.
    """
    OmegaConf.register_new_resolver("uae_id", lambda: secrets.token_hex(3), use_cache=True, replace=True)
    OmegaConf.register_new_resolver("uae_choices", _choices, replace=True)


def _choices() -> str:
    loader = GlobalHydra.instance().config_loader()
    if not isinstance(loader, ConfigLoaderImpl):
        raise TypeError("needs Hydra's own loader")
    groups = dict(_groups(loader.repository))
    width = min(_WIDEST, shutil.get_terminal_size((_WIDEST, 0)).columns)
    layout = TextWrapper(width, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False)
    return "\n".join(
        layout.fill(f"{group}: {', '.join(choices)}")
        for group, choices in sorted(groups.items())
        if group.split("/")[0] not in ("hydra", *_CHOSEN_BY_OTHERS)
    )


def _groups(repository: ConfigRepository, above: str = "") -> Iterator[tuple[str, list[str]]]:
    """Every group below a folder that has files, with their names.

    Not through the loader, which copies all config it knows at each question: Hydra asks for the help at
    every composition, shown or not.
    """
    for folder in repository.get_group_options(above, ObjectType.GROUP):
        group = f"{above}/{folder}" if above else folder
        if choices := repository.get_group_options(group, ObjectType.CONFIG):
            yield group, choices
        yield from _groups(repository, group)


def compose_jobs(overrides: list[str], *, multirun: bool, extra_dir: str | None) -> list[Job]:
    """Every job that these overrides stand for, in Hydra's order.

    Args:
        overrides: as on the command line.
        multirun: whether comma-separated values are swept over.
        extra_dir: the user's own folder of configs, searched first.

    Raises:
        ConfigError: an override doesn't parse, or names a setting or choice that isn't there.
    """
    try:
        with _hydra(extra_dir) as loader:
            try:
                jobs = _expand(overrides, loader) if multirun else [overrides]
                return [_job(job, multirun=multirun) for job in jobs]
            except (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError) as error:
                raise complaint(error, overrides, loader) from error
    except UnknownKeyError as error:
        raise ConfigError(_unknown_key(error.key, overrides, extra_dir)) from error


def default_of(setting: str, overrides: list[str], extra_dir: str | None) -> object:
    """The value a setting has where the user doesn't set it, and None if that can't be told."""
    others = [override for override in overrides if override.lstrip("+~").split("=", 1)[0] != setting]
    try:
        node: object = compose_jobs(others, multirun=True, extra_dir=extra_dir)[0].config
    except ConfigError:
        return None
    for part in setting.split("."):
        node = node.get(part) if isinstance(node, dict) else None
    return None if isinstance(node, dict) else node


def siblings(setting: str, config: dict[str, Any]) -> list[str]:
    """The other settings in the section of `config` that `setting` stands in."""
    *parents, name = setting.split(".")
    node: object = config
    for part in parents:
        node = node.get(part, {}) if isinstance(node, dict) else {}
    return [other for other in _names(node) if other != name]


def plain(config: DictConfig) -> dict[str, Any]:
    """Every interpolation resolved, as plain containers, without Hydra's own section."""
    return {str(name): _plain_value(config[name]) for name in config if name != "hydra"}


def _plain_value(node: object) -> object:
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


@contextmanager
def _hydra(extra_dir: str | None) -> Iterator[ConfigLoader]:
    """Hydra with the search path that `uae run` will have."""
    version.setbase(VERSION_BASE)
    path = create_config_search_path(str(conf_dir()))
    if extra_dir:
        path.prepend("command-line", f"file://{Path(extra_dir).resolve()}")
    Hydra.create_main_hydra2("uae", path)
    try:
        yield GlobalHydra.instance().config_loader()
    finally:
        GlobalHydra.instance().clear()


def _job(overrides: list[str], *, multirun: bool) -> Job:
    config = compose(CONFIG_NAME, overrides, return_hydra_config=True)
    folder = config.hydra.sweep.dir if multirun else config.hydra.run.dir
    return Job(plain(config), Path(folder).parent)


def _expand(overrides: list[str], loader: ConfigLoader) -> list[list[str]]:
    """The overrides of each job; those of a YAML file's `hydra.sweeper.params` come first, as in Hydra."""
    parser = OverridesParser.create(config_loader=loader)
    once = [o.input_line for o in parser.parse_overrides(overrides) if not o.is_sweep_override()]
    sweeper = compose(CONFIG_NAME, [str(o) for o in once], return_hydra_config=True).hydra.sweeper
    params = [f"{key}={value}" for key, value in (sweeper.get("params") or {}).items()]
    batches = BasicSweeper.split_arguments(parser.parse_overrides([*params, *overrides]), max_batch_size=None)
    return [list(job) for batch in batches for job in batch]


def _unknown_key(key: str, overrides: list[str], extra_dir: str | None) -> str:
    """What to say of a key that isn't in the config, given where it leaves the tree."""
    choices = [o for o in overrides if "." not in o.split("=", 1)[0] and o.split("=", 1)[0] != key]
    try:
        node: Any = compose_jobs(choices, multirun=True, extra_dir=extra_dir)[0].config
    except ConfigError:
        node = compose_jobs([], multirun=False, extra_dir=extra_dir)[0].config
    if key.startswith("arm.") and ".similarity." in key:
        return (
            f"{key}: an arm's similarity is that of all arms; set similarity.{key.split('.similarity.')[1]}"
        )
    passed = ""
    for part in key.split("."):
        if not isinstance(node, dict) or part not in node:
            return f"{key}: no such setting; {nearest(part, _names(node), passed)}"
        node, passed = node[part], f"{passed}{part}."
    return f"{key}: no such setting"


def _names(node: object) -> list[str]:
    return [str(name) for name in node if not str(name).startswith("_")] if isinstance(node, dict) else []
