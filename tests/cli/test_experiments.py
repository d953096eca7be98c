"""Every experiment file composes and says its command; one of each kind runs on next to nothing."""

import os
import re
from pathlib import Path

import pandas as pd
import pytest
from calling import TINY, Uae

from uae_cli.experiment.compose import compose_jobs, conf_dir, register_resolvers
from uae_cli.experiment.schema import Experiment, from_config
from uae_cli.protocols.augmentation import Augment
from uae_cli.results.columns import COLUMNS

EXPERIMENTS = sorted(file.stem for file in (conf_dir() / "experiment").glob("*.yaml"))
DATA = os.environ.get("UAE_DATA", "")  # read before the fixture hides it
RANDOM = ("similarity.sampling.count=3", "similarity.sampling.dimension=4")

# One of each kind of model, criterion and protocol, with what makes it smaller still
RUN = {
    "digits_conv_ae": TINY,
    "digits_dense_ae": (*TINY, *RANDOM),
    "digits_sparse_ae": (*TINY, *RANDOM),
    "digits_adversarial_ae": (*TINY, *RANDOM, "model.network.hidden_dim=16"),
    "digits_simclr": (*TINY, "similarity.steps=2"),
    "digits_classifier_attack": ("method=[minmax,pgd]", "method.pgd.solver.iterations=3"),
    "digits_robustness": ("victim=[std,std_uae]", "method=[pgd]", "method.pgd.solver.iterations=3"),
    "mnist_conv_ae": TINY,
    "svhn_conv_ae": (*TINY, "dataset=svhn_test10k"),
    "mice_protein_concrete_ae": (*TINY, *RANDOM, "model.trainer.tries=1"),
    "table5_svhn": (*TINY, "dataset=svhn_test10k"),
    "table13_mnist": TINY,
    "penalty_budget": ("data.train_size=16",),
}


def experiment_of(*overrides: str) -> Experiment:
    register_resolvers()
    [job] = compose_jobs(list(overrides), multirun=False, extra_dir=None)
    return from_config(job.config)


def test_a_row_of_table_4_and_its_siblings() -> None:
    models = ("sparse", "dense", "conv", "adversarial")
    datasets = ("digits", "fashion_mnist", "mnist", "svhn")
    assert {f"{dataset}_{model}_ae" for dataset in datasets for model in models} <= set(EXPERIMENTS)


def test_the_rows_of_table_6() -> None:
    datasets = ("mnist", "fashion_mnist", "isolet", "coil20", "mice_protein", "activity")
    assert {f"{dataset}_concrete_ae" for dataset in datasets} <= set(EXPERIMENTS)


@pytest.mark.parametrize("scale", ["full", "smoke"])
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_composes(name: str, scale: str) -> None:
    experiment = experiment_of(f"experiment={name}", f"scale={scale}")
    assert isinstance(experiment.protocol, Augment) == ("replicate" in experiment.arm)
    assert experiment.protocol.attacks(experiment)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_says_its_command_its_time_and_the_papers_number(name: str) -> None:
    text = (conf_dir() / "experiment" / f"{name}.yaml").read_text()
    assert text.startswith("# @package _global_\n")
    assert re.search(rf"^# uae run (-m )?experiment={name}\b", text, re.MULTILINE)
    assert re.search(r"^# Time: .*(\d|not measured)", text, re.MULTILINE)
    assert re.search(r"^# (Paper|Not in the paper)", text, re.MULTILINE)


@pytest.mark.parametrize("name", RUN)
def test_runs(uae: Uae, tmp_path: Path, name: str) -> None:
    root = str(Path(DATA).resolve()) if DATA else str(tmp_path)
    settings = [f"experiment={name}", "scale=smoke", "threads=1", *RUN[name]]
    settings += [f"data.root={root}", "data.download=false"]
    experiment = experiment_of(*settings)
    if not experiment.dataset.check(Path(root), verify=False).present:
        pytest.skip(f"the data of {name} are not in UAE_DATA")
    called = uae("run", *settings)
    assert called.status == 0, called.err
    [table] = tmp_path.rglob("results.csv")
    rows = pd.read_csv(table)
    assert list(rows.columns) == list(COLUMNS)
    lines = experiment.protocol.attacks(experiment) | experiment.arm
    for attack in lines:  # robustness names its lines by ε too, a chain its attacks by their step
        chain = attack.partition("/")[0]
        line = chain if chain in experiment.arm else attack
        assert any(arm.partition("@")[0] == line for arm in rows["arm"]), line
    assert rows["value"].notna().all()
    assert bool(set(rows["note"].dropna())) == name.startswith(("svhn", "table5_svhn", "mice"))
