"""Mistakes a user can mend, told in one line: the setting, its value, the way out."""


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
