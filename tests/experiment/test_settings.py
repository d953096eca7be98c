"""What is refused before torch is loaded: overrides that nothing reads."""

import pytest
import yaml

from uae_cli import protocols
from uae_cli.errors import ConfigError
from uae_cli.experiment.compose import compose_jobs, conf_dir, register_resolvers
from uae_cli.experiment.settings import PROTOCOLS, check_reads


def check(*overrides: str) -> None:
    register_resolvers()
    jobs = compose_jobs(list(overrides), multirun=True, extra_dir=None)
    check_reads(overrides, [job.config for job in jobs])


@pytest.mark.parametrize(
    ("override", "other"),
    [
        ("data.attack_size=5", "protocol=attack or protocol=robustness"),
        ("method=[pgd]", "protocol=attack"),
        ("victim=std", "protocol=robustness"),
        ("+source@protocol.source=conv_ae", "protocol=robustness"),
        ("arm=[replicate]", "protocol=augmentation"),
        ("augmentation.draws=2", "protocol=augmentation"),
        ("evaluation=[reconstruction]", "protocol=augmentation or protocol=attack"),
    ],
)
def test_what_the_protocol_does_not_read_is_refused(override: str, other: str) -> None:
    protocol = next(name for name in ("augmentation", "attack", "robustness") if name not in other)
    with pytest.raises(ConfigError, match=f"protocol = {protocol} doesn't read") as caught:
        check(override, f"protocol={protocol}")
    assert other in str(caught.value)


@pytest.mark.parametrize(
    "overrides",
    [
        ["arm=[replicate]", "augmentation.draws=2"],
        ["protocol=attack", "data.attack_size=5", "method=[minmax]"],
        ["experiment=digits_robustness", "victim=[std]", "data.attack_size=5"],
        ["experiment=digits_conv_ae,digits_robustness", "data.attack_size=5", "arm=[replicate]"],
    ],
)
def test_what_one_job_reads_is_not(overrides: list[str]) -> None:
    check(*overrides)


def test_evaluations_that_watch_training_are_read_by_robustness() -> None:
    check("experiment=figure10b_cifar10", "evaluation=[contrastive]")


@pytest.mark.parametrize("scale", ["smoke", "full"])
def test_what_is_set_of_an_evaluation_that_is_not_chosen_goes_with_it(scale: str) -> None:
    register_resolvers()
    chosen = ["experiment=digits_simclr", "evaluation=[]", f"scale={scale}"]
    [job] = compose_jobs(chosen, multirun=False, extra_dir=None)
    assert job.config["evaluation"] == {}
    with pytest.raises(
        ConfigError, match=r"^evaluation\.contrastive\.watch_every=2: .* use evaluation=\[contr"
    ):
        check(*chosen, "evaluation.contrastive.watch_every=2")


def test_an_evaluation_without_a_class_is_left_for_the_check_to_refuse() -> None:
    register_resolvers()
    [job] = compose_jobs(["+evaluation.mine.k=3"], multirun=False, extra_dir=None)
    assert job.config["evaluation"]["mine"] == {"k": 3}


def test_evaluations_may_be_left_out_of_every_protocol() -> None:
    check("~evaluation.reconstruction")
    with pytest.raises(ConfigError, match="protocol = robustness doesn't read evaluation"):
        check("experiment=digits_robustness", "evaluation=[]")


def test_a_scale_is_chosen_whole() -> None:
    with pytest.raises(ConfigError, match=r"^scale.train_size=5: .* set data.train_size"):
        check("scale.train_size=5")


def test_protocols_of_ones_own_are_trusted() -> None:
    check("protocol._target_=collections.OrderedDict", "data.attack_size=5", "plugins=[collections]")


def test_the_protocols_told_apart_are_those_there_are() -> None:
    folder = conf_dir() / "protocol"
    targets = {yaml.safe_load(file.read_text())["_target_"]: file.stem for file in folder.glob("*.yaml")}
    assert targets == PROTOCOLS


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
def test_what_a_protocol_says_it_reads_is_what_is_not_refused(name: str) -> None:
    config = {"protocol": {"_target_": f"uae_cli.protocols.{name}"}, "evaluation": {}}
    refused = set[str]()
    for section, override in OVERRIDES.items():
        try:
            check_reads([override], [config])
        except ConfigError:
            refused.add(section)
    assert getattr(protocols, name).reads == set(OVERRIDES) - refused
