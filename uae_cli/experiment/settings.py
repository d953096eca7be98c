"""The settings that need no torch, checked before it is loaded; and a refused one told in one line."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from uae_cli.errors import ConfigError, SettingError, UnknownSettingError
from uae_cli.settings import STRICT, Count, Positive, Precision
from uae_cli.text import shown

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
    ("String should match pattern '^[\\w.+-]+$'", "must be a word of letters, digits and . _ + -"),
)
# Reasons that only repeat the value
_REDUNDANT = re.compile(r", (unable to (parse|interpret)|got a number with a fractional part).*|, not 0$")
_RANGE = re.compile(r"(\d+)-(\d+)")
_OF_NUMBERS = ("int_", "float_", "greater_", "less_")  # what pydantic calls their problems


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DataSettings:
    """Where the data are and how much of them is used.

    Attributes:
        root: the data root; `UAE_DATA` sets its default.
        train_size: the first n training samples, or null for what the scale says.
        test_size: likewise.
        attack_size: how many samples are attacked, where not all of them are (protocol=attack, robustness).
        download: whether missing files are fetched.
    """

    root: Path
    train_size: Count | None
    test_size: Count | None
    attack_size: Count
    download: bool


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Scale:
    """How much of the full protocol is run.

    Attributes:
        name: stands beside every result.
        train_size: the first n training samples at most, where `data.train_size` doesn't say; null: all.
        test_size: likewise.
    """

    name: str
    train_size: Count | None
    test_size: Count | None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ArmSettings:
    """Settings shared by the arms.

    Attributes:
        draws: how often an arm's noise is drawn anew within one seed.
        rounds: how often samples are made of the model retrained on the samples before (paper §6.15).
    """

    draws: Count
    rounds: Count


@dataclass(frozen=True, kw_only=True, config=STRICT)
class RunSettings:
    """What an experiment says of itself, before any part of it is built.

    Attributes:
        name: as results call it; a folder is named after it.
        seed: of everything random.
        device: auto, cpu, cuda or cuda:N.
        threads: CPU threads torch may use, or auto.
        precision: float32; or tf32 (training and attack) or bfloat16 (the attacked model's passes).
        chunk_size: samples attacked at once, or null to let the runner choose.
        memory_budget: GiB that an attack may take, or null for half of what is free.
        outputs: folder of runs and cached stages.
        data: where the data are, and how much of them is used.
        scale: how much of the full protocol is run.
    """

    name: Annotated[str, Field(pattern=r"^[\w.+-]+$")]
    seed: Annotated[int, Field(ge=0)]
    device: str
    threads: Count | Literal["auto"]
    precision: Precision
    chunk_size: Count | None
    memory_budget: Positive | None
    outputs: Path
    data: DataSettings
    scale: Scale


def check_without_torch(config: dict[str, Any]) -> None:
    """See whether the settings that need no torch are right.

    Raises:
        ConfigError: one isn't.
    """
    arms = {name: value for name, value in config.get("augmentation", {}).items() if name != "chain"}
    run = {field.name: config[field.name] for field in fields(RunSettings) if field.name in config}
    for place, settings, values in (("augmentation", ArmSettings, arms), ("", RunSettings, run)):
        try:
            TypeAdapter(settings).validate_python(values)
        except ValidationError as error:
            raise validation_error(error, place) from error


def validation_error(error: ValidationError, place: str) -> ConfigError:
    """What pydantic refused at `place` ("attack", "model.trainer", …), as one line."""
    problems = _without_alternatives(error)
    if len(problems) > 1:
        return ConfigError("; ".join(str(_one(problem, place)) for problem in problems))
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
