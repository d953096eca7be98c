"""From a library's report of a bad setting to one line: the setting, its value, the way out."""

import inspect
import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from functools import partial
from typing import Any

from pydantic import ValidationError

from uae_cli.errors import ConfigError, SettingError, UnknownSettingError

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
_LONGEST_VALUE = 60
_LONGEST_LIST = 15
_RANGE = re.compile(r"(\d+)-(\d+)")
_OF_NUMBERS = ("int_", "float_", "greater_", "less_")  # what pydantic calls their problems


def validation_error(error: ValidationError, place: str) -> ConfigError:
    """What pydantic refused at `place` ("attack", "model.trainer", …), as one line."""
    problems = _without_alternatives(error)
    if len(problems) > 1:
        return ConfigError("; ".join(str(_one(problem, place)) for problem in problems))
    return _one(problems[0], place)


def nearest(name: str, known: Iterable[str], section: str = "") -> str:
    """The known name that was probably meant, as a question, and the list of all of them.

    Args:
        name: what was given.
        known: what there is; of a long list that has what was meant, the likest are told.
        section: that the names stand in, with its dot, told with the name that was probably meant.
    """
    names = sorted(known)
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    listed = ", ".join(names) or "none"
    if close and len(names) > _LONGEST_LIST:
        likest = get_close_matches(name, names, n=_LONGEST_LIST, cutoff=0)
        listed = f"{', '.join(likest)} … ({len(names)} in all)"
    return f"did you mean {section}{close[0]}? There are: {listed}" if close else f"there are: {listed}"


def one_line(error: object) -> str:
    """Any error's text, on one line."""
    return " ".join(str(error).split())


def check_optimizer(factory: Callable[..., Any], place: str) -> None:
    """Try an optimiser's settings on a parameter of no consequence.

    Raises:
        ConfigError: torch refuses one of them; the line names it.
    """
    from torch import nn, zeros

    try:
        factory([nn.Parameter(zeros(1))])
    except (TypeError, ValueError) as error:
        raise _optimizer_error(factory, place, str(error)) from error


def _optimizer_error(factory: Callable[..., Any], place: str, reason: str) -> ConfigError:
    settings = factory.keywords if isinstance(factory, partial) else {}
    known = _parameters(factory)
    if unknown := [name for name in settings if name not in known]:
        return ConfigError(
            f"{place}.{unknown[0]}: no such setting; {nearest(unknown[0], known, f'{place}.')}"
        )
    for name, value in settings.items():
        if isinstance(value, str):
            return SettingError(f"{place}.{name}", value, "must be a number")
        # torch ends its sentences with the value: "Invalid learning rate: -1"
        if reason.endswith(f": {value}"):
            return SettingError(f"{place}.{name}", str(value), reason.removesuffix(f": {value}").lower())
    return ConfigError(f"{place}: {one_line(reason)}")


def _parameters(factory: Callable[..., Any]) -> list[str]:
    """The settings that torch's optimiser knows; Hydra wraps its class twice."""
    target = factory.func if isinstance(factory, partial) else factory
    target = getattr(target, "_target", getattr(target, "target", target))
    return [name for name in inspect.signature(target).parameters if name != "params"]


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


def shown(value: object) -> str:
    """A value as a user would write it on the command line, shortened if long."""
    if value is None:
        return "null"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if len(text) > _LONGEST_VALUE:
        return f"{text[:_LONGEST_VALUE]}…"
    return text or "''"


def gib(size: float) -> str:
    """Bytes as a number of GiB, to two digits."""
    return f"{size / 2**30:.2g}"


def _plain(message: str) -> str:
    for theirs, ours in _WORDINGS:
        message = message.replace(theirs, ours)
    return _REDUNDANT.sub("", message)


def plural(count: int, what: str) -> str:
    """'1 seed', '3 seeds'."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def duration(seconds: float) -> str:
    """'3 s', '12 min', '5.2 h', '3.1 days'."""
    for unit, size, decimals in (("s", 1, 0), ("min", 60, 0), ("h", 3600, 1)):
        if seconds < 100 * size or (unit == "h" and seconds < 48 * size):
            return f"{seconds / size:.{decimals}f} {unit}"
    return f"{seconds / 86400:.1f} days"
