"""`uae bench attack` on digits at next to no size: what it writes, not how fast it is."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from uae_cli.bench.stopwatch import PARTS, watching
from uae_cli.cli import main

TINY = (
    "--samples",
    "3",
    "experiment=digits_conv_ae",
    "threads=1",
    "data.train_size=24",
    "attack.iterations=2",
)
COLUMNS = {
    "dataset model device hardware setting samples iterations mine_steps marginals chunk_size",
    "seconds_per_sample floor_seconds_per_sample ratio peak_bytes samples_per_second",
    "share_model share_features share_mine share_bookkeeping",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bench")
    assert main(["bench", "attack", *TINY, "--out", str(path), f"outputs={path / 'outputs'}"]) == 0
    return path


def test_it_writes_one_tidy_row_a_setting(folder):
    frame = pd.read_csv(folder / "bench.csv")
    assert set(" ".join(COLUMNS).split()) <= set(frame.columns)
    assert frame["setting"][0] == "main"
    assert set(frame["setting"]) >= {"one at a time", "projections", "training", "steps 1", "chunk 8"}
    assert set(frame["dataset"]) == {"digits"}
    assert set(frame["model"]) == {"conv_ae", "dense_ae"}
    assert (folder / "bench.png").stat().st_size > 5000


def test_the_ratio_is_that_to_the_floor_and_shares_are_shares(folder):
    frame = pd.read_csv(folder / "bench.csv")
    ratio = frame["seconds_per_sample"] / frame["floor_seconds_per_sample"]
    np.testing.assert_allclose(frame["ratio"], ratio)
    attacks = frame[frame["setting"] != "training"]
    shares = attacks[[f"share_{part}" for part in PARTS]]
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert bool(((shares > 0) & (shares < 1)).all(axis=None))
    np.testing.assert_allclose(frame["samples_per_second"] * frame["seconds_per_sample"], 1)


def test_three_sizes_each_and_both_marginals(folder):
    frame = pd.read_csv(folder / "bench.csv")
    steps = frame[frame["setting"].str.startswith("steps")]
    assert set(zip(steps["mine_steps"], steps["marginals"], strict=True)) == {
        (steps, marginals) for steps in (1, 5, 20) for marginals in ("all_pairs", "shuffle")
    }
    for size in ("samples", "iterations"):
        assert frame["setting"].str.startswith(f"{size} ").sum() == 3


def test_a_second_call_trains_no_model_and_watching_leaves_nothing_behind(folder, capsys):
    before = torch.autograd.grad
    fits = {path.stat().st_mtime_ns for path in (folder / "outputs" / "stages").glob("fit-*")}
    main(["bench", "attack", *TINY, "--out", str(folder / "again"), f"outputs={folder / 'outputs'}"])
    assert {path.stat().st_mtime_ns for path in (folder / "outputs" / "stages").glob("fit-*")} == fits
    with watching(torch.device("cpu")):
        assert torch.autograd.grad is not before
    assert torch.autograd.grad is before
    assert "×floor" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["attack", "experiment=digit_conv_ae"], "digits_conv_ae"),
        (["attack", "attack.alpha=-1"], "attack.alpha"),
        (["attack", "--samples", "0"], "--samples = 0"),
        (["attack", "--sample-count", "3"], "--sample-count"),
        (["table"], "attack"),
        ([], "uae bench --help"),
        (["attack", "experiment=digits_conv_ae", "--out", "/proc/no"], "--out = /proc/no"),
    ],
)
def test_a_mistake_is_one_line(arguments, told, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["bench", *arguments]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
