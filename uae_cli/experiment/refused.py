"""What Hydra, YAML and pydantic refuse, in one line each."""

import re
from collections.abc import Callable
from typing import Any

import yaml
from hydra.core.object_type import ObjectType
from hydra.errors import MissingConfigException, OverrideParseException
from pydantic import ValidationError

from uae_cli.errors import ConfigError, SettingError, UnknownSettingError
from uae_cli.text import nearest, one_line, shown

Choices = Callable[..., list[str]]
"""The choices of a group by its name; with `ObjectType.GROUP`, the groups below it."""

# What brings a setting that others refer to
_NEEDS = {
    "model.trainer.objective.views": "criterion=contrastive goes with model=simclr, as in digits_simclr"
}
# Hydra's plugins, by the choices that they bring
_PLUGINS = {
    **dict.fromkeys(("joblib", "ray", "rq"), "hydra-{}-launcher"),
    **dict.fromkeys(("submitit_local", "submitit_slurm"), "hydra-submitit-launcher"),
    **dict.fromkeys(("optuna", "ax", "nevergrad"), "hydra-{}-sweeper"),
}
_SWEEP = "-m seed=0,1, or hydra: {sweeper: {params: {seed: '0,1'}}} in a file of your own"


def explained(error: Exception, overrides: list[str], choices: Choices) -> ConfigError:
    """The one line for an error of Hydra, OmegaConf or PyYAML."""
    if isinstance(error, MissingConfigException):
        return _missing(error, choices)
    if isinstance(error, OverrideParseException):
        return ConfigError(
            f"{error.override}: can't be read as setting=value; write attack.alpha=0.1, and quote "
            "special characters, as in 'outputs=\"my folder (1)\"'"
        )
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return ConfigError(f"{mark.name}, line {mark.line + 1}: not YAML: {error.problem}")
    return _by_text(one_line(error), overrides, choices)


def _missing(error: MissingConfigException, choices: Choices) -> ConfigError:
    group, _, choice = (error.missing_cfg_file or "").rpartition("/")
    known = error.options or choices(group)
    if group in ("hydra/launcher", "hydra/sweeper") and choice in _PLUGINS:
        plugin = _PLUGINS[choice].format(choice)
        return ConfigError(f"{group} = {choice}: not installed; pip install {plugin}")
    own = "; a file of your own is found with --config-dir DIR" if group == "experiment" else ""
    return ConfigError(f"{group} = {choice}: no such choice; {nearest(choice, known)}{own}")


def _by_text(text: str, overrides: list[str], choices: Choices) -> ConfigError:
    if found := re.match(r"Ambiguous value for argument '([^=]+)=(.*?)' 1\.", text):
        key, values = found.groups()
        return ConfigError(
            f"{key} = {values}: several values; add -m to run one job for each, or write {key}=[{values}] "
            "if a list is meant"
        )
    if found := re.search(r"Could not (?:override|append to|delete from) '([^']+)'", text):
        return _unknown_group(text, found.group(1), choices) or UnknownSettingError(found.group(1))
    if text.startswith("Config group override must be"):
        return _no_choice(overrides, choices)
    if found := re.match(r"Interpolation key '([^']+)' not found", text):
        way = _NEEDS.get(
            found.group(1), "choose the parts that an experiment names together, see uae run --help"
        )
        return ConfigError(f"{found.group(1)}: needed by another choice, and not there; {way}")
    reason, _, place = text.partition(" full_key: ")
    if place.startswith("hydra.sweeper.params"):  # Hydra's own reason is a Python attribute's
        reason = f"hydra.sweeper.params: can't be set as a whole; sweep with {_SWEEP}"
    return ConfigError(reason)


def _unknown_group(text: str, group: str, choices: Choices) -> ConfigError | None:
    """Said of a config file's own defaults list, where Hydra names the file."""
    found = re.match(r"In '([^']+)': .*No match in the defaults list", text)
    if found is None or found.group(1) == "config":
        return None
    known = [name for name in choices("", ObjectType.GROUP) if name != "hydra"]
    return ConfigError(f"{found.group(1)}.yaml: override /{group}: no such group; {nearest(group, known)}")


