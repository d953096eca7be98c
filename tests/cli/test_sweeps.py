"""Sweeps: what jobs share is computed once, seeds are averaged, names may be patterns."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from calling import TINY, Uae

from uae_cli.experiment.compose import compose_jobs, register_resolvers

SETTINGS = (*TINY, "arm=[replicate,mine_uae]")


def test_the_model_before_the_attack_is_trained_once(uae: Uae, tmp_path: Path) -> None:
    settings = [setting for setting in SETTINGS if not setting.startswith("attack")]
    sweep = ["attack.alpha=0.01,0.05", "attack.beta=0.05,0.1", "attack.iterations=3"]
    called = uae("run", "-m", "experiment=digits_conv_ae", *sweep, *settings)
    assert called.status == 0, called.err
    stages = tmp_path / "outputs" / "stages"
    assert len(list(stages.glob("attack-*"))) == 4
    records = [json.loads(path.read_text()) for path in sorted(tmp_path.rglob("results.json"))]
    for record, alpha, beta in zip(records, (0.01, 0.01, 0.05, 0.05), (0.05, 0.1) * 2, strict=True):
        assert {f"attack.alpha={alpha}", f"attack.beta={beta}"} <= set(record["overrides"].split())
    reused = [{stage["stage"]: stage["reused"] for stage in record["stages"]} for record in records]
    assert [stage["fit original"] for stage in reused] == [False, True, True, True]
    assert not any(stage["attack mine_uae"] for stage in reused)


def test_seeds_become_one_row(uae: Uae, tmp_path: Path) -> None:
    assert uae("run", *SETTINGS, "-m", "seed=0,1,2").status == 0
    values = pd.concat(pd.read_csv(path) for path in tmp_path.rglob("results.csv"))
    ours = values[(values["arm"] == "mine_uae") & (values["metric"] == "test_mse")]["value"]
    assert len(ours) == ours.nunique() == 3
    called = uae("table", "4", "--format", "csv", "--out", "table.csv")
    assert called.status == 0, called.err
    table = pd.read_csv("table.csv")
    [row] = table[(table["arm"] == "mine_uae") & (table["metric"] == "test_mse")].to_dict("records")
    assert row["seeds"] == 3
    assert np.isclose(row["mean"], ours.mean())
    assert np.isclose(row["std"], ours.std(ddof=1))


def test_patterns_and_lists_of_experiments() -> None:
    register_resolvers()

    def names(*overrides: str) -> list[str]:
        jobs = compose_jobs(list(overrides), multirun=True, extra_dir=None)
        return [job.config["name"] for job in jobs]

    digits = ["digits_adversarial_ae", "digits_conv_ae", "digits_dense_ae", "digits_sparse_ae"]
    assert sorted(names("experiment=glob(digits_*_ae)")) == digits
    assert names("experiment=mnist_conv_ae,svhn_dense_ae", "seed=0,1") == [
        "mnist_conv_ae", "mnist_conv_ae", "svhn_dense_ae", "svhn_dense_ae"
    ]  # fmt: skip


def test_own_files(uae: Uae, npz: Callable[..., Path], tmp_path: Path) -> None:
    """A user's experiment and dataset, with a sweep of its own."""
    path = npz(np.random.default_rng(0).random((8, 12)).astype(np.float32))
    own = path.parent
    for folder in ("dataset", "experiment"):
        (own / folder).mkdir()
    (own / "dataset" / "mine.yaml").write_text(
        f"_target_: uae_cli.datasets.NpzDataset\nname: mine\npath: {path}\nsource: me\n"
    )
    (own / "experiment" / "tables.yaml").write_text(
        "# @package _global_\n"
        "defaults:\n  - override /dataset: mine\n  - override /model: dense_ae\n"
        "  - override /sampling: random\n"
        "  - override /arm: [replicate, mine_uae]\n"
        "similarity: {sampling: {count: 3, dimension: 4}}\n"
        "hydra: {sweeper: {params: {seed: '3,4'}}}\n"
    )
    called = uae("run", "-m", "--config-dir", str(own), "experiment=tables", *TINY)
    assert called.status == 0, called.err
    for number in (0, 1):  # of the job, before each of its lines
        assert f"\n#{number} fit original: " in called.err
    records = [json.loads(path.read_text()) for path in sorted(tmp_path.rglob("results.json"))]
    assert [record["seed"] for record in records] == [3, 4]
    assert {record["note"] for record in records} == {"a made set"}
    assert {record["experiment"] for record in records} == {"mine_dense_ae"}


def test_patterns_find_own_files(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    for name in ("of_mine", "of_mine_too"):
        (tmp_path / "experiment" / f"{name}.yaml").write_text(f"# @package _global_\nname: {name}\n")
    register_resolvers()
    jobs = compose_jobs(["experiment=glob(of_*)"], multirun=True, extra_dir=str(tmp_path))
    assert [job.config["name"] for job in jobs] == ["of_mine", "of_mine_too"]


def test_a_bad_value_in_a_files_own_sweep(uae: Uae, tmp_path: Path) -> None:
    own = tmp_path.parent / f"{tmp_path.name}-own"
    (own / "experiment").mkdir(parents=True)
    (own / "experiment" / "mine.yaml").write_text(
        "# @package _global_\nhydra: {sweeper: {params: {attack.beta: '0.1,2'}}}\n"
    )
    called = uae("run", "-m", "--config-dir", str(own), "experiment=mine", *TINY)
    assert called.status == 2
    assert called.mistake == "uae: attack.beta = 2: must be at most 1 (default: 0.1)\n"
    assert list(tmp_path.iterdir()) == []


def test_settings_of_the_default_experiment_do_not_slip_in_unseen(uae: Uae) -> None:
    own = [*TINY, "arm=replicate", "model=dense_ae", "sampling=random"]
    assert "uae: note: what experiment=digits_conv_ae sets" in uae("run", *own).err
    assert "note:" not in uae("run", "~experiment", *own).err
    assert "note:" not in uae("run", "experiment=digits_dense_ae", *own).err
