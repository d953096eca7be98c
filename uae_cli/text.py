"""Words and numbers as messages show them."""

from collections.abc import Iterable
from difflib import SequenceMatcher

_LONGEST_VALUE, _LONGEST_SENTENCE = 60, 300
_LONGEST_LIST, _LONGEST_GUESS = 15, 6
_LONGEST_UNLIKE = 60  # list of names where none is alike, so that any may have been meant
_LIKE = 0.6  # the least likeness at which one name may have been meant for another


def nearest(name: str, known: Iterable[str], section: str = "") -> str:
    """The known names that were probably meant, as a question, and the list of all of them.

    Args:
        name: what was given.
        known: what there is; of a long list (a very long one, where nothing is alike) the likest are told.
        section: that the names stand in, with its dot, told with the name that was probably meant.
    """
    names = sorted(known)
    likeness = {other: _likeness(name, other) for other in names}
    best = max(likeness.values(), default=0)
    there = ", ".join(names) or "none"
    if len(names) > (_LONGEST_LIST if best >= _LIKE else _LONGEST_UNLIKE):
        likest = sorted(names, key=lambda other: -likeness[other])[:_LONGEST_LIST]
        there = f"{', '.join(sorted(likest))} … ({len(names)} in all)"
    if best < _LIKE:
        return f"there are: {there}"
    meant = [f"{section}{other}" for other in names if likeness[other] == best][:_LONGEST_GUESS]
    guess = f"{', '.join(meant[:-1])} or {meant[-1]}" if len(meant) > 1 else meant[0]
    return f"did you mean {guess}? There are: {there}"


def listed(names: Iterable[object], most: int = 5) -> str:
    """The first names, and how many more there are."""
    every = [*map(str, names)]
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more


def _likeness(name: str, other: str) -> float:
    """From 0 to 1; of a longer name of several words, its beginning counts: nist is like mnist_conv_ae."""
    words = other.split("_")
    beginning = "_".join(words[: name.count("_") + 1])
    return max(SequenceMatcher(None, name, part).ratio() for part in (other, beginning))


def one_line(error: object) -> str:
    """Any error's text, on one line."""
    return " ".join(str(error).split())


def printable(text: object) -> str:
    """Text of any origin as part of one line: what can't be printed is written as in Python."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in str(text))


def shortened(text: str) -> str:
    """A foreign sentence, which may quote what a file holds, cut where it gets too long for a line."""
    return f"{text[:_LONGEST_SENTENCE]}…" if len(text) > _LONGEST_SENTENCE else text


def shown(value: object) -> str:
    """A value as a user would write it on the command line, shortened if long."""
    if value is None:
        return "null"
    text = printable(str(value).lower() if isinstance(value, bool) else value)
    if len(text) > _LONGEST_VALUE:
        return f"{text[:_LONGEST_VALUE]}…"
    return text or "''"


def gib(size: float) -> str:
    """Bytes as a number of GiB, to two digits."""
    return f"{size / 2**30:.2g}"


def plural(count: int, what: str) -> str:
    """'1 seed', '3 seeds'."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def duration(seconds: float) -> str:
    """'3 s', '12 min', '5.2 h', '3.1 days'."""
    for unit, size, decimals in (("s", 1, 0), ("min", 60, 0), ("h", 3600, 1)):
        if seconds < 100 * size or (unit == "h" and seconds < 48 * size):
            return f"{seconds / size:.{decimals}f} {unit}"
    return f"{seconds / 86400:.1f} days"
