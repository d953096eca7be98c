"""The attack protocol on digits, from the config to the figures."""

import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from uae_cli.attacks import RESULT
from uae_cli.errors import ConfigError
from uae_cli.evaluation.mutual_information import HeldOutInformation
from uae_cli.experiment.check import check_fit
from uae_cli.experiment.compose import compose_jobs, register_resolvers
from uae_cli.experiment.schema import from_config
from uae_cli.models import HookedModel
from uae_cli.progress import Bars
from uae_cli.protocols import Result
from uae_cli.stages import Stages, TensorBoard

SUPERVISED = [
    "experiment=digits_classifier_attack",
    "model.network.channels=[8,16]",
    "model.network.hidden=[32,32]",
    "model.network.dropout=0.2",
    "data.test_size=60",
    "data.attack_size=12",
    "attack.iterations=24",
    "method.penalty.solver.searches=3",
    "method.pgd.solver.iterations=10",
    "protocol.information.steps=40",
    "protocol.quality.subset_size=6",
]
UNSUPERVISED = [
    "experiment=penalty_budget",
    "dataset=digits",
    "model.trainer.epochs=2",
    "data.train_size=30",
    "data.test_size=10",
    "data.attack_size=8",
    "attack.delta_start=0.05",
    "protocol.information=null",
]
Made = tuple[Stages, Result]


@pytest.fixture
def stages(tmp_path: Path, classifier_state: dict[str, Tensor]) -> Callable[..., Stages]:
    """Overrides as on the command line; the classifier's weights are the session's."""

    def make(*overrides: str) -> Stages:
        register_resolvers()
        settings = [*overrides, f"outputs={tmp_path / 'outputs'}"]
        if overrides[0] == SUPERVISED[0]:
            save_file(classifier_state, tmp_path / "weights.safetensors")
            settings.append(f"model.weights={tmp_path / 'weights.safetensors'}")
        config: dict[str, Any] = compose_jobs(settings, multirun=False, extra_dir=None)[0].config
        experiment = from_config(config)
        data = experiment.dataset.load(experiment.data.root, download=False)
        data = data.first(experiment.data.train_size, experiment.data.test_size)
        check_fit(experiment, data, torch.device("cpu"))
        return Stages(experiment, data, torch.device("cpu"), Bars())

    return make


@pytest.fixture
def run(stages: Callable[..., Stages], tmp_path: Path) -> Callable[..., Made]:
    def make(*overrides: str) -> Made:
        made, tensorboard = stages(*overrides), TensorBoard(tmp_path / "tensorboard")
        made.on_epoch = tensorboard.epoch
        return made, made.experiment.protocol.run(made)

    return make


def samples_of(result: Result):
    return result.lines[-1].samples


def test_every_method_attacks_the_same_correctly_classified_samples(run, trained_classifier):
    made, result = run(*SUPERVISED)
    samples, data = samples_of(result), made.data
    assert len(samples.x) == 12
    assert torch.equal(samples.x, data.x_test[samples.index])
    assert torch.equal(samples.labels, data.y_test[samples.index])
    assert torch.equal(trained_classifier(samples.x).argmax(1), samples.labels)
    lines = {line.arm: line.draws[0] for line in result.lines}
    assert list(lines) == ["original", "penalty", "minmax", "pgd"]
    assert set(lines["original"]) == {"test_accuracy"}
    attacked = {"asr", "perturbation_l2", "seconds_per_sample", "fid_own", "kid_own"}
    attacked |= {"mi_held_out", "mi_ln_k"}
    in_attack = {"in_attack_value", "in_attack_ln_k"}
    assert set(lines["minmax"]) == set(lines["penalty"]) == attacked | in_attack
    assert set(lines["pgd"]) == attacked
    maps = HookedModel(trained_classifier, trained_classifier.feature_layer)(samples.x).features.shape[1]
    assert lines["pgd"]["mi_ln_k"] == lines["minmax"]["in_attack_ln_k"] == math.log(maps)
    assert lines["minmax"]["asr"] == 100


def test_success_is_judged_on_what_was_saved(run, trained_classifier):
    _, result = run(*SUPERVISED, "attack.epsilon=0.06")
    samples = samples_of(result)
    for line in result.lines[1:]:
        wrong = trained_classifier(line.extra.x).argmax(1) != samples.labels
        assert line.draws[0]["asr"] == pytest.approx(100 * float(wrong.double().mean()))


