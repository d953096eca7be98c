import io
import re
from collections.abc import Callable

import pandas as pd
import pytest
from rich.console import Console

from uae_cli.results.columns import METRICS, Metric
from uae_cli.tables.command import print_run

FrameOf = Callable[..., pd.DataFrame]
VS_ORIGINAL = "test_mse_gain_vs_original"
VS_REPLICATE = "test_mse_gain_vs_replicate"


def printed(rows: pd.DataFrame, width: int = 100) -> str:
    stream = io.StringIO()
    print_run(rows, Console(file=stream, width=width, color_system=None))
    return re.sub(" +", " ", stream.getvalue().replace(" \n", "\n"))


def test_every_measure_stands_in_its_arms_line(frame_of: FrameOf) -> None:
    measures = {"test_mse": 0.003, VS_ORIGINAL: 12.34, VS_REPLICATE: -5.6, "train_mse": 0.002, "asr": 98.76}
    measures |= {"perturbation_l2": 1.234, "seconds_per_sample": 0.0567}
    text = printed(frame_of(*({"metric": metric, "value": value} for metric, value in measures.items())))
    assert "mine_uae 0.00300 ◄ 0.00256 +12.3 −5.6 0.00200 98.76 1.23 0.0567" in text
    assert "60,000 training and 10,000 test samples · Testing device · 2025-01-01 · 1 seed" in text


def test_the_lowest_error_is_marked_and_nothing_else(frame_of: FrameOf) -> None:
    arms = {"mine_uae": float("nan"), "original": 0.003, "replicate": 0.001}
    text = printed(frame_of(*({"arm": arm, "value": value} for arm, value in arms.items())))
    assert [line.split()[0] for line in text.splitlines() if "◄" in line and "lowest" not in line] == [
        "replicate"
    ]
    assert "mine_uae nan" in text


@pytest.mark.parametrize(
    ("gain", "wording"),
    [
        (-0.7, "0.7 % above replicate's: no better than the same extra training without new samples."),
        (0.7, "0.7 % below replicate's: of one seed, which can't tell a gain from chance"),
        (0.0, "equal to replicate's: no better than the same extra training without new samples."),
        (-0.04, "equal to replicate's: no better than"),
        (0.04, "equal to replicate's: no better than"),
        (0.06, "0.1 % below replicate's: of one seed"),
    ],
)
def test_the_verdict_is_plain(frame_of: FrameOf, gain: float, wording: str) -> None:
    rows = frame_of({"metric": VS_ORIGINAL, "value": 39.0}, {"metric": VS_REPLICATE, "value": gain})
    text = printed(rows, width=300)
    assert "mine_uae: test MSE 39.0 % below original's" in text
    assert wording in text


def test_a_gain_smaller_than_the_seeds_spread_is_told_as_such(frame_of: FrameOf) -> None:
    rows = [
        {"metric": metric, "seed": seed, "value": value}
        for metric in (VS_ORIGINAL, VS_REPLICATE)
        for seed, value in enumerate((-1.0, 2.0))
    ]
    text = printed(frame_of(*rows), width=300)
    assert "0.5 % (± 2.1 % over 2 seeds) below replicate's: the latter is within the spread" in text


@pytest.mark.parametrize(
    ("lacks", "wording"),
    [
        ({"scale": "subset", "n_train": 2000}, "mine_uae (of a run that is less than full): test MSE 39.0 %"),
        ({}, "mine_uae: test MSE 39.0 %"),
    ],
)
def test_a_verdict_says_that_its_run_is_less_than_full(
    frame_of: FrameOf, lacks: dict[str, object], wording: str
) -> None:
    gains = {VS_ORIGINAL: 39.0, VS_REPLICATE: 0.7}
    rows = [{**lacks, "metric": metric, "value": value} for metric, value in gains.items()]
    assert wording in printed(frame_of(*rows), width=300)


def test_nothing_is_judged_by_a_smoke_run(frame_of: FrameOf) -> None:
    gains = {"test_mse": 0.003, VS_ORIGINAL: 39.0, VS_REPLICATE: 0.7}
    smoke = {"scale": "smoke", "n_train": 64}
    text = printed(frame_of(*({**smoke, "metric": name, "value": value} for name, value in gains.items())))
    assert "too small to judge any arm by" in text
    assert "replicate's" not in text
    assert "+39.0 +0.7" in text


def test_what_a_run_lacks_and_its_note_are_told(frame_of: FrameOf) -> None:
    partial = {"dataset": "svhn_test10k", "n_train": 8000, "scale": "smoke", "note": "not the full SVHN"}
    text = printed(frame_of(partial))
    assert "LESS THAN FULL: smoke scale; a part of svhn; 8,000 of 73,257 training samples" in text
    assert "svhn_test10k: not the full SVHN" in text
    assert "0.00095†" in text
    assert "† the paper's value is of the full svhn" in text


def test_a_dataset_not_in_the_paper_has_no_column_for_it(frame_of: FrameOf) -> None:
    assert "paper" not in printed(frame_of({"dataset": "digits"}))


def test_a_narrow_terminal_gets_its_columns_below_one_another(frame_of: FrameOf) -> None:
    rows = frame_of(
        {"arm": "matched_noise", "std": 2e-5, "draws": 5},
        {"arm": "matched_noise", "metric": "seconds_per_sample", "value": 0.001},
    )
    wide, narrow = printed(rows, 110), printed(rows, 28)
    assert "matched_noise 0.00400 ± 0.000020 ◄" in wide
    assert "No room" not in wide
    assert "matched_noise 0.00400 ◄" in narrow
    assert "matched_noise 0.001" in narrow
    assert "No room here for the spreads" in " ".join(narrow.split())


def test_without_a_terminal_it_goes_to_standard_output(
    frame_of: FrameOf, capsys: pytest.CaptureFixture[str]
) -> None:
    print_run(frame_of({"std": 2e-5, "draws": 5}))
    assert "0.00400 ± 0.000020" in capsys.readouterr().out


def test_without_a_reconstruction_another_metric_is_compared(
    frame_of: FrameOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(METRICS, "test_accuracy", Metric("%", gains="points", heading="accuracy\n%"))
    measures = {"test_accuracy": 91.5, "test_accuracy_gain_vs_original": 2.0}
    measures |= {"test_accuracy_gain_vs_replicate": -0.5, "asr": 98.76}
    rows = [{"dataset": "digits", "metric": metric, "value": value} for metric, value in measures.items()]
    text = printed(frame_of(*rows), width=300)
    assert "mine_uae 91.50 ◄ +2.0 −0.5 98.76" in text
    assert "accuracy % 2.0 points above original's, 0.5 points below replicate's: no better than" in text


def test_a_comparison_of_attacks_has_no_gains(frame_of: FrameOf) -> None:
    text = printed(frame_of({"arm": "penalty", "metric": "asr", "value": 99.0}))
    assert "penalty 99.00" in text
    assert "gain" not in text.lower()
