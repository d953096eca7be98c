"""Tables 5, 7, 9, 11, 13 and s6.15: which runs belong in them, and the paper's number beside each arm."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from uae_cli.tables.command import table_command
from uae_cli.tables.contents import TABLES

Finish = Callable[..., Path]
SIMCLR = {
    "experiment": "cifar10_simclr",
    "dataset": "cifar10",
    "model": "simclr",
    "n_train": 50_000,
    "n_test": 10_000,
}
SVHN = {"dataset": "svhn", "n_train": 73_257, "n_test": 26_032}


def table(number: str, outputs: Path) -> str:
    out = outputs.parent / "table.txt"
    assert table_command(number, outputs, "text", out) == 0
    return out.read_text(encoding="utf-8")


def line(text: str, arm: str) -> str:
    return next(" ".join(line.split()) for line in text.splitlines() if line.split()[:1] == [arm])


@pytest.mark.parametrize(
    ("number", "run", "arm", "papers"),
    [
        ("5", {**SVHN, "experiment": "table5_svhn"}, "gaussian+mine_uae", "0.00095"),
        ("11", {"dataset": "cifar10", "experiment": "cifar10_conv_ae"}, "gaussian_1e-2", "0.00564"),
        ("11", {"dataset": "tiny_imagenet_15k", "experiment": "tiny_imagenet_conv_ae"}, "l2_uae", "0.00969"),
        ("13", {"experiment": "table13_mnist"}, "feature_scattering", "0.00268"),
        ("13", {**SVHN, "experiment": "table13_svhn"}, "l2_distance", "0.00096"),
        (
            "s6.15",
            {**SVHN, "model": "sparse_ae", "experiment": "svhn_sparse_ae_rounds"},
            "mine_uae",
            "0.00235",
        ),
        (
            "s6.15",
            {**SVHN, "model": "sparse_ae", "experiment": "svhn_sparse_ae_rounds"},
            "mine_uae_round2",
            "0.00199",
        ),
    ],
)
def test_the_papers_number_stands_beside_each_arm(
    outputs: Path, finish: Finish, number: str, run: dict[str, Any], arm: str, papers: str
) -> None:
    needed = {"5": "gaussian", "11": "l2_uae", "13": "l2_distance", "s6.15": "mine_uae_round2"}[number]
    finish("a", *({**run, "arm": name} for name in {"original", needed, arm}))
    assert line(table(number, outputs), arm).startswith(f"{arm} 0.00400 {papers}")


def test_seconds_stand_beside_the_papers_with_the_device(outputs: Path, finish: Finish) -> None:
    seconds = {"metric": "seconds_per_sample", "device": "A named card"}
    simclr = {"dataset": "cifar10", "model": "simclr", "experiment": "cifar10_simclr"}
    finish("a", {**seconds, "value": 0.0301}, {**seconds, "arm": "gaussian_1e-2", "value": 2e-6})
    finish("b", *({**seconds, **simclr, "arm": arm, "value": 3e-5} for arm in ("flip", "rotation")))
    text = table("9", outputs)
    assert line(text, "mine_uae") == "mine_uae 0.0301 0.059"
    assert line(text, "gaussian_1e-2") == "gaussian_1e-2 2e-06 0.012"
    assert line(text, "flip").endswith("0.00022")
    assert line(text, "rotation").endswith("0.00022")
    assert "A named card" in text


def test_a_run_stands_in_its_own_table_only(outputs: Path, finish: Finish) -> None:
    finish("plain", {}, {"arm": "l2_uae"})
    finish(
        "chains",
        {"experiment": "table5_mnist", "arm": "original"},
        {"experiment": "table5_mnist", "arm": "gaussian"},
    )
    assert "table5_mnist" not in table("4", outputs)
    assert "l2_uae" not in table("5", outputs)


def test_an_experiment_of_another_table_does_not_count_as_done(outputs: Path, finish: Finish) -> None:
    finish("a", {"experiment": "table13_mnist"}, {"experiment": "table13_mnist", "arm": "l2_distance"})
    assert "mnist_conv_ae" in table("4", outputs).splitlines()[-1]
    assert table("13", outputs).splitlines()[-1].endswith("`uae run experiment=table13_svhn`")


def test_arms_that_were_trained_for_longer_than_replicate_are_told(outputs: Path, finish: Finish) -> None:
    run = {"dataset": "coil20", "model": "concrete_ae", "experiment": "coil20_concrete_ae"}
    arms = {"original": 1600, "replicate": 800, "mine_uae": 1600, "matched_noise": 800}
    finish("a", *({**run, "arm": arm, "epochs": epochs} for arm, epochs in arms.items()))
    text = " ".join(table("6", outputs).split())
    assert "mine_uae: trained for another number of epochs than replicate" in text
    assert "matched_noise: trained" not in text


def test_ours_stands_beside_the_papers_and_success_on_new_views_beside_success(
    outputs: Path, finish: Finish
) -> None:
    rows = [
        {"arm": "mine_uae", "metric": "test_accuracy", "value": 92.0},
        {"arm": "mine_uae", "metric": "test_accuracy_gain_vs_original", "value": 1.25},
        {"arm": "mine_uae", "metric": "test_contrastive_loss", "value": 5.25},
        {"arm": "mine_uae", "metric": "asr", "value": 99.0},
        {"arm": "mine_uae", "metric": "asr_fresh", "value": 71.5},
        {"arm": "clae", "metric": "test_accuracy", "value": 91.0},
    ]
    finish("a", *(SIMCLR | row for row in rows))
    text = table("7", outputs)
    found = line(text, "mine_uae")
    for number in ("92.00", "92.88", "+1.2", "5.25000", "0.26755", "99.00", "100", "71.50"):
        assert number in found
    assert line(text, "clae")
    assert "not yet run in full" not in text
    assert TABLES["7"].example == "digits_simclr"


def test_models_retrained_for_one_epoch_stand_in_table_9_only(outputs: Path, finish: Finish) -> None:
    short = SIMCLR | {"experiment": "table9_cifar10"}
    finish("a", SIMCLR | {"arm": "mine_uae", "metric": "test_accuracy", "value": 92.0})
    finish(
        "b",
        short | {"arm": "mine_uae", "metric": "test_accuracy", "value": 11.5},
        short | {"arm": "l2_uae", "metric": "test_accuracy", "value": 10.5},
        short | {"arm": "mine_uae", "metric": "seconds_per_sample", "value": 1.75},
    )
    text = table("7", outputs)
    assert "92.00" in line(text, "mine_uae")
    assert "table9_cifar10" not in text
    assert "table9_cifar10" in table("9", outputs)
