"""Mistakes a user can mend, told in one line: the setting, its value, the way out."""


class UaeError(Exception):
    """Base of every error that is shown without a traceback; the command line exits with status 2."""


class ConfigError(UaeError):
    """A setting is unknown, of the wrong type, out of range, or at odds with another one."""


class DataError(UaeError):
    """A dataset is missing, corrupt, or holds values that no experiment can use."""
