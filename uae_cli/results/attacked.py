"""How many samples a run attacked, where not all training samples were."""

from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from uae_cli.experiment.command_line import attacks_some

CONFIG_FILE = "config.yaml"


def attacked_in(folder: Path) -> int:
    """The number that the settings of a run folder tell; 0 if all training samples were, or none are told."""
    try:
        config: Any = OmegaConf.to_container(OmegaConf.load(folder / CONFIG_FILE))
        return attacked_of(config)
    except (OSError, UnicodeDecodeError, OmegaConfBaseException, YAMLError, KeyError, TypeError):
        return 0


def attacked_of(config: dict[str, Any]) -> int:
    """`data.attack_size` under a protocol of ours that reads it, else 0."""
    return int(config["data"]["attack_size"]) if attacks_some(config) else 0
