"""From a library's report of a bad setting to one line: the setting, its value, the way out."""

from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError


def explain_validation(error: ValidationError, place: str) -> str:
    """One line a problem, of what pydantic refused at `place` ("attack", "model.trainer", …)."""
    return "; ".join(_one(problem, place) for problem in error.errors())


def nearest(name: str, known: list[str]) -> str:
    """The known name that was probably meant, as a question, and the list of all of them."""
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    guess = f"did you mean {close[0]}? " if close else ""
    return f"{guess}There are: {', '.join(sorted(known))}"


def _one(problem: Any, place: str) -> str:
    parts = [part for part in (place, *map(str, problem["loc"])) if part]
    setting = ".".join(parts)
    if problem["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        return f"{setting}: no such setting"
    if problem["type"] in ("missing", "missing_argument", "missing_keyword_only_argument"):
        return f"{setting}: must be given, e.g. {setting}=…"
    return f"{setting} = {problem['input']}: {_plain(problem['msg'])}"


def _plain(message: str) -> str:
    return message.replace("Input should be ", "must be ").replace("Value error, ", "")
