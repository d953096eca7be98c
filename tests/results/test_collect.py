import logging
import math
import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from uae_cli.hashing import seal
from uae_cli.results import MeanResult, collect, finished_runs, over_seeds, read_run, unread
from uae_cli.results.columns import COLUMNS, LATER

Finish = Callable[..., Path]


def only(outputs: Path) -> MeanResult:
    (row,) = over_seeds(collect(outputs))
    return row


def test_mean_and_spread_over_seeds(outputs: Path, finish: Finish) -> None:
    finish("runs/a/1", {"seed": 0, "value": 0.002})
    finish("multirun/2025/0", {"seed": 1, "value": 0.004}, {"seed": 2, "value": 0.009})
    row = only(outputs)
    assert row.mean == pytest.approx(0.005)
    assert row.std == pytest.approx(math.sqrt((9 + 1 + 16) / 2) * 1e-3)
    assert (row.seeds, row.spread) == (3, "seeds")


def test_one_seed_spreads_over_its_draws(outputs: Path, finish: Finish) -> None:
    finish("a", {"arm": "gaussian_1e-2", "std": 3e-5, "draws": 5})
    row = only(outputs)
    assert (row.std, row.spread, row.draws, row.seeds) == (3e-5, "draws", 5, 1)


def test_seeds_outrank_draws(outputs: Path, finish: Finish) -> None:
    finish(
        "a", *({"seed": seed, "value": value, "std": 9.0, "draws": 5} for seed, value in ((0, 1.0), (1, 3.0)))
    )
    row = only(outputs)
    assert (row.std, row.spread) == (pytest.approx(math.sqrt(2)), "seeds")


def test_one_seed_and_one_draw_have_no_spread(outputs: Path, finish: Finish) -> None:
    finish("a", {})
    row = only(outputs)
    assert (row.std, row.spread) == (None, "")


@pytest.mark.parametrize(
    "change",
    [{"settings": "ffff"}, {"scale": "smoke"}, {"n_train": 1000}, {"n_test": 100}, {"experiment": "other"}],
)
def test_different_experiments_are_never_averaged(
    outputs: Path, finish: Finish, change: dict[str, object]
) -> None:
    finish("a", {"value": 0.002})
    finish("b", {"value": 0.004, "seed": 1, **change})
    assert sorted(row.mean for row in over_seeds(collect(outputs))) == [0.002, 0.004]


def test_the_latest_of_a_repeated_run_wins_across_time_zones(outputs: Path, finish: Finish) -> None:
    finish("a", {"value": 0.001, "started": "2025-01-01T10:00:00+00:00"})
    finish("b", {"value": 0.002, "started": "2025-01-01T09:00:00-05:00"})
    finish("c", {"value": 0.003, "started": "2025-01-01T11:00:00+00:00"})
    assert only(outputs).mean == 0.002


def test_a_later_file_replaces_the_rows_that_it_has(outputs: Path, finish: Finish) -> None:
    finish("a", {"value": 0.001}, {"arm": "l2_uae", "value": 0.005})
    finish("b", {"value": 0.002, "started": "2025-02-01T10:00:00"})
    found = {row.arm: row.mean for row in over_seeds(collect(outputs))}
    assert found == {"mine_uae": 0.002, "l2_uae": 0.005}


def test_a_diverged_seed_is_not_passed_over(outputs: Path, finish: Finish) -> None:
    finish("a", {"seed": 0}, {"seed": 1, "value": float("nan")})
    assert math.isnan(only(outputs).mean)


def test_settings_that_look_like_a_number_stay_as_they_are(outputs: Path, finish: Finish) -> None:
    finish("a", {"settings": "12e34567", "note": "NA"})
    frame = collect(outputs)
    assert list(frame.columns) == list(COLUMNS)
    assert (frame["settings"].item(), frame["note"].item()) == ("12e34567", "NA")


def test_epochs_and_devices_of_all_seeds_are_told(outputs: Path, finish: Finish) -> None:
    finish("a", {"seed": 0, "epochs": 41, "device": "cpu"}, {"seed": 1, "epochs": 34, "device": "H200"})
    row = only(outputs)
    assert (row.epochs, row.device) == ("34–41", "cpu, H200")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"experiment,arm\na,b\n", "no column dataset"),
        (b"", "No columns"),
        (b"\xff\xfe\x00", "decode"),
        ((",".join(COLUMNS) + "\n").encode(), "no rows"),
    ],
)
def test_an_unreadable_file_is_left_out_with_one_warning(
    outputs: Path, finish: Finish, caplog: pytest.LogCaptureFixture, content: bytes, why: str
) -> None:
    finish("good", {"value": 0.002})
    bad = finish("bad", {})
    bad.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert only(outputs).mean == 0.002
    (record,) = caplog.records
    assert str(bad) in record.message
    assert why in record.message
    assert "\n" not in record.message


