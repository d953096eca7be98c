"""Victims, their fair comparison, and success against ε."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from uae_cli.errors import ConfigError
from uae_cli.evaluation.representation import represent
from uae_cli.experiment.check import check_fit
from uae_cli.experiment.compose import compose_jobs, register_resolvers
from uae_cli.experiment.schema import Experiment, from_config
from uae_cli.models import ProbedEncoder
from uae_cli.progress import Bars
from uae_cli.protocols.classifiers import Probed
from uae_cli.protocols.robustness import RobustnessProtocol
from uae_cli.stages import Stages, TensorBoard

SMALL = (
    "experiment=digits_robustness",
    "scale=smoke",
    "data.train_size=200",
    "data.test_size=60",
    "data.attack_size=6",
    "model.trainer.refit_epochs=8",
    "model.trainer.objective.optimizer.lr=0.05",
    "threads=1",
)
PGD = ("method=[pgd]", "method.pgd.solver.iterations=5")


def config(tmp_path: Path, *overrides: str) -> dict[str, Any]:
    register_resolvers()
    settings = [*SMALL, f"outputs={tmp_path / 'outputs'}", *overrides]
    return compose_jobs(settings, multirun=False, extra_dir=None)[0].config


@pytest.fixture
def stages(tmp_path: Path) -> Callable[..., Stages]:
    def make(*overrides: str) -> Stages:
        experiment = from_config(config(tmp_path, *overrides))
        data = experiment.dataset.load(experiment.data.root, download=False)
        data = data.first(experiment.data.train_size, experiment.data.test_size)
        return Stages(experiment, data, torch.device("cpu"), Bars())

    return make


def protocol_of(experiment: Experiment) -> RobustnessProtocol:
    assert isinstance(experiment.protocol, RobustnessProtocol)
    return experiment.protocol


def test_every_victim_is_attacked_at_every_epsilon(
    stages: Callable[..., Stages], tensorboard: TensorBoard, tmp_path: Path
) -> None:
    made = stages("victim=[std,std_uae]", *PGD)
    made.on_epoch = tensorboard.epoch
    result = protocol_of(made.experiment).run(made)
    lines = {line.arm: line.draws[0] for line in result.lines}
    assert list(lines) == [
        "std", "std/pgd@0.1", "std/pgd@0.3", "std_uae", "std_uae/pgd@0.1", "std_uae/pgd@0.3"
    ]  # fmt: skip
    for victim in ("std", "std_uae"):
        assert lines[victim]["test_accuracy"] > 50
        assert lines[f"{victim}/pgd@0.1"]["asr"] <= lines[f"{victim}/pgd@0.3"]["asr"]
        assert lines[f"{victim}/pgd@0.3"]["asr"] > 0
        assert lines[f"{victim}/pgd@0.1"]["perturbation_l2"] < lines[f"{victim}/pgd@0.3"]["perturbation_l2"]
    result.draw(tmp_path / "figures", "title", tensorboard)
    drawn = {path.name for path in (tmp_path / "figures").iterdir()}
    assert drawn == {"training_loss.png", "success.png", "std_grid.png", "std_uae_grid.png"}


def test_victims_with_and_without_uaes_take_the_same_steps(stages: Callable[..., Stages]) -> None:
    made = stages("victim=[std,std_uae]", *PGD)
    protocol_of(made.experiment).run(made)
    fits = {name: stage.read_json("inputs.json") for name, stage in made.store.stages.items()}
    plain, augmented = fits["fit std"], fits["fit std_uae"]
    assert plain["samples"] != augmented["samples"]
    assert {k: v for k, v in plain.items() if k != "samples"} == {
        k: v for k, v in augmented.items() if k != "samples"
    }
    assert "ConvAutoencoder" in fits["fit source conv_ae"]["network"]


def test_fewer_iterations_can_do_against_one_victim(stages: Callable[..., Stages]) -> None:
    experiment = stages(
        "victim=[std,std_uae]", *PGD, "+protocol.most_iterations={std: {pgd: 9}, std_uae: {pgd: 3}}"
    ).experiment
    attacks = experiment.protocol.attacks(experiment)
    assert {name: attack.solver.total_iterations for name, attack in attacks.items()} == {
        "std/pgd": 5,
        "std_uae/pgd": 3,
    }


def test_the_objective_is_the_victims_own(stages: Callable[..., Stages]) -> None:
    made = stages("victim=[madry_digits]", *PGD, "model.trainer.refit_epochs=1")
    with pytest.raises(ConfigError, match=r"data\.attack_size = 6: of 60 test samples"):
        protocol_of(made.experiment).run(made)
    assert "MadryObjective" in made.store.stages["fit madry"].read_json("inputs.json")["trainer"]


def test_a_probed_encoder_is_one_classifier(stages: Callable[..., Stages]) -> None:
    made = stages(
        "experiment=figure10b_cifar10",
        "dataset=digits",
        "model=simclr_small",
        "victim=[probed]",
        "model.trainer.refit_epochs=2",
        "data.attack_size=2",
    )
    protocol = protocol_of(made.experiment)
    lines = protocol.run(made).lines
    assert [line.arm for line in lines] == ["probed", "probed/pgd@0.1", "probed/pgd@0.3"]
    victim = protocol.victims["probed"]
    assert isinstance(victim, Probed)
    model = victim.fit("probed", made, None).model
    assert isinstance(model, ProbedEncoder)
    expected = victim.probe.accuracy(represent(model.encoder, made.data, batch_size=64), seed=made.seed)
    assert lines[0].draws[0]["test_accuracy"] == pytest.approx(expected)


def test_victims_and_the_source_of_uaes_may_have_weights_of_the_users_own(
    stages: Callable[..., Stages], tmp_path: Path
) -> None:
    settings = ["experiment=figure10b_cifar10", "dataset=digits", "model=simclr_small", "victim=[probed]"]
    plain = stages(*settings)
    encoder = plain.experiment.model.build(plain.data.shape, 5, classes=10)
    torch.save(encoder.state_dict(), tmp_path / "encoder.pt")
    made = stages(*settings, f"protocol.victims.probed.weights={tmp_path / 'encoder.pt'}")
    victim = protocol_of(made.experiment).victims["probed"].fit("probed", made, None).model
    assert isinstance(victim, ProbedEncoder)
    given = encoder.encoder.state_dict()
    assert all(torch.equal(value, given[name]) for name, value in victim.encoder.state_dict().items())

    source = stages(f"++protocol.source.model.weights={tmp_path / 'ae.pt'}")
    settings_of_it = protocol_of(source.experiment).source
    assert settings_of_it is not None
    model = settings_of_it.settings(source.experiment)
    torch.save(model.build(source.data.shape, 7, classes=10).state_dict(), tmp_path / "ae.pt")
    fitted = source.original("source", source.data.x_train, settings=model)
    assert torch.equal(
        fitted.model.state_dict()["encoder.0.weight"], torch.load(tmp_path / "ae.pt")["encoder.0.weight"]
    )
    assert not fitted.history.losses


def checked(settings: dict[str, Any]) -> None:
    experiment = from_config(settings)
    data = experiment.dataset.load(experiment.data.root, download=False).first(200, 60)
    check_fit(experiment, data, torch.device("cpu"))


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["method=[]"], "method = []: protocol=robustness has nothing to do"),
        (["criterion=reconstruction"], "use criterion=misclassification"),
        (["model=conv_ae"], "is no classifier"),
        (["victim=[std_uae]", "protocol.source=null"], "there are no UAEs to train on"),
        (["victim=[probed]"], "victim.probed: model = classifier is not contrastive; use model=simclr"),
        (["criterion.target=11"], "criterion.target"),
        (["protocol.epsilons=[]"], "protocol.epsilons"),
        (
            ["+protocol.most_iterations.std.penalty=3"],
            "protocol.most_iterations.std.penalty: no such victim and method",
        ),
        (
            ["+protocol.most_iterations.nobody.pgd=3"],
            "protocol.most_iterations.nobody.pgd: no such victim and method",
        ),
        (["+protocol.most_iterations.std.pgd=0"], "protocol.most_iterations.std.pgd = 0"),
        (["protocol.epsilons=[0]"], "protocol.epsilons"),
        (["data.attack_size=61"], "there are only 60 test samples"),
        (["protocol.victims.std.weights=lost.pt"], "protocol.victims.std.weights = lost.pt: no such file"),
        (["++protocol.source.model.weights=lost.pt"], "protocol.source.model.weights = lost.pt: no such"),
    ],
)
def test_bad_input_is_told_before_any_work(overrides: list[str], line: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape(line)):
        checked(config(tmp_path, *overrides))
