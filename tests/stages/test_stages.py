import json
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from uae_cli.attacks import ReconstructionError, Samples
from uae_cli.hashing import seal
from uae_cli.protocols.base import plain_metrics
from uae_cli.stages import Fitted, Stages

L2 = ReconstructionError(goal="maximize")


def fit(stages: Stages, label: str = "original", epochs: int = 2) -> Fitted:
    return stages.fit(label, stages.data.x_train, epochs=epochs)


def weights(fitted: Fitted) -> dict[str, Tensor]:
    return fitted.model.state_dict()


def test_a_model_is_fitted_once_and_found_again_whole(make_stages):
    told = []
    first = fit(make_stages())
    stages = make_stages()
    stages.on_epoch = lambda *of: told.append(of)
    again = fit(stages, label="another name")
    assert (first.stage.reused, again.stage.reused) == (False, True)
    assert again.history.losses == first.history.losses
    losses = enumerate(first.history.losses, start=1)
    assert told == [("another name", epoch, loss, {}) for epoch, loss in losses]
    assert all(torch.equal(weights(first)[name], value) for name, value in weights(again).items())
    assert not again.model.training


# What the original model doesn't depend on: a sweep over these trains it once
@pytest.mark.parametrize(
    "override", ["attack.alpha=0.5", "similarity.steps=3", "model.trainer.refit_epochs=9", "chunk_size=3"]
)
def test_settings_of_later_stages_leave_the_model_as_it_is(make_stages, override):
    fit(make_stages())
    assert fit(make_stages(override)).stage.reused


@pytest.mark.parametrize(
    "override",
    [
        "seed=1",
        "model.trainer.batch_size=7",
        "model.trainer.objective.optimizer.rho=0.9",
        "model.network.kernel=3",
        "data.train_size=23",
    ],
)
def test_settings_of_the_model_make_another(make_stages, override):
    fit(make_stages())
    other = make_stages(override)
    fitted = other.fit("original", other.data.x_train, epochs=2)
    assert not fitted.stage.reused


def test_more_epochs_and_other_samples_make_another_model(make_stages):
    stages = make_stages()
    fit(stages)
    assert not fit(stages, epochs=3).stage.reused
    assert not stages.fit("b", stages.data.x_test, epochs=2).stage.reused


def test_equal_settings_start_from_equal_weights(make_stages):
    stages = make_stages()
    built = [stages.experiment.model.build(stages.data.shape, seed, classes=10) for seed in (0, 0, 1)]
    first, again, other = (model.state_dict()["encoder.0.weight"] for model in built)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def samples_of(stages: Stages, x: Tensor | None = None) -> Samples:
    return Samples.first(stages.data.x_train if x is None else x, seed=stages.seed)


def attack(stages: Stages, **changes):
    samples = replace(samples_of(stages), **changes)
    return stages.attack("l2_uae", fit(stages), samples, stages.experiment.triple(L2))


def attacks_reused(stages: Stages) -> list[bool]:
    return [cost["reused"] for cost in stages.store.costs if cost["stage"].startswith("attack")]


def test_an_attack_is_made_once_and_found_again_whole(make_stages):
    first, stages = attack(make_stages()), make_stages("chunk_size=7")
    again = attack(stages)
    assert [cost["reused"] for cost in stages.store.costs] == [True, True]
    assert torch.equal(first.x, again.x)
    assert torch.equal(first.success, again.success)
    assert first.seconds == again.seconds > 0
    assert again.trace.keys() == {"f", "similarity", "c"}
    assert all(values.shape == (24, 3) for values in again.trace.values())


@pytest.mark.parametrize(
    "override", ["attack.alpha=0.5", "attack.delta_start=zero", "criterion.kappa=1", "seed=1"]
)
def test_settings_of_the_attack_make_another(make_stages, override):
    attack(make_stages())
    stages = make_stages(override)
    attack(stages)
    assert not stages.store.stages["attack l2_uae"].reused


def test_similarity_model_and_samples_are_part_of_an_attack(make_stages):
    stages = make_stages()
    attack(stages)
    mine, l2 = map(stages.experiment.triple, (stages.experiment.arm["mine_uae"].similarity, L2))
    stages.attack("mine_uae", fit(stages), samples_of(stages), mine)
    stages.attack("l2_uae", fit(stages, epochs=3), samples_of(stages), l2)
    stages.attack("l2_uae", fit(stages), samples_of(stages, stages.data.x_test), l2)
    assert attacks_reused(stages) == [False] * 4


def test_places_in_the_dataset_are_part_of_an_attack(make_stages):
    stages = make_stages()
    first, again = (attack(stages, index=torch.arange(start, start + 24)) for start in (0, 5))
    assert attacks_reused(stages) == [False] * 2
    assert not torch.equal(first.trace["f"], again.trace["f"])
    assert torch.equal(attack(stages).x, first.x)


def test_costs_are_recorded_and_remembered(make_stages):
    stages, later = make_stages(), make_stages()
    fit(stages)
    fit(later)
    [first], [again] = stages.store.costs, later.store.costs
    assert first["stage"] == "fit original"
    assert first["seconds"] > 0
    assert first["peak_bytes"] > 0
    assert again == {**first, "reused": True}


def test_seconds_of_another_device_are_not_this_ones(make_stages):
    stages = make_stages()
    attack(stages)
    record = stages.store.stages["attack l2_uae"].folder / "cost.json"
    cost = json.loads(record.read_text())
    record.write_text(json.dumps({**cost, "device": "another card"}))
    seal(record.parent)
    again = attack(make_stages())
    assert math.isnan(again.seconds)
    assert "seconds_per_sample" not in plain_metrics(samples_of(stages), again, again.success)