@pytest.mark.parametrize(
    "change", [{"value": "much"}, {"seed": ""}, {"started": "yesterday"}, {"epochs": "2.5"}]
)
def test_a_nonsense_value_leaves_the_file_out(
    outputs: Path, finish: Finish, caplog: pytest.LogCaptureFixture, change: dict[str, object]
) -> None:
    finish("bad", change)
    assert collect(outputs).empty
    assert len(caplog.records) == 1


@pytest.mark.parametrize("change", [("60000", "1e300"), ("test_mse", "test_msd")])
def test_a_damaged_value_leaves_the_file_out(outputs: Path, finish: Finish, change: tuple[str, str]) -> None:
    path = finish("bad", {})
    path.write_text(path.read_text().replace(*change))
    assert collect(outputs).empty


def test_a_row_changed_after_its_run_leaves_the_file_out(outputs: Path, finish: Finish) -> None:
    path = finish("a", {"value": 0.004})
    seal(path.parent)
    assert len(collect(outputs)) == 1
    path.write_text(path.read_text().replace("0.004", "0.003"))
    assert unread(outputs) == [f"{path}: doesn't hold what was written"]
    assert finished_runs(outputs) == []


def test_a_folder_or_a_dead_link_in_place_of_a_file_stops_nothing(outputs: Path, finish: Finish) -> None:
    finish("good", {})
    (outputs / "bad/results.csv").mkdir(parents=True)
    (outputs / "folder.csv").mkdir()
    (outputs / "link.csv").symlink_to("nowhere")
    assert len(collect(outputs)) == len(finished_runs(outputs)) == 1
    assert [line.partition(":")[0] for line in unread(outputs)] == [str(outputs / "bad/results.csv")]


def test_twice_the_same_row_leaves_the_file_out(outputs: Path, finish: Finish) -> None:
    finish("bad", {"value": 1.0}, {"value": 2.0})
    assert collect(outputs).empty


def test_no_folder_is_no_runs(outputs: Path) -> None:
    frame = collect(outputs)
    assert frame.empty
    assert over_seeds(frame) == []


def test_a_file_from_before_later_columns_is_read(outputs: Path, finish: Finish) -> None:
    path = finish("old", {"seed": 3})
    pd.read_csv(path).drop(columns=list(LATER)).to_csv(path, index=False)
    assert (only(outputs).n_attacked, only(outputs).attack) == (0, "")
    [run] = finished_runs(outputs)
    assert (run.folder, run.seed, run.job, run.n_attacked) == (path.parent, 3, "", 0)


def test_of_a_job_that_was_run_twice_the_later_is_told(outputs: Path, finish: Finish) -> None:
    first, second = (finish(name, {"job": "j", "n_attacked": 5}).parent for name in ("a", "b"))
    other = finish("c", {"job": "k"}).parent
    for seconds, folder in enumerate((second, first, other)):
        os.utime(folder / "results.csv", (seconds, seconds))
    assert [(run.folder, run.n_attacked) for run in finished_runs(outputs)] == [(first, 5), (other, 0)]


def test_what_is_no_table_of_results_is_no_finished_run(outputs: Path, finish: Finish) -> None:
    for name, content in (
        ("a", b""),
        ("b", b"experiment\n"),
        ("c", b"\xff\xfe"),
        ("d", b"seed,scale\nx,full\n"),
    ):
        finish(name, {}).write_bytes(content)
    assert finished_runs(outputs) == []


def test_metrics_of_older_runs_get_their_names_of_today(outputs: Path, finish: Finish) -> None:
    """What was called mi is the attack's own value, and no longer taken for an estimate."""
    names = ["in_attack_value", "mi_held_out", "asr"]
    path = finish("a", *({"metric": name} for name in names))
    older = path.read_text().replace("in_attack_value", "mi").replace("mi_held_out", "mi_reestimated")
    path.write_text(older)
    assert ",mi," in older
    assert list(read_run(path.parent)["metric"]) == names
