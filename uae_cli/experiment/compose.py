"""From `conf/` and the command line to the configs of every job, exactly as Hydra will compose them."""

import re
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from textwrap import TextWrapper
from typing import Any, cast

import yaml
from hydra import __version__, compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper  # to expand a sweep as it will
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from uae_cli.errors import ConfigError, UnknownSettingError
from uae_cli.experiment.permission import check_allowed, check_said
from uae_cli.experiment.refused import explained
from uae_cli.text import nearest

CONFIG_NAME = "config"
_HYDRA_1_3 = __version__.startswith("1.3.")
# Hydra 1.3 asks for it, 1.4 advises against it
VERSION_BASE: dict[str, Any] = {"version_base": "1.3"} if _HYDRA_1_3 else {}
_WIDEST = 100  # columns of the help
# By other files, never by a user
_CHOSEN_BY_OTHERS = ("adversary", "scale_for_criterion", "scale_for_protocol", "scale_for_source")


@dataclass(frozen=True)
class Job:
    """One run to come.

    Attributes:
        config: resolved, without Hydra's own section.
        above: the folder in which the run's (or sweep's) own folder will be made.
        overrides: that it alone stands for.
    """

    config: dict[str, Any]
    above: Path
    overrides: list[str]


def conf_dir() -> Path:
    """The folder of YAML files: inside the package when installed, beside it in a checkout."""
    package = Path(__file__).parent.parent
    installed = package / "conf"
    return installed if installed.is_dir() else package.parent / "conf"


def register_resolvers() -> None:
    """What the YAML files may refer to.

    `${uae_id:}` is six hex digits drawn once per process and job, so that no two runs share a folder;
    `${uae_line:mode,number}` begins the lines of a sweep's job with its number; `${uae_choices:sources}`
    is a paragraph per group of choices, for the help.
    """
    # By the name that OmegaConf 2.4 gives it; in 2.3 that was an older function's
    register: Any = OmegaConf.register_new_resolver if _HYDRA_1_3 else OmegaConf.register_resolver
    register("uae_id", lambda: secrets.token_hex(3), use_cache=True, replace=True)
    register("uae_line", _line, replace=True)
    register("uae_choices", _choices, replace=True)


def _line(mode: object, number: object) -> str:
    return f"#{number} %(message)s" if "MULTIRUN" in str(mode) else "%(message)s"


def _choices(sources: Sequence[Mapping[str, str]]) -> str:
    """Read from the folders: Hydra asks for the help at every composition, shown or not."""
    groups: dict[str, set[str]] = {}
    for folder in (Path(source["path"]) for source in sources if source["schema"] == "file"):
        for file in folder.glob("*/**/*.yaml"):
            groups.setdefault(file.parent.relative_to(folder).as_posix(), set()).add(file.stem)
    width = min(_WIDEST, shutil.get_terminal_size((_WIDEST, 0)).columns)
    layout = TextWrapper(width, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False)
    return "\n".join(
        layout.fill(f"{group}: {', '.join(sorted(choices))}")
        for group, choices in sorted(groups.items())
        if group.split("/")[0] not in ("hydra", *_CHOSEN_BY_OTHERS)
    )


def compose_jobs(overrides: list[str], *, multirun: bool, extra_dir: str | None) -> list[Job]:
    """Every job that these overrides stand for, in Hydra's order.

    Args:
        overrides: as on the command line.
        multirun: whether comma-separated values are swept over.
        extra_dir: the user's own folder of configs, searched after ours.

    Raises:
        ConfigError: an override doesn't parse, or names a setting or choice that isn't there; or a job calls
            what isn't allowed.
    """
    try:
        with _hydra(overrides, extra_dir) as hydra:
            jobs = _expand(overrides, hydra) if multirun else [overrides]
            return [_job(hydra, job, overrides, multirun=multirun) for job in jobs]
    except UnknownSettingError as error:
        raise ConfigError(_unknown_key(error.setting, overrides, extra_dir)) from error


def help_page(extra_dir: str | None) -> str:
    """What `uae run --help` prints, with the choices of the user's own folder."""
    with _hydra([], extra_dir) as hydra:
        return str(hydra.compose([]).hydra.help.template)


def default_of(setting: str, overrides: list[str], extra_dir: str | None) -> object:
    """The value a setting has where the user doesn't set it, and None if that can't be told."""
    others = [override for override in overrides if override.lstrip("+~").split("=", 1)[0] != setting]
    try:
        config = compose_jobs(others, multirun=True, extra_dir=extra_dir)[0].config
    except ConfigError:
        return None
    node = _at(config, setting.split("."))
    return None if isinstance(node, dict) else node


def siblings(setting: str, config: dict[str, Any]) -> list[str]:
    """The other settings in the section of `config` that `setting` stands in."""
    *section, name = setting.split(".")
    return [other for other in _names(_at(config, section)) if other != name]


def _at(config: dict[str, Any], path: list[str]) -> object:
    node: object = config
    for part in path:
        node = node.get(part) if isinstance(node, dict) else None
    return node


