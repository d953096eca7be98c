"""Bars for people, lines now and then for files."""

import io
import logging
import time

import pytest
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


@pytest.fixture
def now(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time in seconds, to be set."""
    caplog.set_level(logging.INFO)
    seconds = [0.0]
    monkeypatch.setattr("uae_cli.progress.time.monotonic", lambda: seconds[0])
    return seconds


def logged(now: list[float], steps: int, *, first: int = 0, retries: int = 0) -> None:
    """A second per step, but for the first ones, which take none; again, for twice the steps, if need be."""
    with Bars(Console(file=io.StringIO())).bar("fit original", steps) as bar:
        bar(first)
        for trial in range(retries + 1):
            if trial:
                bar.begin(steps * 2**trial)
            for _ in range(first, steps * 2**trial):
                now[0] += 1
                bar(1)


def test_a_file_is_told_now_and_then(now: list[float], caplog: pytest.LogCaptureFixture) -> None:
    logged(now, 100)
    told = [line.split(",")[0] for line in caplog.messages]
    assert told == [f"fit original: {n} % after {n} s" for n in (10, 20, 40, 80)]
    assert caplog.messages[1].endswith("about 80 s left")


def test_what_was_found_says_nothing_of_the_speed(now: list[float], caplog: pytest.LogCaptureFixture) -> None:
    logged(now, 100, first=70)
    assert caplog.messages == [
        "fit original: 80 % after 10 s, about 20 s left",
        "fit original: 90 % after 20 s, about 10 s left",
    ]


def test_another_try_begins_anew(now: list[float], caplog: pytest.LogCaptureFixture) -> None:
    logged(now, 15, retries=1)
    assert caplog.messages == [
        "fit original: 67 % after 10 s, about 5 s left",
        "fit original: 33 % after 10 s, about 20 s left",
        "fit original: 67 % after 20 s, about 10 s left",
    ]


def test_steps_taken_back_give_no_estimate(now: list[float], caplog: pytest.LogCaptureFixture) -> None:
    with Bars(Console(file=io.StringIO())).bar("attack", 100) as bar:
        bar(50)
        now[0] = 10.0
        bar(-20)
    assert caplog.messages == ["attack: 30 % after 10 s"]


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
