"""Tables 6 and 12: accuracies beside errors, and runs that differ in the attack as lines of one block."""

import io
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from uae_cli.errors import ConfigError
from uae_cli.tables.command import table_command
from uae_cli.tables.contents import TABLES
from uae_cli.tables.reported import load

Finish = Callable[..., Path]
MICE = {
    "experiment": "mice_protein_concrete_ae",
    "dataset": "mice_protein",
    "model": "concrete_ae",
    "n_train": 864,
    "n_test": 216,
}
PAPERS = [(alpha, beta) for alpha in (0.01, 0.05) for beta in (0.05, 0.1, 0.5)]


def table(outputs: Path, number: str, fmt: str = "text") -> str:
    out = outputs.parent / f"table.{fmt}"
    assert table_command(number, outputs, fmt, out) == 0  # type: ignore[arg-type]
    return out.read_text(encoding="utf-8")


def cells(text: str, name: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines() if line.startswith(f"{name} ")]


def job(alpha: float, beta: float, **changes: object) -> dict[str, object]:
    """A row of one job of a sweep; the last eight digits of its settings are the attack's."""
    row = {
        "value": alpha + beta / 1000,
        "overrides": f"attack.alpha={alpha} attack.beta={beta}",
        "settings": f"12e34567{alpha:.2f}{beta:.2f}",
        "attack": f"alpha={alpha} beta={beta} iterations=40",
    }
    return {**row, **changes}


def sweep(finish: Finish, where: str = "sweep", **changes: object) -> None:
    for alpha, beta in PAPERS:
        finish(f"{where}/{alpha}/{beta}", job(alpha, beta, **changes))


def test_accuracies_are_compared_in_points(outputs: Path, finish: Finish) -> None:
    finish(
        "a",
        {**MICE, "arm": "original", "metric": "test_accuracy", "value": 90.0},
        {**MICE, "metric": "test_accuracy", "value": 92.5},
        {**MICE, "metric": "test_accuracy_gain_vs_original", "value": 2.5},
        {**MICE, "metric": "test_accuracy_gain_vs_replicate", "value": -1.0},
        {**MICE, "metric": "test_mse", "value": 0.006},
    )
    text = table(outputs, "6")
    headings = text.split("ours (1 seed)")[0]
    assert ("gain %" in headings) == ("gain points" in headings) is True
    assert cells(text, "original") == [
        ["original", "–", "0.00651", "–", "–", "90.00", "89.81", "–", "–", "–", "–", "–", "–", "30"]
    ]
    [line] = cells(text, "mine_uae")
    assert line[1:9] == ["0.00600", "0.00611", "–", "–", "92.50", "91.2", "+2.5", "−1.0"]
    assert "how far the error fell below or the accuracy rose above that arm's" in text


def test_a_sweep_is_one_block_with_the_papers_numbers(outputs: Path, finish: Finish) -> None:
    sweep(finish)
    text = table(outputs, "12")
    assert text.count("Testing device") == 1
    assert "attack.alpha=" not in text.split("In the paper")[0]
    lines = [line.split()[:3] for line in text.splitlines() if line.startswith("alpha")]
    numbers = load()
    wanted = numbers[(numbers["table"] == "12") & (numbers["model"] == "conv_ae")]
    assert [name for name, *_ in lines] == [f"alpha{alpha}_beta{beta}" for alpha, beta in PAPERS]
    assert {name: float(papers) for name, _, papers in lines} == dict(
        zip(wanted["method"], wanted["value"], strict=True)
    )
    assert [ours for _, ours, _ in lines] == [f"{alpha + beta / 1000:.5f}" for alpha, beta in PAPERS]


def test_what_is_missing_of_a_sweep_is_its_whole_command(outputs: Path, finish: Finish) -> None:
    for alpha, beta in PAPERS[:-1]:
        finish(f"{alpha}/{beta}", job(alpha, beta))
    swept = "attack.alpha=0.01,0.05 attack.beta=0.05,0.1,0.5"
    assert f"uae run -m experiment=mnist_conv_ae,mnist_concrete_ae {swept}" in table(outputs, "12")
    finish("last", job(*PAPERS[-1]))
    assert f"uae run -m experiment=mnist_concrete_ae {swept}" in table(outputs, "12")


def test_the_plain_experiment_is_the_sweeps_line_of_its_values(outputs: Path, finish: Finish) -> None:
    sweep(finish)
    finish("later", job(0.01, 0.1, value=0.5, overrides="", started="2025-02-01T10:00:00+00:00"))
    [[_, ours, papers, *_]] = cells(table(outputs, "12"), "alpha0.01_beta0.1")
    assert (ours, papers) == ("0.50000", "0.00256")


def test_sweeps_that_differ_in_anything_else_are_never_mixed(outputs: Path, finish: Finish) -> None:
    sweep(finish)
    for alpha, beta in PAPERS:
        attack = f"alpha={alpha} beta={beta} iterations=80"
        settings = f"12e34567{alpha:.2f}{beta:.2f}80"
        overrides = f"attack.alpha={alpha} attack.beta={beta} attack.iterations=80"
        finish(f"80/{alpha}/{beta}", job(alpha, beta, attack=attack, settings=settings, overrides=overrides))
        finish(f"other/{alpha}/{beta}", job(alpha, beta, settings=f"99999999{alpha:.2f}{beta:.2f}"))
    text = table(outputs, "12")
    assert text.count("attack.iterations=80") == 1
    assert len(cells(text, "alpha0.01_beta0.05")) == 3
    assert "settings 99999999 iterations=40" in " ".join(text.split())
    assert "0.00256†" in text


def test_seeds_of_a_sweep_are_averaged(outputs: Path, finish: Finish) -> None:
    for seed in (0, 1, 2):
        sweep(finish, f"seed{seed}", seed=seed, value=0.001 * seed)
    assert "0.00100 ± 0.00100" in table(outputs, "12")
    frame = pd.read_csv(io.StringIO(table(outputs, "12", "csv")))
    assert frame["arm"].tolist() == [f"alpha{alpha}_beta{beta}" for alpha, beta in PAPERS]
    assert (frame["seeds"] == 3).all()
    assert frame["paper"].tolist() == [0.00330, 0.00256, 0.00283, 0.00296, 0.00278, 0.00285]


@pytest.mark.parametrize("attack", ["alpha=0.01 beta=0.1", "step=sign", ""])
def test_a_single_run_is_no_sweep(outputs: Path, finish: Finish, attack: str) -> None:
    finish("a", {"attack": attack})
    with pytest.raises(
        ConfigError, match=r"belongs in table 12; start one with `uae run -m .*beta=0\.05,0\.1"
    ):
        table(outputs, "12")


def test_lines_are_in_the_order_of_their_numbers() -> None:
    names = ["alpha0.5_beta10", "alpha0.5_beta2", "alpha1e-05_beta3", "alpha0.5_beta2"]
    assert TABLES["12"].lines(names) == ["alpha1e-05_beta3", "alpha0.5_beta2", "alpha0.5_beta10"]


def test_a_file_from_before_the_attack_was_told_is_still_read(outputs: Path, finish: Finish) -> None:
    path = finish("old", MICE)
    pd.read_csv(path).drop(columns="attack").to_csv(path, index=False)
    assert "0.00400" in table(outputs, "6")