def plain(config: DictConfig) -> dict[str, Any]:
    """Every interpolation resolved, as plain containers, without Hydra's own section.

    Nor with what experiments and scales set of an evaluation of ours that the user has not chosen.
    """
    resolved = {str(name): _plain_value(config[name]) for name in config if name != "hydra"}
    evaluations, folder = resolved.get("evaluation"), conf_dir() / "evaluation"
    if isinstance(evaluations, dict):
        resolved["evaluation"] = {
            name: settings
            for name, settings in evaluations.items()
            if not (folder / f"{name}.yaml").exists() or "_target_" in (settings or {})
        }
    return resolved


def _plain_value(node: object) -> object:
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


class _Hydra:
    """Hydra, asked with the user's own folder in its search path."""

    def __init__(self, extra_dir: str | None) -> None:
        folder = str(Path(extra_dir).resolve()).replace("'", "\\'") if extra_dir else ""
        self._search_path = [f"hydra.searchpath=['file://{folder}']"] if folder else []

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """The config of one job, with Hydra's own section."""
        try:
            return compose(CONFIG_NAME, [*self._search_path, *overrides], return_hydra_config=True)
        except TypeError as error:  # Hydra takes every choice in a list for text
            wrong = [override for override in overrides if re.search(r"\[.*\bnull\b", override)]
            if not wrong:
                raise
            way = "null is no choice; leave it out, as in arm=[replicate]"
            raise ConfigError(f"{wrong[0]}: {way}") from error

    def get_group_options(
        self, group_name: str, results_filter: ObjectType | None = ObjectType.CONFIG
    ) -> list[str]:
        """The choices of a group; named like `ConfigLoader`'s, for which Hydra's parser takes this."""
        loader = GlobalHydra.instance().config_loader()
        return loader.get_group_options(group_name, results_filter, CONFIG_NAME, self._search_path)


@contextmanager
def _hydra(overrides: list[str], extra_dir: str | None) -> Iterator[_Hydra]:
    """Hydra with the search path that `uae run` will have; what it complains of becomes one line."""
    with initialize_config_dir(str(conf_dir()), job_name="uae", **VERSION_BASE):
        hydra = _Hydra(extra_dir)
        try:
            yield hydra
        except (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError, AttributeError) as error:
            if isinstance(error, AttributeError) and "full_key: " not in str(error):
                raise  # not OmegaConf's
            raise explained(error, overrides, hydra.get_group_options) from error
        except RecursionError as error:
            raise ConfigError("a setting is nested deeper than can be read; write it plainly") from error


def _job(hydra: _Hydra, own: list[str], overrides: Sequence[str], *, multirun: bool) -> Job:
    config = hydra.compose(own)
    folder = config.hydra.sweep.dir if multirun else config.hydra.run.dir
    job = Job(plain(config), Path(folder).parent, own)
    section = cast(dict[str, Any], OmegaConf.to_container(config.hydra))
    check_said(job.config, section, overrides)
    check_allowed(job.config, section)
    return job


def _expand(overrides: list[str], hydra: _Hydra) -> list[list[str]]:
    """The overrides of each job; those of a YAML file's `hydra.sweeper.params` come first, as in Hydra."""
    parser = OverridesParser.create(config_loader=cast(ConfigLoader, hydra))
    once = [o.input_line for o in parser.parse_overrides(overrides) if not o.is_sweep_override()]
    sweeper = hydra.compose([str(o) for o in once]).hydra.sweeper
    params = [f"{key}={value}" for key, value in (sweeper.get("params") or {}).items()]
    batches = BasicSweeper.split_arguments(parser.parse_overrides([*params, *overrides]), max_batch_size=None)
    return [list(job) for batch in batches for job in batch]


def _unknown_key(key: str, overrides: list[str], extra_dir: str | None) -> str:
    """What to say of a key that isn't in the config, given where it leaves the tree."""
    if key.startswith("hydra."):
        return f"{key}: no such setting of Hydra's; see uae run --cfg hydra"
    choices = [o for o in overrides if "." not in o.split("=", 1)[0] and o.split("=", 1)[0] != key]
    try:
        node: Any = compose_jobs(choices, multirun=True, extra_dir=extra_dir)[0].config
    except ConfigError:
        node = compose_jobs([], multirun=False, extra_dir=extra_dir)[0].config
    arm, _, setting = key.partition(".similarity.")
    if arm == "arm.mine_uae" and setting:  # which refers to the one of all arms
        return f"{key}: an arm's similarity is that of all arms; set similarity.{setting}"
    passed, left = "", key.split(".")
    while left:
        part, *left = left
        if not isinstance(node, dict) or part not in node:
            likest = next(iter(get_close_matches(part, _names(node), 1)), "")
            if left and likest and _at(node, [likest, *left]) is not None:
                return f"{key}: no such setting; did you mean {passed}{'.'.join([likest, *left])}?"
            return f"{key}: no such setting; {nearest(part, _names(node), passed)}"
        node, passed = node[part], f"{passed}{part}."
    return f"{key}: no such setting"


def _names(node: object) -> list[str]:
    return [str(name) for name in node if not str(name).startswith("_")] if isinstance(node, dict) else []
