"""Bars for people, lines now and then for files."""

import io
import logging
import time

import pytest
from rich import progress
from rich.console import Console

from uae_cli.progress import Bars, said_if_slow


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


def test_a_file_is_told_nothing_of_what_is_over_soon(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert drawn(terminal=False) == ""
    assert not caplog.messages


def test_a_file_is_told_now_and_then(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    now = [0.0]
    make = progress.Progress.__init__
    monkeypatch.setattr(
        progress.Progress,
        "__init__",
        lambda self, *columns, **settings: make(self, *columns, get_time=lambda: now[0], **settings),
    )
    with Bars(Console(file=io.StringIO())).bar("fit original", 100) as advance:
        for second in range(1, 101):
            now[0] = float(second)
            advance(1)
    told = [line.split(",")[0] for line in caplog.messages]
    assert told == [f"fit original: {n} % after {n} s" for n in (10, 20, 40, 80)]
    assert caplog.messages[1].endswith("about 80 s left")


def test_what_takes_long_is_said_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("uae_cli.progress._SLOW", 0.05)
    with said_if_slow("compiling"):
        time.sleep(0.2)
    with said_if_slow("at once"):
        pass
    time.sleep(0.1)
    assert caplog.messages == ["compiling"]
