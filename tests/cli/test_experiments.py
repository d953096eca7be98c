"""Every experiment file composes, says its command, and runs on next to nothing."""

import os
import re
from pathlib import Path

import pandas as pd
import pytest
from calling import TINY, Uae

from uae_cli.compose import compose_jobs, conf_dir, register_resolvers
from uae_cli.experiment import from_config
from uae_cli.report.columns import COLUMNS

EXPERIMENTS = sorted(file.stem for file in (conf_dir() / "experiment").glob("*.yaml"))
DATA = os.environ.get("UAE_DATA", "")  # read before the fixture hides it
# What stands in for data that can't be had everywhere
STAND_INS = {"svhn": ["dataset=svhn_test10k"]}
PARTIAL = ("svhn", "isolet_subset")


def test_a_row_of_table_4_and_its_siblings() -> None:
    models = ("sparse", "dense", "conv", "adversarial")
    datasets = ("digits", "fashion_mnist", "mnist", "svhn")
    assert {f"{dataset}_{model}_ae" for dataset in datasets for model in models} <= set(EXPERIMENTS)


def test_the_rows_of_table_6() -> None:
    datasets = ("mnist", "fashion_mnist", "isolet", "coil20", "mice_protein", "activity")
    assert {f"{dataset}_concrete_ae" for dataset in datasets} <= set(EXPERIMENTS)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_composes(name: str) -> None:
    register_resolvers()
    [job] = compose_jobs([f"experiment={name}"], multirun=False, extra_dir=None)
    experiment = from_config(job.config)
    assert experiment.name == name
    arms = {"replicate", "mine_uae", "matched_noise"}
    if "concrete" not in name:
        arms |= {"l2_uae", "gaussian_1e-2", "gaussian_1e-3"}
    assert set(experiment.arm) == arms
    assert f"uae run experiment={name}\n" in (conf_dir() / "experiment" / f"{name}.yaml").read_text()


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_runs(uae: Uae, tmp_path: Path, name: str) -> None:
    register_resolvers()
    dataset = re.sub(r"_[a-z]+_ae$", "", name)
    settings = [*TINY, *STAND_INS.get(dataset, []), "arm=[replicate,mine_uae,matched_noise]"]
    if "conv" not in name:
        settings += ["similarity.sampling.count=3", "similarity.sampling.dimension=4"]
    if "adversarial" in name:
        settings += ["model.network.hidden_dim=16"]
    root = str(Path(DATA).resolve()) if DATA else str(tmp_path)
    settings += [f"experiment={name}", f"data.root={root}", "data.download=false"]
    [job] = compose_jobs(settings, multirun=False, extra_dir=None)
    if not from_config(job.config).dataset.check(Path(root), verify=False).present:
        pytest.skip(f"the data of {name} are not in UAE_DATA")
    called = uae("run", *settings)
    assert called.status == 0, called.err
    [table] = tmp_path.rglob("results.csv")
    rows = pd.read_csv(table)
    assert list(rows.columns) == list(COLUMNS)
    assert set(rows["arm"]) == {"original", "replicate", "mine_uae", "matched_noise"}
    assert rows["value"].notna().all()
    partial = set(rows["note"].dropna())
    assert bool(partial) == (dataset in PARTIAL)
