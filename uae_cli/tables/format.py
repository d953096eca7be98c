"""Numbers as people read them; every rendering uses these."""

import math
from collections.abc import Callable

from uae_cli.results import METRICS

NOTHING = "–"

Show = Callable[[float, float | None], str]


def fixed(value: float, decimals: int, *, sign: bool = False) -> str:
    """`value` with so many decimals and a real minus sign; exponential if it would round to zero."""
    text = f"{value:{'+' if sign else 'z'}.{decimals}f}"
    if sign and math.isfinite(value) and not text.strip("+-0."):
        text = text[1:]  # neither −0.0 nor +0.0
    if math.isfinite(value) and 0 < abs(value) < 0.5 * 10.0**-decimals and not sign:
        return f"{value:.1e}"
    return text.replace("-", "−")


def with_spread(value: float, std: float | None, decimals: int, *, sign: bool = False) -> str:
    """`value ± std`, or the value alone; a small std keeps a digit or, of an error, two (0.000026)."""
    text = fixed(value, decimals, sign=sign)
    if std is None:
        return text
    if 0 < std < 10.0 ** (1 - decimals) and decimals > 2:
        decimals = 1 - math.floor(math.log10(std))
    elif 0 < std < 0.5 * 10.0**-decimals:
        decimals = -math.floor(math.log10(std))
    return f"{text} ± {fixed(std, decimals)}"


def error(value: float, std: float | None = None) -> str:
    """Write a reconstruction error: five decimals, as the paper prints it."""
    return with_spread(value, std, 5)


def rate(value: float, std: float | None = None) -> str:
    """Write a success rate in percent, without its sign `%`: one decimal with a spread, two without."""
    return with_spread(value, std, 2 if std is None else 1)


def gain(value: float, std: float | None = None) -> str:
    """Write a gain in percent, with its sign, without `%`; no decimals from 100 on."""
    return with_spread(value, std, 0 if abs(value) >= 100 else 1, sign=True)


def interval(bounds: tuple[float, float], mean: float | None = None) -> str:
    """Write an interval of gains, without unit, after the mean if it is given; a narrow one keeps a digit."""
    width = bounds[1] - bounds[0]
    decimals = -math.floor(math.log10(width)) if 0 < width < 0.1 else 1
    low, high = (fixed(bound, decimals, sign=True) for bound in bounds)
    return ("" if mean is None else f"{fixed(mean, decimals, sign=True)} ") + f"[{low}, {high}]"


def significant(value: float, std: float | None = None) -> str:
    """Three significant digits: norms, seconds."""
    text = f"{value:.3g}" if std is None else f"{value:.3g} ± {std:.1g}"
    return "−" + text[1:] if text.startswith("-") else text


def as_printed(value: float, std: float | None = None) -> str:
    """A number of the paper with the digits it has there."""
    return f"{value:g}" if std is None else f"{value:g} ± {std:g}"


def shown_as(metric: str) -> Show:
    """How our values of a metric are written."""
    kind = METRICS[metric]
    if kind.gains == "error":
        return error
    return rate if kind.unit == "%" else significant


def papers_shown_as(metric: str) -> Show:
    """How the paper's values of a metric are written in its tables."""
    return error if METRICS[metric].gains == "error" else as_printed
