"""What a protocol says it reads, and what the command line refuses for it, are the same."""

import pytest

from uae_cli import protocols
from uae_cli.errors import ConfigError
from uae_cli.experiment.settings import check_reads

OVERRIDES = {
    "arm": "arm=[replicate]",
    "augmentation": "augmentation.draws=2",
    "data.attack_size": "data.attack_size=5",
    "evaluation": "evaluation=[reconstruction]",
    "method": "method=[pgd]",
    "source": "source=conv_ae",
    "victim": "victim=[std]",
}


@pytest.mark.parametrize("name", ["Augment", "AttackProtocol", "RobustnessProtocol"])
def test_overrides_of_what_it_does_not_read_are_refused(name):
    config = {"protocol": {"_target_": f"uae_cli.protocols.{name}"}, "evaluation": {}}
    refused = set()
    for section, override in OVERRIDES.items():
        try:
            check_reads([override], [config])
        except ConfigError:
            refused.add(section)
    assert getattr(protocols, name).reads == set(OVERRIDES) - refused
