"""Settings that not every protocol reads: one of the command line that none would read is refused."""

from collections.abc import Sequence
from typing import Any

from uae_cli.errors import ConfigError

_PROTOCOLS = {
    "uae_cli.protocols.Augment": "augmentation",
    "uae_cli.protocols.AttackProtocol": "attack",
    "uae_cli.protocols.RobustnessProtocol": "robustness",
}
_READERS = {
    "arm": ("augmentation",),
    "augmentation": ("augmentation",),
    "evaluation": ("augmentation", "attack"),
    "method": ("attack", "robustness"),
    "data.attack_size": ("attack", "robustness"),
    "victim": ("robustness",),
    "source": ("robustness",),
}


def check_heeded(overrides: Sequence[str], configs: Sequence[dict[str, Any]]) -> None:
    """See whether every override is read by one of the jobs at least.

    Args:
        overrides: as on the command line.
        configs: of the jobs.

    Raises:
        ConfigError: one isn't; or it changes a scale, whose name stands beside results.
    """
    for override in overrides:
        if override.lstrip("+~").startswith("scale."):
            raise ConfigError(
                f"{override}: a scale is chosen whole, scale=smoke, subset or full; set data.train_size, "
                "data.test_size or what else differs"
            )
        if configs and not any(heeds(config, override) for config in configs):
            part = _part(override)
            raise ConfigError(
                f"{override}: protocol = {_protocol(configs[0])} doesn't read {part}; leave it out, or "
                f"use protocol={' or protocol='.join(_READERS[part])}"
            )


def heeds(config: dict[str, Any], override: str) -> bool:
    """Whether a job reads this override; a protocol of the user's own is trusted to."""
    part, protocol = _part(override), _protocol(config)
    if part == "evaluation" and any("watch_every" in settings for settings in config[part].values()):
        return True  # it watches every training, of victims too
    return not part or protocol is None or protocol in _READERS[part]


def attacks_some(config: dict[str, Any]) -> bool:
    """Whether the job is known to attack `data.attack_size` samples, not all."""
    return _protocol(config) in _READERS["data.attack_size"]


def _part(override: str) -> str:
    """The key of `_READERS` that it is of; empty if every protocol reads it."""
    setting = override.lstrip("+~").partition("=")[0].partition("@")[0]
    return next((part for part in _READERS if setting == part or setting.startswith(f"{part}.")), "")


def _protocol(config: dict[str, Any]) -> str | None:
    protocol = config.get("protocol")
    target = protocol.get("_target_") if isinstance(protocol, dict) else None
    return _PROTOCOLS.get(str(target))
