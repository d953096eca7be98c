"""What of a config determines a result: everything but the machine it runs on."""

from typing import Any

from uae_cli.stages import digest

NOT_SETTINGS = ("name", "seed", "device", "threads", "chunk_size", "memory_budget", "outputs")
_PLACES = ("root", "download")


def settings_of(config: dict[str, Any]) -> dict[str, Any]:
    """The part of a resolved config that determines a result, apart from the seed."""
    kept = {name: value for name, value in config.items() if name not in NOT_SETTINGS}
    kept["data"] = {name: value for name, value in config["data"].items() if name not in _PLACES}
    return kept


def job_identity(config: dict[str, Any]) -> str:
    """Equal for jobs that would give the same result, as far as the config tells."""
    return digest({**settings_of(config), "seed": config["seed"]})
