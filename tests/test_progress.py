"""Bars for people, silence for files."""

import io

from rich.console import Console

from uae_cli.progress import Bars


def drawn(*, terminal: bool) -> str:
    file = io.StringIO()
    bars = Bars(Console(file=file, force_terminal=terminal, width=100))
    with bars.bar("attack mine_uae", 40) as advance:
        for _ in range(4):
            advance(10)
    return file.getvalue()


def test_a_terminal_is_shown_what_goes_on() -> None:
    text = drawn(terminal=True)
    assert "attack mine_uae" in text
    assert "40/40" in text
    assert "left" in text


def test_a_file_gets_nothing() -> None:
    assert drawn(terminal=False) == ""