def test_samples_are_known_by_their_place_in_the_dataset(run, monkeypatch):
    """To the attack, to the judge of random targets, and to the estimate of those that succeeded."""
    told = []
    estimate = HeldOutInformation.estimate

    def noted(self, model, samples, moved, **options):
        told.append((samples.x, samples.index))
        return estimate(self, model, samples, moved, **options)

    monkeypatch.setattr(HeldOutInformation, "estimate", noted)
    made, result = run(*SUPERVISED, "attack.epsilon=0.2", "criterion.target=random")
    samples = samples_of(result)
    assert any(len(index) < len(samples.index) for _, index in told)
    assert all(torch.equal(x, made.data.x_test[index]) for x, index in told)
    for name in ("minmax", "penalty"):
        saved = load_file(made.store.stages[f"attack {name}"].folder / RESULT)
        assert torch.equal(saved["index"], samples.index)
        [line] = [line.draws[0] for line in result.lines if line.arm == name]
        assert line["asr"] == pytest.approx(100 * float(saved["success"].double().mean()))


def test_figures_and_the_list_of_samples(run, tmp_path):
    _, result = run(*SUPERVISED)
    result.draw(tmp_path / "figures", "a title", TensorBoard(tmp_path / "tensorboard"))
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {
        "samples.png", "similarity.png", "attacked_samples.csv"
    }  # fmt: skip
    table = pd.read_csv(tmp_path / "figures" / "attacked_samples.csv")
    assert table["index"].tolist() == samples_of(result).index.tolist()
    assert set(table) == {"row", "index", "label", "success_penalty", "success_minmax", "success_pgd"}


def test_the_seed_chooses_the_samples(run):
    indices = [samples_of(run(*SUPERVISED, f"seed={seed}")[1]).index.tolist() for seed in (0, 0, 1)]
    assert indices[0] == indices[1] != indices[2]


def test_samples_of_a_given_target_class_are_left_out(run):
    _, result = run(*SUPERVISED, "criterion.target=3")
    assert 3 not in samples_of(result).labels.tolist()


def test_draws_are_independent_and_their_spread_is_told(run):
    made, result = run(*SUPERVISED, "+method.minmax.draws=2")
    [line] = [line for line in result.lines if line.arm == "minmax"]
    first, second = line.draws
    assert first["in_attack_value"] != second["in_attack_value"]
    assert "attack minmax draw 2" in made.store.stages


def test_too_few_correct_samples_are_counted(run):
    with pytest.raises(ConfigError, match=r"data.attack_size = 60: of 60 test samples, \d\d are classified"):
        run(*SUPERVISED, "data.attack_size=60")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([*SUPERVISED, "data.attack_size=61"], r"data.attack_size = 61: there are only 60 samples"),
        ([*SUPERVISED, "criterion.target=10"], r"criterion.target = 10: the model knows 10 classes"),
        ([*SUPERVISED, "model.network.hidden=[48,32]"], r"doesn't fit CarliniWagnerNet"),
        (["experiment=penalty_budget", "method=[]"], r"method = \[\]: protocol=attack has nothing"),
        (["experiment=penalty_budget", "criterion=misclassification"], "is no classifier"),
    ],
)
def test_what_cannot_work_is_refused_before_any_work(stages, tmp_path, overrides, message):
    with pytest.raises(ConfigError, match=message):
        stages(*overrides)
    assert not (tmp_path / "outputs").exists()


def test_without_labels_the_first_training_samples_are_attacked(run):
    made, result = run(*UNSUPERVISED)
    samples = samples_of(result)
    assert torch.equal(samples.x, made.data.x_train[:8])
    assert samples.labels is None
    assert [line.arm for line in result.lines] == [
        "original", "penalty_2x20", "penalty_4x10", "minmax_40"
    ]  # fmt: skip
    assert all(line.extra.trace["c"].shape == (8, 40) for line in result.lines[1:])


def test_a_suspicious_model_is_warned_about(stages, tmp_path, monkeypatch, caplog):
    from uae_cli.models import CarliniWagnerNet

    logits = CarliniWagnerNet.forward
    monkeypatch.setattr(CarliniWagnerNet, "forward", lambda self, x: logits(self, x).softmax(1))
    made = stages(*SUPERVISED)
    with caplog.at_level(logging.WARNING):
        made.experiment.protocol.run(made)
    assert any(record.message.startswith("softmax outputs:") for record in caplog.records)
