"""Hydra's and YAML's complaints about a command line or a config file, turned into one line each."""

import re
from typing import Any

import yaml
from hydra.core.config_loader import ConfigLoader
from hydra.core.object_type import ObjectType
from hydra.errors import MissingConfigException, OverrideParseException

from uae_cli.errors import ConfigError
from uae_cli.text import nearest, one_line

# What brings a setting that others refer to
_NEEDS = {
    "model.trainer.objective.views": "criterion=contrastive goes with model=simclr, as in digits_simclr",
}


class UnknownKeyError(ConfigError):
    """An override names a key that the config doesn't have.

    Args:
        key: the full name.
    """

    def __init__(self, key: str) -> None:
        super().__init__(f"{key}: no such setting")
        self.key = key


def complaint(error: Exception, overrides: list[str], loader: ConfigLoader) -> ConfigError:
    """The one line for an error of Hydra, OmegaConf or PyYAML."""
    if isinstance(error, MissingConfigException):
        return _missing(error, loader)
    if isinstance(error, OverrideParseException):
        return ConfigError(
            f"{error.override}: can't be read as setting=value; write attack.alpha=0.1, and quote "
            "special characters, as in 'outputs=\"my folder (1)\"'"
        )
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return ConfigError(f"{mark.name}, line {mark.line + 1}: not YAML: {error.problem}")
    return _by_text(one_line(error), overrides, loader)


def _missing(error: MissingConfigException, loader: ConfigLoader) -> ConfigError:
    group, _, choice = (error.missing_cfg_file or "").rpartition("/")
    known = error.options or loader.get_group_options(group)
    own = "; a file of your own is found with --config-dir DIR" if group == "experiment" else ""
    return ConfigError(f"{group} = {choice}: no such choice; {nearest(choice, known)}{own}")


def _by_text(text: str, overrides: list[str], loader: ConfigLoader) -> ConfigError:
    if found := re.match(r"Ambiguous value for argument '([^=]+)=(.*?)' 1\.", text):
        key, values = found.groups()
        return ConfigError(
            f"{key} = {values}: several values; add -m to run one job for each, or write {key}=[{values}] "
            "if a list is meant"
        )
    if found := re.search(r"Could not (?:override|append to|delete from) '([^']+)'", text):
        return _unknown_group(text, found.group(1), loader) or UnknownKeyError(found.group(1))
    if text.startswith("Config group override must be"):
        return _no_choice(overrides, loader)
    if found := re.match(r"Interpolation key '([^']+)' not found", text):
        way = _NEEDS.get(
            found.group(1), "choose the parts that an experiment names together, see uae run --help"
        )
        return ConfigError(f"{found.group(1)}: needed by another choice, and not there; {way}")
    return ConfigError(text.split(" full_key:")[0])


def _unknown_group(text: str, group: str, loader: ConfigLoader) -> ConfigError | None:
    """Said of a config file's own defaults list, where Hydra names the file."""
    found = re.match(r"In '([^']+)': .*No match in the defaults list", text)
    if found is None or found.group(1) == "config":
        return None
    known = [name for name in loader.get_group_options("", ObjectType.GROUP) if name != "hydra"]
    return ConfigError(f"{found.group(1)}.yaml: override /{group}: no such group; {nearest(group, known)}")


def _no_choice(overrides: list[str], loader: ConfigLoader) -> ConfigError:
    """A group was set to a number or null."""
    for override in overrides:
        key, _, value = override.partition("=")
        known: Any = loader.get_group_options(key) if key else []
        if not key:
            return ConfigError(f"{override}: a setting's name must stand before the =")
        if known and value not in known:
            return ConfigError(f"{key} = {value}: no such choice; {nearest(value, known)}")
    return ConfigError("a group must be set to one of its choices; see uae run --help")
