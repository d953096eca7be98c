"""Chains and rounds in a whole run: shared stages, controls of their own size, gains against it."""

import pytest

from uae_cli.results.columns import COLUMNS
from uae_cli.run.rows import result_rows

CHAIN = "augmentation=[flip,rotation,gaussian,mine_uae]"


@pytest.fixture
def run(make_stages):
    def make(*overrides: str):
        stages = make_stages("attack.iterations=2", "similarity.steps=2", *overrides)
        return {result.arm: result for result in stages.experiment.protocol.run(stages).lines}, stages

    return make


def computed(stages, kind: str) -> list[str]:
    costs = stages.store.costs
    return [cost["stage"] for cost in costs if cost["stage"].startswith(kind) and not cost["reused"]]


def test_a_chain_runs_part_by_part_and_fits_nothing_twice(run):
    results, stages = run("arm=[replicate]", CHAIN)
    first, whole = "flip_rotation_gaussian", "flip_rotation_gaussian+mine_uae"
    assert list(results) == ["original", "replicate", first, "replicate_x3", whole]
    assert computed(stages, "fit") == [f"fit {arm}" for arm in results]
    assert computed(stages, "attack") == [f"attack {whole}/mine_uae"]
    n = len(stages.data.x_train)
    assert [len(results[arm].extra.x) // n for arm in list(results)[1:]] == [1, 1, 2, 2]
    assert results[whole].extra.parts[1].target is not results["original"].fitted.model


def test_controls_list_the_samples_as_often(run):
    results, _ = run("arm=[replicate,mine_uae]", "augmentation.rounds=3")
    assert list(results) == [
        "original", "replicate", "mine_uae", "replicate_x3", "mine_uae_round2", "replicate_x4",
        "mine_uae_round3",
    ]  # fmt: skip
    assert [results[arm].control for arm in ("mine_uae", "mine_uae_round2", "mine_uae_round3")] == [
        "replicate", "replicate_x3", "replicate_x4",
    ]  # fmt: skip
    told = dict.fromkeys(set(COLUMNS) - {"arm", "metric", "value", "std", "draws", "unit", "epochs"}, "")
    told = {name: value for name, value in told.items() if not name.endswith("_passes")}
    rows = {(row.arm, row.metric): row.value for row in result_rows(list(results.values()), told)}
    for arm, control in (("mine_uae", "replicate"), ("mine_uae_round3", "replicate_x4")):
        expected = 100 * (1 - rows[arm, "test_mse"] / rows[control, "test_mse"])
        assert rows[arm, "test_mse_gain_vs_replicate"] == pytest.approx(expected)


def test_rounds_share_their_attacks(run):
    _, stages = run("arm=[replicate,mine_uae]", "augmentation.rounds=3")
    assert computed(stages, "attack") == [
        "attack mine_uae", "attack mine_uae_round2/round2", "attack mine_uae_round3/round3",
    ]  # fmt: skip


def test_table_5_computes_every_beginning_once(run):
    results, stages = run("experiment=table5_svhn", "dataset=digits", "model.trainer.early_stopping=null")
    assert computed(stages, "fit") == [f"fit {arm}" for arm in results]
    assert len(computed(stages, "attack")) == 3
    assert "asr" in results["flip_rotation+mine_uae"].draws[0]
