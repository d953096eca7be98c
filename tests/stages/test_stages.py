import json
import math

import pytest
import torch

from uae_cli.attacks.samples import Samples
from uae_cli.attacks.similarities.similarities import ReconstructionError
from uae_cli.protocols.attacked import plain_metrics
from uae_cli.stages.stages import Fitted, Workbench

L2 = ReconstructionError(goal="maximize")


def fit(bench: Workbench, label: str = "original", epochs: int = 2) -> Fitted:
    return bench.fit(label, bench.data.x_train, epochs=epochs)


def weights(fitted: Fitted) -> dict[str, torch.Tensor]:
    return fitted.model.state_dict()


def test_a_model_is_fitted_once_and_found_again_whole(workbench):
    told = []
    first = fit(workbench())
    bench = workbench()
    bench.on_epoch = lambda *of: told.append(of)
    again = fit(bench, label="another name")
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
def test_settings_of_later_stages_leave_the_model_as_it_is(workbench, override):
    fit(workbench())
    assert fit(workbench(override)).stage.reused


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
def test_settings_of_the_model_make_another(workbench, override):
    fit(workbench())
    other = workbench(override)
    fitted = other.fit("original", other.data.x_train, epochs=2)
    assert not fitted.stage.reused


def test_more_epochs_and_other_samples_make_another_model(workbench):
    bench = workbench()
    fit(bench)
    assert not fit(bench, epochs=3).stage.reused
    assert not bench.fit("b", bench.data.x_test, epochs=2).stage.reused


def test_equal_settings_start_from_equal_weights(workbench):
    bench = workbench()
    built = [bench.experiment.model.build(bench.data.shape, seed, classes=10) for seed in (0, 0, 1)]
    first, again, other = (model.state_dict()["encoder.0.weight"] for model in built)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def attack(bench: Workbench, **options):
    return bench.attack("l2_uae", fit(bench), bench.data.x_train, bench.experiment.triple(L2), **options)


def attacks_reused(bench: Workbench) -> list[bool]:
    return [cost["reused"] for cost in bench.ledger.costs if cost["stage"].startswith("attack")]


def test_an_attack_is_made_once_and_found_again_whole(workbench):
    first, bench = attack(workbench()), workbench("chunk_size=7")
    again = attack(bench)
    assert [cost["reused"] for cost in bench.ledger.costs] == [True, True]
    assert torch.equal(first.x, again.x)
    assert torch.equal(first.success, again.success)
    assert first.seconds == again.seconds > 0
    assert again.trace.keys() == {"f", "similarity", "c"}
    assert all(values.shape == (24, 3) for values in again.trace.values())


@pytest.mark.parametrize(
    "override", ["attack.alpha=0.5", "attack.delta_start=zero", "criterion.kappa=1", "seed=1"]
)
def test_settings_of_the_attack_make_another(workbench, override):
    attack(workbench())
    bench = workbench(override)
    attack(bench)
    assert not bench.ledger.stages["attack l2_uae"].reused


def test_similarity_model_and_samples_are_part_of_an_attack(workbench):
    bench = workbench()
    attack(bench)
    mine, l2 = map(bench.experiment.triple, (bench.experiment.arm["mine_uae"].similarity, L2))
    bench.attack("mine_uae", fit(bench), bench.data.x_train, mine)
    bench.attack("l2_uae", fit(bench, epochs=3), bench.data.x_train, l2)
    bench.attack("l2_uae", fit(bench), bench.data.x_test, l2)
    assert attacks_reused(bench) == [False] * 4


def test_places_in_the_dataset_are_part_of_an_attack(workbench):
    bench = workbench()
    first, again = (attack(bench, index=torch.arange(start, start + 24)) for start in (0, 5))
    assert attacks_reused(bench) == [False] * 2
    assert not torch.equal(first.trace["f"], again.trace["f"])
    assert torch.equal(attack(bench).x, first.x)


def test_costs_are_recorded_and_remembered(workbench):
    bench, later = workbench(), workbench()
    fit(bench)
    fit(later)
    [first], [again] = bench.ledger.costs, later.ledger.costs
    assert first["stage"] == "fit original"
    assert first["seconds"] > 0
    assert first["peak_bytes"] > 0
    assert again == {**first, "reused": True}


def test_seconds_of_another_device_are_not_this_ones(workbench):
    bench = workbench()
    attack(bench)
    record = bench.ledger.stages["attack l2_uae"].folder / "cost.json"
    cost = json.loads(record.read_text())
    record.write_text(json.dumps({**cost, "device": "another card"}))
    again = attack(workbench())
    assert math.isnan(again.seconds)
    samples = Samples.first(bench.data.x_train, seed=0)
    assert "seconds_per_sample" not in plain_metrics(samples, again, again.success)
