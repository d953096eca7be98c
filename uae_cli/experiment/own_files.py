"""A user's own experiment files, checked for what Hydra would take without a word, or fail on in many."""

import re
from collections.abc import Sequence
from pathlib import Path

import yaml

from uae_cli.errors import ConfigError
from uae_cli.experiment.compose import conf_dir

_PACKAGE = "# @package _global_"


def check_own_experiments(folder: Path, overrides: Sequence[str]) -> None:
    """See whether the files of `folder`/experiment that `overrides` name say what their author means.

    Raises:
        ConfigError: one's settings would come to stand below `experiment`, or it sets a group like a value,
            which what the group's own file says replaces.
    """
    named = " ".join(override for override in overrides if override.startswith("experiment="))
    for file in sorted(folder.glob("experiment/*.yaml")):
        if file.stem in re.findall(r"[\w.-]+", named):
            _check(file)


def _check(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    if _PACKAGE not in text:
        raise ConfigError(
            f"{file}: its settings would come to stand below experiment; make its first line {_PACKAGE}"
        )
    try:
        settings = yaml.safe_load(text)
    except yaml.YAMLError:
        return  # which Hydra tells
    groups = {path.name for path in conf_dir().iterdir() if path.is_dir()}
    for name, value in settings.items() if isinstance(settings, dict) else ():
        if name in groups and isinstance(value, str | list):
            raise ConfigError(
                f"{file}: {name}: {value}: has no effect here; choose it under defaults, as in "
                f"- override /{name}: {value}"
            )
