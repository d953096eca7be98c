"""One process at a time; a dead one's claim is taken over, and a live one's never, wherever either runs."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from uae_cli.claim import Claim, Holder

Dead = Callable[[Path], None]
Forge = Callable[..., Path]
STALE = 1.0
NAMESPACES = ["unshare", "--pid", "--uts", "--fork", "--mount-proc", "--kill-child"]
HOLD = """
import sys, time
from pathlib import Path
from uae_cli.claim import Claim
assert Claim(Path(sys.argv[1]), stale=float(sys.argv[2])).take()
print("taken", flush=True)
time.sleep(600)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "fit.claim"


@pytest.fixture
def forge(path: Path) -> Forge:
    """Leave a claim that differs from one of this process's in some fields."""

    def write(**changes: Any) -> Path:
        path.write_text(json.dumps(vars(Holder.here()) | changes))
        return path

    return write


def until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not done():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_one_has_it_until_it_lets_go(path: Path) -> None:
    first, second = Claim(path), Claim(path)
    assert first.take()
    assert (first.ours, second.ours) == (True, False)
    assert not second.take()
    assert not Claim(path).abandoned
    assert str(second.holder).startswith(f"process {os.getpid()} on {socket.gethostname()}, since 2")
    second.release()
    assert first.ours, "nobody releases another's"
    first.release()
    assert list(path.parent.iterdir()) == []
    assert second.take()
    second.release()


def test_of_many_at_once_one_has_it(path: Path, dead: Dead) -> None:
    """Where a dead one's is to be taken over first, too."""
    inside, most, rounds = [0], [0], []

    def work(_: int) -> None:
        for _ in range(5):
            claim = Claim(path)
            while not claim.take():
                time.sleep(0.001)
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            rounds.append(1)
            time.sleep(0.002)
            inside[0] -= 1
            claim.release()

    dead(path)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert (most[0], len(rounds)) == (1, 40)
    assert list(path.parent.iterdir()) == []


def test_a_killed_process_is_taken_over_from_at_once(path: Path, dead: Dead) -> None:
    dead(path)
    claim = Claim(path)
    assert claim.abandoned
    assert claim.take()
    claim.release()


def test_a_process_that_only_waits_to_be_counted_out_is_dead(path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, path, "60"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert not Claim(path).take()
        process.kill()
        until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE)
        claim = Claim(path)
        assert claim.take()
        claim.release()


def test_a_number_that_another_process_has_now_is_dead(forge: Forge) -> None:
    claim = Claim(forge(start=1.0))
    assert claim.take()
    claim.release()


def place(**changes: str) -> list[str]:
    host, boot, space = Holder.here().place
    return list(({"host": host, "boot": boot, "space": space} | changes).values())


@pytest.mark.parametrize(
    "elsewhere",
    [{"host": "node7"}, {"boot": "another one, or a namesake's"}, {"space": "pid:[4026532999]"}],
    ids=["another host", "a host of the same name", "a container on this host"],
)
def test_a_process_elsewhere_is_dead_only_when_silent(elsewhere: dict[str, str], forge: Forge) -> None:
    """Though no process here has its number, or an older one."""
    path = forge(place=place(**elsewhere), pid=2**22 + 1, start=1.0)
    claim = Claim(path, stale=STALE)
    assert not claim.take()
    time.sleep(1.1 * STALE)
    os.utime(path)
    assert not claim.take(), "it was touched"
    assert not claim.abandoned
    until(claim.take)
    assert claim.ours
    claim.release()


def test_one_that_nobody_touched_for_a_day_is_abandoned(forge: Forge) -> None:
    path = forge(place=place(host="node7"))
    long_ago = time.time() - 100_000
    os.utime(path, (long_ago, long_ago))
    assert Claim(path).abandoned


def test_its_holder_touches_it(path: Path) -> None:
    claim = Claim(path, stale=STALE)
    assert claim.take()
    os.utime(path, (1.0, 1.0))
    until(lambda: path.stat().st_mtime > 1)
    claim.release()


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: path.write_text(""),
        lambda path: path.write_text('{"place": 3}'),
        lambda path: path.write_bytes(b"\xff\x00"),
        lambda path: (path.mkdir(), (path / "stray").touch()),
    ],
    ids=["empty", "other fields", "no text", "a folder"],
)
def test_what_says_nothing_is_waited_for_but_not_for_ever(path: Path, harm: Callable[[Path], Any]) -> None:
    harm(path)
    claim = Claim(path, stale=STALE)
    assert not claim.take()
    assert claim.holder is None
    until(claim.take)
    claim.release()
    assert list(path.parent.iterdir()) == []


def test_who_was_taken_over_from_knows_and_leaves_the_other_alone(path: Path) -> None:
    first, second = Claim(path, stale=STALE), Claim(path, stale=STALE)
    assert first.take()
    path.unlink()
    assert second.take()
    assert not first.ours
    time.sleep(0.5)  # it would touch it now
    first.release()
    assert second.ours
    second.release()
    assert not [thread for thread in threading.enumerate() if "_beat" in thread.name]


@contextmanager
def in_namespaces(*command: object) -> Iterator["subprocess.Popen[str]"]:
    """A program that sees no process of ours, and has other numbers for its own, as in a container."""
    arguments = [*NAMESPACES, sys.executable, *map(str, command)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGKILL)


@pytest.fixture
def _namespaces() -> None:
    done = shutil.which("unshare") and subprocess.run([*NAMESPACES, "true"], capture_output=True)
    if not done or done.returncode:
        pytest.skip("no namespaces here: unshare needs Linux and root")


@pytest.mark.usefixtures("_namespaces")
def test_a_process_in_a_container_is_dead_only_when_silent(path: Path) -> None:
    with in_namespaces("-c", HOLD, path, STALE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "taken\n"
        holder = Claim(path).holder
        assert holder is not None
        assert holder.pid == 1, "which another process is here"
        assert not holder.in_sight
        claim, end = Claim(path, stale=STALE), time.monotonic() + 2.5 * STALE
        while time.monotonic() < end:
            assert not claim.take(), "it touches its claim"
            time.sleep(0.05)
    until(claim.take)
    claim.release()


@pytest.mark.usefixtures("_namespaces")
def test_a_container_takes_ours_for_dead_only_when_silent(path: Path) -> None:
    code = HOLD.replace("assert Claim(Path(sys.argv[1]), stale=float(sys.argv[2])).take()", """
claim = Claim(Path(sys.argv[1]), stale=float(sys.argv[2]))
print("waiting" if not claim.take() else "wrong", flush=True)
while not claim.take():
    time.sleep(0.05)
""")  # fmt: skip
    ours = Claim(path, stale=STALE)
    assert ours.take()
    with in_namespaces("-c", code, path, STALE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        time.sleep(2.5 * STALE)
        assert ours.ours
        ours.release()
        assert process.stdout.readline() == "taken\n"
