"""Mistakes a user can mend, told in one line: the setting, its value, the way out."""

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from uae_cli.text import printable


class UaeError(Exception):
    """Base of every error that is shown without a traceback; the command line exits with status 2.

    Args:
        message: one line; what can't be printed of the values in it is written as in Python.
    """

    def __init__(self, message: object) -> None:
        super().__init__(printable(message))


class ConfigError(UaeError):
    """A setting is unknown, of the wrong type, out of range, or at odds with another one."""


class SettingError(ConfigError):
    """One setting's value is refused.

    Args:
        setting: its full name, as on the command line.
        value: as the user would write it.
        reason: why it is refused.
    """

    def __init__(self, setting: str, value: str, reason: str) -> None:
        super().__init__(f"{setting} = {value}: {reason}")
        self.setting = setting


class UnknownSettingError(ConfigError):
    """A configuration holds a setting that its class doesn't know.

    Args:
        setting: its full name, as on the command line.
    """

    def __init__(self, setting: str) -> None:
        super().__init__(f"{setting}: no such setting")
        self.setting = setting


class DataError(UaeError):
    """A dataset is missing, corrupt, or holds values that no experiment can use."""


_NO_SPACE = "free some there, or use another folder or disk"
# What a system refuses, in words, and the way out
_REFUSALS = {
    errno.ENOSPC: ("no space is left", _NO_SPACE),
    errno.EDQUOT: ("the quota is used up", _NO_SPACE),
    errno.EFBIG: ("larger than a file may be here", "ulimit -f sets more"),
    errno.EROFS: ("the file system is read-only", "use another folder"),
    errno.EACCES: ("no permission", "use a folder of yours"),
    errno.EPERM: ("no permission", "use a folder of yours"),
    errno.EMFILE: ("too many open files", "ulimit -n sets more"),
    errno.ENFILE: ("too many open files on this machine", "close some"),
    errno.EIO: ("the disk gives errors", "use another one"),
    errno.ENAMETOOLONG: ("the name is too long", "use a shorter one"),
    errno.ENOTDIR: ("a file stands where a folder is needed", "use another folder"),
}
# Of libraries that have errors of their own: they tell the system's number, or only that they couldn't write
_NUMBER = re.compile(r"\(os error (\d+)\)|[a-z] \((\d+)\)$")
_UNWRITTEN = re.compile(r"PytorchStreamWriter failed|file write failed|unexpected pos \d+ vs \d+")


def refusal(error: BaseException, place: Path | str = "") -> ConfigError | None:
    """What a system refused (room, permission, open files), as one line; None for other errors.

    Args:
        error: as Python or a library raised it.
        place: what was written, where the error doesn't know its file.
    """
    text = str(error)
    number = error.errno if isinstance(error, OSError) else None
    if found := _NUMBER.search(text):
        number = int(found[1] or found[2])
    elif isinstance(error, RuntimeError) and _UNWRITTEN.search(text):
        number = errno.ENOSPC
    if number not in _REFUSALS:
        return None
    reason, way = _REFUSALS[number]
    file = str(getattr(error, "filename", None) or place or "a file")
    return ConfigError(f"{file}: {reason}{_free_at(file) if number == errno.ENOSPC else ''}; {way}")


def _free_at(file: str) -> str:
    folders = [folder for folder in Path(file).absolute().parents if folder.is_dir()]
    return f" ({shutil.disk_usage(folders[0]).free // 1024:,} kB)" if folders else ""


@contextmanager
def told_if_refused(place: Path | str) -> Iterator[None]:
    """Say in one line what the system refused while `place` was written.

    Raises:
        ConfigError: it refused something.
    """
    try:
        yield
    except UaeError:
        raise
    except Exception as error:
        if line := refusal(error, place):
            raise line from error
        raise


@contextmanager
def told_if_unwritable(what: str, way: str = "") -> Iterator[None]:
    """Say in one line what could not be written, and the `way` out.

    Raises:
        ConfigError: the system refused.
    """
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{what}: cannot be written ({error.strerror}){way and '; '}{way}") from error


def check_writable(setting: str, folder: Path, way: str = "") -> None:
    """Make the folder, and see whether files can be made in it, before work is wasted.

    Raises:
        ConfigError: they can't.
    """
    with told_if_unwritable(f"{setting} = {folder}", way):
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
