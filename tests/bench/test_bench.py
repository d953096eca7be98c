"""`uae bench attack` on digits at next to no size: what it writes, not how fast it is."""

from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.profiler import record_function

from uae_cli.attacks import Attack, Mine, MinMax, Reconstruction
from uae_cli.bench.measure import Bench
from uae_cli.bench.profile import PARTS, part_shares
from uae_cli.cli import main
from uae_cli.mi import FeatureMaps

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
    "gflop_per_second floor_gflop_per_second peak_gflop_per_second",
    "gb_per_second floor_gb_per_second peak_gb_per_second",
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
    assert set(frame["setting"]) >= {
        *("one at a time", "random sampling", "closed form", "training", "steps 1", "chunk 8", "default job")
    }
    assert set(frame["dataset"]) == {"digits", "uniform noise"}
    assert set(frame["model"]) == {"conv_ae", "dense_ae", "concrete_ae", "conv_ae 4-2"}
    assert (folder / "bench.png").stat().st_size > 5000


def test_the_ratio_is_that_to_the_floor_and_shares_are_shares(folder):
    frame = pd.read_csv(folder / "bench.csv")
    ratio = frame["seconds_per_sample"] / frame["floor_seconds_per_sample"]
    np.testing.assert_allclose(frame["ratio"], ratio)
    attacks = frame[frame["setting"] != "training"]
    shares = attacks[[f"share_{part}" for part in PARTS]]
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert bool(((shares >= 0) & (shares < 1)).all(axis=None))
    assert bool((shares[attacks["similarity"] == "Mine"] > 0).all(axis=None))
    np.testing.assert_allclose(frame["samples_per_second"] * frame["seconds_per_sample"], 1)


def test_rates_are_those_of_the_main_row(folder):
    frame = pd.read_csv(folder / "bench.csv").set_index("setting")
    for unit in ("gflop_per_second", "gb_per_second"):
        rates = frame[[unit, f"floor_{unit}", f"peak_{unit}"]].dropna()
        assert set(rates.index) == {"main"}
        assert bool((rates >= 0).all(axis=None))
        assert 0 < rates.loc["main", f"floor_{unit}"] < 10 * rates.loc["main", f"peak_{unit}"]


def test_three_sizes_each_and_both_marginals(folder):
    frame = pd.read_csv(folder / "bench.csv")
    steps = frame[frame["setting"].str.startswith("steps")]
    assert set(zip(steps["mine_steps"], steps["marginals"], strict=True)) == {
        (steps, marginals) for steps in (1, 5, 20) for marginals in ("all_pairs", "shuffle")
    }
    for size in ("samples", "iterations"):
        assert frame["setting"].str.startswith(f"{size} ").sum() == 3


@pytest.fixture(scope="module")
def again(folder: Path) -> dict[str, Any]:
    """A second call, with the memory for two samples; what was noticed on the way."""
    told: dict[str, Any] = {"budgets": [], "fits": fits(folder)}

    def two(*_: Any, budget_gib: float | None, **__: Any) -> int:
        told["budgets"].append(budget_gib)
        return 2

    out = folder / "again"
    with mock.patch("uae_cli.bench.command.choose_chunk", two), redirect_stdout(StringIO()) as printed:
        options = ["--out", str(out), f"outputs={folder / 'outputs'}", "memory_budget=0.5"]
        assert main(["bench", "attack", *TINY, *options]) == 0
    return told | {"frame": pd.read_csv(out / "bench.csv"), "printed": printed.getvalue()}


def fits(folder: Path) -> set[int]:
    models = (folder / "outputs" / "stages").glob("fit-*/model.safetensors")
    return {path.stat().st_mtime_ns for path in models}


def test_a_second_call_trains_no_model(folder, again):
    assert again["fits"] == fits(folder)
    assert len(again["fits"]) == 4
    assert "×floor" in again["printed"]
    assert "GFLOP/s" in again["printed"]


def test_the_memory_budget_chooses_the_chunk_as_in_a_run(again):
    assert set(again["budgets"]) == {0.5}
    frame = again["frame"]
    assert frame["chunk_size"][~frame["setting"].isin(["training", "224 × 224 × 3"])].max() == 2


class Noted(nn.Module):
    """A model that notes whether the profiler is on when it is asked."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.feature_layer, self.profiled = model, f"model.{model.feature_layer}", []

    def forward(self, x: Tensor) -> Tensor:
        self.profiled.append(torch.autograd._profiler_enabled())
        return self.model(x)


def test_what_is_timed_is_not_profiled_and_nothing_is_left_behind(trained_ae, digits):
    """The profiler would slow the attack down; it looks at five iterations, once all is timed."""
    sampling = FeatureMaps(layer=None, marginals="all_pairs")
    mine = Mine(
        goal="minimize", require_positive=True, sampling=sampling, hidden=4, steps=2, learning_rate=1e-3
    )
    solver = MinMax(
        alpha=0.05,
        beta=0.1,
        iterations=3,
        epsilon=1.0,
        c_start=0.0,
        c_decay_exponent=0.25,
        delta_start="zero",
        step="gradient",
    )
    model = Noted(trained_ae)
    bench = Bench(Attack(Reconstruction(kappa=0.0), mine, solver), model, digits, 0, {})
    assert bench.row("main", samples=4, chunk_size=2)["iterations"] == 3
    # Two chunks: three passes; then clean samples, the start, three iterates, and what was found
    timed = 2 * (3 + 6)
    assert model.profiled[:timed] == [False] * timed
    assert model.profiled[timed:] == [False] * 3 + [True] * 5 + [False]


def test_parts_of_an_attack_are_told_apart():
    """The sampler alone has much to do; what its backward step takes is the sampler's, too."""
    weight = torch.ones(600, 600)

    def attack(iterations: int, on_iteration: Callable[[int], None]) -> None:
        for _ in range(iterations):
            leaf = torch.ones(600, 600, requires_grad=True)
            with record_function("uae.model"):
                output = leaf.sum()
            with record_function("uae.mine"), record_function("uae.features"):
                features = leaf @ weight
            with record_function("uae.backward"):
                torch.autograd.grad(output + features.sum(), leaf)
            on_iteration(1)

    shares = part_shares(attack, torch.device("cpu"))
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["share_features"] > 0.7


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
