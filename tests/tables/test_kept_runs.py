"""`uae table N --format runs`: the rows of each seed in one file, from which the tables can be made again."""

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from uae_cli.errors import ConfigError
from uae_cli.results import collect, finished_runs
from uae_cli.results.columns import COLUMNS
from uae_cli.tables.command import table_command

Finish = Callable[..., Path]
REPLICATE = "test_mse_gain_vs_replicate"


def written(number: str, fmt: str, outputs: Path, out: Path) -> str:
    assert table_command(number, outputs, fmt, out) == 0  # type: ignore[arg-type]
    return out.read_text(encoding="utf-8")


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "kept"


def run_of(seed: int, **more: object) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = [
        {"value": 0.002 + seed / 1000},
        {"metric": REPLICATE, "value": 1.0 + seed},
        {"metric": "train_mse", "value": 0.001},
        {"metric": "mi_held_out", "value": 3.0},
    ]
    return [{"seed": seed, "job": f"j{seed}", "seconds": 120.0, **row, **more} for row in rows]


@pytest.mark.parametrize("fmt", ["text", "csv", "markdown", "latex"])
def test_tables_are_made_again_from_the_kept_files_alone(
    outputs: Path, kept: Path, finish: Finish, fmt: str
) -> None:
    for seed in range(3):
        finish(f"runs/{seed}", *run_of(seed))
    for number in ("4", "10"):
        written(number, "runs", outputs, kept / f"table{number}.csv")
    assert not (collect(kept)["metric"] == "mi_held_out").any(), "what no table shows is kept"
    for number in ("4", "10"):
        again = written(number, fmt, kept, kept / "again")
        assert again == written(number, fmt, outputs, kept / "first")
    assert {run.job for run in finished_runs(kept)} == {"j0", "j1", "j2"}


def test_what_is_kept_stays_unless_it_is_measured_again(outputs: Path, kept: Path, finish: Finish) -> None:
    for seed in (0, 1):
        finish(f"first/{seed}", *run_of(seed))
    out = kept / "table4.csv"
    written("4", "runs", outputs, out)
    later = outputs.parent / "later"
    finish("../later/runs/a", *run_of(1, value=0.5, started="2025-02-01T10:00:00+00:00"))
    frame = pd.read_csv(out)
    written("4", "runs", later, out)
    again = pd.read_csv(out)
    assert list(again.columns) == list(COLUMNS)
    assert again[again["seed"] == 0].equals(frame[frame["seed"] == 0])
    assert (again[again["seed"] == 1]["value"] == 0.5).all()
    assert len(again) == len(frame)


def test_the_lines_of_a_sweep_are_kept_as_their_runs(outputs: Path, kept: Path, finish: Finish) -> None:
    for alpha in (0.01, 0.05):
        overrides, attack = f"attack.alpha={alpha}", f"alpha={alpha} beta=0.1"
        settings = f"12345678{alpha}"
        finish(str(alpha), {"overrides": overrides, "attack": attack, "settings": settings})
    finish("digits", {"dataset": "digits", "experiment": "digits_conv_ae", "attack": "alpha=0.01 beta=0.1"})
    text = written("12", "runs", outputs, kept / "table12.csv")
    assert text.count("mnist_conv_ae") == 2
    assert "digits" not in text
    assert "alpha0.05_beta0.1" in written("12", "text", kept, kept / "again")


def test_a_file_of_something_else_is_not_written_over(outputs: Path, kept: Path, finish: Finish) -> None:
    finish("a", *run_of(0))
    out = kept / "table4.csv"
    content = written("4", "csv", outputs, out)
    with pytest.raises(ConfigError, match=r"isn't made of the rows of runs .*; choose another file"):
        table_command("4", outputs, "runs", out)
    assert out.read_text() == content
    assert collect(kept).empty, "a table of means is taken for runs"


def test_an_interval_needs_three_seeds_and_is_students(outputs: Path, kept: Path, finish: Finish) -> None:
    for seed in range(2):
        finish(f"runs/{seed}", *run_of(seed))
    assert "interval" not in written("4", "text", outputs, kept / "t")
    finish("runs/2", *run_of(2))
    # 1, 2, 3: mean 2, standard error 1/√3, t of 2 degrees of freedom 4.303
    for fmt, told in {
        "text": "[-0.5, +4.5]",
        "markdown": r"\[-0.5, +4.5\]",
        "latex": "{[}-0.5, +4.5{]}",
    }.items():
        assert told in re.sub(r"−|\$-\$", "-", written("4", fmt, outputs, kept / "t"))
        assert "2 min a seed" in (kept / "t").read_text()
    written("4", "csv", outputs, kept / "t.csv")
    row = pd.read_csv(kept / "t.csv").set_index("metric").loc[REPLICATE]
    assert row[["low", "high"]].tolist() == pytest.approx(
        [2 - 4.3027 / 3**0.5, 2 + 4.3027 / 3**0.5], abs=1e-4
    )
    assert (row["seconds"], row["seeds"]) == (120, 3)


def test_the_choice_of_arms_and_draws_is_no_changed_setting(
    outputs: Path, kept: Path, finish: Finish
) -> None:
    chosen = "arm=[replicate,mine_uae] augmentation.draws=1"
    finish("a", {"overrides": chosen, "arm": "original"}, {"overrides": chosen})
    text = written("4", "text", outputs, kept / "t")
    assert "\nmnist · conv_ae\n" in text
    assert "†" not in text
    assert "mnist_conv_ae" in text.splitlines()[-1], "a run without the paper's other arms counts as whole"
