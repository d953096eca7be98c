"""Mistakes a user can mend, told in one line: the setting, its value, the way out."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class UaeError(Exception):
    """Base of every error that is shown without a traceback; the command line exits with status 2."""


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
