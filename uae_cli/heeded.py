"""Settings of the command line that the chosen protocol never reads are refused, not passed over."""

from typing import Any

from hydra.errors import HydraException
from hydra.utils import get_class

from uae_cli.errors import ConfigError

# Which protocols read what some don't
_READERS = {
    "arm": ("augmentation",),
    "augmentation": ("augmentation",),
    "method": ("attack", "robustness"),
    "data.attack_size": ("attack", "robustness"),
    "victim": ("robustness",),
    "source": ("robustness",),
}


def check_heeded(overrides: list[str], config: dict[str, Any]) -> None:
    """See whether the protocol reads every override; a protocol of the user's own is trusted to.

    Args:
        overrides: as on the command line.
        config: composed of them.

    Raises:
        ConfigError: it doesn't.
    """
    if (name := _name(config)) is None:
        return
    for override in overrides:
        setting = override.lstrip("+~").partition("=")[0].partition("@")[0]
        for part, readers in _READERS.items():
            if name not in readers and (setting == part or setting.startswith(f"{part}.")):
                raise ConfigError(
                    f"{override}: protocol = {name} doesn't read {part}; leave it out, or "
                    f"use protocol={' or protocol='.join(readers)}"
                )


def _name(config: dict[str, Any]) -> str | None:
    try:
        protocol = get_class(config["protocol"]["_target_"])
    except (HydraException, KeyError, TypeError, ValueError, ImportError):
        return None  # the check of the settings says so in better words
    name: str | None = getattr(protocol, "name", None)
    return name
