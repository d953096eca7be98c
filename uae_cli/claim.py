"""Who makes what in a folder that several processes share, on one machine or on several.

A claim is a small file that appears at once or not at all (a link, which holds on network drives too) and
says who has it: host, process, since when. Its holder touches it every now and then. One whose holder is dead
is taken over: at once where the process would be seen here, and elsewhere (on another machine, or in a
container, whose numbers of processes mean nothing here) when it hasn't been touched for `STALE` seconds of
our own clock.

A claim saves doing work twice. It is no proof that nobody else is at it, for a process may be stopped for
longer than `STALE`, and go on: what is made under a claim must have a name of its own until it is whole.
"""

import json
import logging
import os
import secrets
import shutil
import socket
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import NamedTuple

import psutil

log = logging.getLogger(__name__)

STALE = 120.0  # seconds; what network drives remember of a file is up to 60 old
_LONG_AGO = 86400.0  # seconds by clocks that may differ


@dataclass(frozen=True)
class Holder:
    """A process that has a claim.

    Attributes:
        place: host, boot and space of process numbers: where they are equal, the process can be seen.
        pid: its number there.
        start: when it started, in the system's own units; None where that isn't known.
        since: when it took the claim, ISO 8601.
    """

    place: tuple[str, ...]
    pid: int
    start: float | None
    since: str

    @classmethod
    def here(cls) -> "Holder":
        """This process, now."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(_place(), os.getpid(), _start(os.getpid()), now)

    def __str__(self) -> str:
        since = datetime.fromisoformat(self.since).astimezone()
        return f"process {self.pid} on {self.place[0]}, since {since:%Y-%m-%d %H:%M:%S}"

    @property
    def in_sight(self) -> bool:
        """Whether it would be seen here if it ran."""
        return self.place == _place()

    @property
    def runs(self) -> bool:
        """Whether it runs, if it is in sight."""
        start = _start(self.pid)
        return (
            psutil.pid_exists(self.pid)
            and start != _ENDED
            and (None in (start, self.start) or start == self.start)
        )


class _Found(NamedTuple):
    """A claim file: who has it, where that can be read, and what changes with every touch of it."""

    holder: Holder | None
    text: str
    inode: int
    touched: float


class Claim:
    """The right to make something, which one process has at a time.

    Args:
        path: of the claim's file; its folder must be there.
        stale: seconds without a sign of life after which it is taken from a holder out of sight. All that
            claim the same must agree.
    """

    def __init__(self, path: Path, *, stale: float = STALE) -> None:
        self.path, self._stale = path, stale
        self.token = secrets.token_hex(8)
        self._watched: tuple[_Found, float] | None = None
        self._over = threading.Event()
        self._heart: threading.Thread | None = None

    def take(self) -> bool:
        """Try once to have it; whether it worked. A dead holder's is taken over, with a word."""
        found = _read(self.path)
        if found is not None:
            if not self._dead(found):
                return False
            log.info("%s: taken over from %s, which is gone", self.path.name, found.holder or "nobody known")
            self._remove(found)
        if not self._create():
            return False
        self._over = threading.Event()
        self._heart = threading.Thread(target=self._beat, args=(self._over,), daemon=True)
        self._heart.start()
        return True

    @property
    def holder(self) -> Holder | None:
        """Who has it; None if nobody, or nobody knows."""
        found = _read(self.path)
        return found and found.holder

    @property
    def ours(self) -> bool:
        """Whether this object has it (still)."""
        found = _read(self.path)
        return found is not None and self.token in found.text

    @property
    def abandoned(self) -> bool:
        """Whether it is there, and its holder surely gone: dead in our sight, or silent for a day."""
        found = _read(self.path)
        if found is None:
            return False
        if found.holder is not None and found.holder.in_sight:
            return not found.holder.runs
        return time.time() - found.touched > _LONG_AGO

    def release(self) -> None:
        """Let others have it."""
        self._over.set()
        if self._heart is not None:
            self._heart.join()
            self._heart = None
        if self.ours:
            self.path.unlink(missing_ok=True)

    def _dead(self, found: _Found) -> bool:
        if found.holder is not None and found.holder.in_sight:
            return not found.holder.runs
        now = time.monotonic()
        if self._watched is None or self._watched[0] != found:
            self._watched = found, now
        return now - self._watched[1] >= self._stale

    def _create(self) -> bool:
        own = self.path.with_name(f"{self.path.name}.{self.token}")
        try:
            with own.open("w", encoding="utf-8") as file:
                json.dump(asdict(Holder.here()) | {"token": self.token}, file)
                file.flush()
                os.fsync(file.fileno())  # or a power cut could leave a claim that names nobody
            with suppress(OSError):
                os.link(own, self.path)
            if own.stat().st_nlink > 1:  # whatever a network drive answered
                return True
            if self.path.exists():
                return False
            return _copy(own, self.path)  # a file system without links
        finally:
            own.unlink(missing_ok=True)

    def _remove(self, judged: _Found) -> None:
        """Remove what was judged, and nothing else that another process may have put there meanwhile."""
        aside = self.path.with_name(f"{self.path.name}.{secrets.token_hex(8)}")
        try:
            self.path.rename(aside)
        except FileNotFoundError:
            return
        taken = _read(aside)
        if taken is not None and taken.text != judged.text:
            with suppress(OSError):
                os.link(aside, self.path)
        shutil.rmtree(aside) if aside.is_dir() else aside.unlink()

    def _beat(self, over: threading.Event) -> None:
        while not over.wait(self._stale / 6):
            with suppress(OSError):  # a network drive that is away may come back
                if not self.ours:
                    return
                os.utime(self.path)


def clear_abandoned(folder: Path) -> None:
    """Remove the claims in a folder that dead processes have left."""
    for path in folder.glob("*.claim*"):
        if Claim(path).abandoned:
            with suppress(OSError):  # another process may be quicker, or another user's it is
                path.unlink(missing_ok=True)


def _read(path: Path) -> _Found | None:
    """What is there; None if nothing is."""
    text, holder = "", None
    try:
        try:
            with path.open(encoding="utf-8") as file:  # asks a network drive, which a mere look may not
                text, state = file.read(), os.fstat(file.fileno())
            record = json.loads(text)
            holder = Holder(
                tuple(map(str, record["place"])), int(record["pid"]), record["start"], record["since"]
            )
            datetime.fromisoformat(holder.since)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError):  # another user's, or damaged
            state = path.stat()
    except FileNotFoundError:
        return None
    return _Found(holder, text, state.st_ino, state.st_mtime)


def _copy(source: Path, target: Path) -> bool:
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(source.read_text(encoding="utf-8"))
    except FileExistsError:
        return False
    return True


@cache
def _place() -> tuple[str, ...]:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        space = str(Path("/proc/self/ns/pid").readlink())
    except OSError:  # not Linux
        return socket.gethostname(), f"{psutil.boot_time():.0f}", ""
    return socket.gethostname(), boot, space


_ENDED = -1.0


def _start(pid: int) -> float | None:
    """When a process started; None if that can't be read, `_ENDED` where it only waits to be counted out."""
    try:
        fields = (
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        )
        return _ENDED if fields[0] in "ZX" else float(fields[19])
    except OSError:
        try:
            return None if Path("/proc/self/stat").exists() else psutil.Process(pid).create_time()
        except psutil.Error:
            return None