def _no_choice(overrides: list[str], choices: Choices) -> ConfigError:
    """A group was set to a number or null."""
    for override in overrides:
        key, _, value = override.partition("=")
        known = choices(key) if key else []
        if not key:
            return ConfigError(f"{override}: a setting's name must stand before the =")
        if known and value not in known:
            return ConfigError(f"{key} = {value}: no such choice; {nearest(value, known)}")
    return ConfigError("a group must be set to one of its choices; see uae run --help")


_UNKNOWN = ("unexpected_keyword_argument", "extra_forbidden")
_MISSING = ("missing", "missing_argument", "missing_keyword_only_argument")
# What pydantic appends to a setting's name for each type that a union admits
_ALTERNATIVE = re.compile(r"constrained-\w+|literal\[.*\]|int|float|str|bool|none|list\[.*\]")
_WORDINGS = (
    ("Input should be ", "must be "),
    ("Value error, ", ""),
    ("a valid integer", "a whole number"),
    ("a valid number", "a number"),
    ("a valid boolean", "true or false"),
    ("greater than or equal to", "at least"),
    ("less than or equal to", "at most"),
    ("a valid list", "a list, as in [1,2]"),
    ("List should have", "must have"),
    ("Dictionary should have", "must have"),
    (" after validation", ""),
    ("a dictionary or an instance of ", "a section of settings, as of "),
    ("an instance of ", "a section with the _target_ of an "),
    ("Input is not a valid path for <class 'pathlib.Path'>", "must be a path"),
    ("String should match pattern '^\\w[\\w.+-]*$'", "must be letters, digits and . _ + -, no sign first"),
)
# Reasons that only repeat the value
_REDUNDANT = re.compile(r", (unable to (parse|interpret)|got a number with a fractional part).*|, not 0$")
_RANGE = re.compile(r"(\d+)-(\d+)")
_MOST_PROBLEMS = 3  # told of one section
_OF_NUMBERS = ("int_", "float_", "greater_", "less_")  # what pydantic calls their problems


def validation_error(error: ValidationError, place: str) -> ConfigError:
    """What pydantic refused at `place` ("attack", "model.trainer", …), as one line."""
    problems = _without_alternatives(error)
    if len(problems) > 1:
        told = [str(_one(problem, place)) for problem in problems]
        more = f"; and {len(told) - _MOST_PROBLEMS} more" if len(told) > _MOST_PROBLEMS else ""
        return ConfigError("; ".join(told[:_MOST_PROBLEMS]) + more)
    return _one(problems[0], place)


def _without_alternatives(error: ValidationError) -> list[dict[str, Any]]:
    """The problems, with those of the alternatives of one union joined by "or"."""
    merged: dict[tuple[object, ...], dict[str, Any]] = {}
    for problem in error.errors():
        location = problem["loc"]
        if len(location) > 1 and _ALTERNATIVE.fullmatch(str(location[-1])):
            location = location[:-1]
        if location not in merged:
            merged[location] = {**problem, "loc": location}
        else:
            other = _plain(problem["msg"]).removeprefix("must be ")
            merged[location]["msg"] = f"{_plain(merged[location]['msg'])}, or {other}"
    return list(merged.values())


def _one(problem: dict[str, Any], place: str) -> ConfigError:
    setting = ".".join(part for part in (place, *map(str, problem["loc"])) if part)
    if problem["type"] in _UNKNOWN:
        return UnknownSettingError(setting)
    if problem["type"] in _MISSING:
        return ConfigError(f"{setting}: must be given, e.g. {setting}=…")
    found = _RANGE.fullmatch(str(problem["input"]))
    if found and problem["type"].startswith(_OF_NUMBERS):
        low, high = found.groups()
        way = f"must be one number; for -m, a range is written range({low},{int(high) + 1})"
        return SettingError(setting, shown(problem["input"]), way)
    return SettingError(setting, shown(problem["input"]), _plain(problem["msg"]))


def _plain(message: str) -> str:
    for theirs, ours in _WORDINGS:
        message = message.replace(theirs, ours)
    return _REDUNDANT.sub("", message)
