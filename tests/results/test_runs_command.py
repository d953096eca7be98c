"""`uae runs`: what is finished, which is best, and in what two runs differ."""

from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from uae_cli.cli import main
from uae_cli.results import RESULTS_FILE

Finish = Callable[..., Path]
FIRST, SECOND, JOB = (
    "runs/mnist_conv_ae/2025-01-01_10-00-00-1a2b3c",
    "runs/mnist_conv_ae/2025-01-01_11-00-00-4d5e6f",
    "multirun/digits_conv_ae/2025-01-01_12-00-00-7a8b9c/10",
)


@pytest.fixture
def three_runs(outputs: Path, finish: Finish) -> Path:
    accuracy = {"metric": "test_accuracy", "value": 90.0}
    finish(FIRST, {"arm": "original", "value": 0.006}, {"value": 0.004}, accuracy)
    other = {"overrides": "attack.alpha=0.05", "settings": "2", "started": "2025-01-01T11:00:00+00:00"}
    finish(SECOND, {"value": 0.003} | other, accuracy | {"value": 80.0} | other)
    finish(
        JOB,
        {"value": float("nan"), "experiment": "digits_conv_ae", "started": "2025-01-01T12:00:00+00:00"},
    )
    for where, config in (
        (FIRST, {"seed": 0, "attack": {"alpha": 0.01, "beta": 0.1}, "arm": {}, "data": "a" * 70}),
        (
            SECOND,
            {
                "seed": 0,
                "attack": {"alpha": 0.05, "beta": 0.1},
                "similarity": {"steps": None},
                "arm": {},
                "data": "a" * 71,
            },
        ),
    ):
        (outputs / where / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(config)))
    return outputs


def listed(outputs: Path, capsys: pytest.CaptureFixture[str], *options: str) -> list[list[str]]:
    assert main(["runs", "--outputs", str(outputs), *options]) == 0
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def refused(outputs: Path, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    assert main(["runs", "--outputs", str(outputs), *options]) == 2
    return capsys.readouterr().err


def test_the_latest_is_the_last(three_runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = listed(three_runs, capsys)
    assert [row[0] for row in rows] == ["run", "1a2b3c", "4d5e6f", "7a8b9c/10"]
    assert rows[2][1:] == ["2025-01-01", "11:00", "mnist_conv_ae", "full", "0", "attack.alpha=0.05"]


def test_of_one_experiment(three_runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = listed(three_runs, capsys, "--experiment", "digits_conv_ae")
    assert [row[0] for row in rows[1:]] == ["7a8b9c/10"]


@pytest.mark.parametrize(
    ("measure", "best"),
    [
        (
            "test_mse",
            [("4d5e6f", "0.003"), ("1a2b3c", "0.004"), ("7a8b9c/10", "nan")],
        ),  # the lower, the better
        ("test_accuracy", [("1a2b3c", "90"), ("4d5e6f", "80")]),  # the higher
    ],
)
def test_best_first(
    three_runs: Path, capsys: pytest.CaptureFixture[str], measure: str, best: list[tuple[str, str]]
) -> None:
    rows = listed(three_runs, capsys, "--best", measure)
    assert [(row[0], row[7]) for row in rows[1:]] == best
    assert {row[6] for row in rows[1:]} == {"mine_uae"}


def test_a_gain_is_better_when_higher(
    outputs: Path, finish: Finish, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "test_mse_gain_vs_replicate"
    finish("a", {"metric": name, "value": -2.0}, {"metric": name, "value": 1.0, "arm": "l2_uae"})
    assert listed(outputs, capsys, "--best", name)[1][6:8] == ["l2_uae", "1"]


def test_what_differs(three_runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = listed(three_runs, capsys, "diff", "1a2b3c", str(three_runs / SECOND))
    cut = "a" * 60 + "…"
    assert rows[1:] == [
        ["attack.alpha", "0.01", "0.05"], ["data", cut, cut], ["similarity.steps", "–", "null"]
    ]  # fmt: skip
    assert main(["runs", "diff", "1a2b3c", "1a2b3c", "--outputs", str(three_runs)]) == 0
    assert "the same settings" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--best", "test_msa"], "did you mean test_mse?"),
        (["--experiment", "digit_conv_ae"], "did you mean digits_conv_ae?"),
        (["diff", "1a2b3c"], "write uae runs diff A B"),
        (["dif", "1a2b3c", "4d5e6f"], "write uae runs diff A B"),
        (["diff", "1a2b3d", "4d5e6f"], "did you mean 1a2b3c?"),
        (["diff", "1a2b3c", "7a8b9c/10"], "config.yaml: can't be read"),
    ],
)
def test_refused(three_runs: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str) -> None:
    line = refused(three_runs, capsys, *options)
    assert said in line
    assert line.count("\n") == 1


def test_what_has_no_better_end(outputs: Path, finish: Finish, capsys: pytest.CaptureFixture[str]) -> None:
    finish("a", {"metric": "perturbation_l2", "value": 1.0}, {})
    line = refused(outputs, capsys, "--best", "perturbation_l2")
    assert "no finished run has such an error, accuracy or gain; there are: test_mse" in line


def test_no_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "start one with `uae run`" in refused(tmp_path, capsys)


def test_runs_of_which_only_a_tables_file_is_left(
    outputs: Path, finish: Finish, capsys: pytest.CaptureFixture[str]
) -> None:
    seeds = [{"seed": seed, "job": f"{seed}abcdef0123", "value": 0.003 - seed / 1000} for seed in (0, 1)]
    finish("kept", *seeds).rename(outputs / "table4.csv")
    rows = listed(outputs, capsys, "--best", "test_mse")
    assert [row[0] for row in rows[1:]] == ["table4.csv:1abcde", "table4.csv:0abcde"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a: [1", "not YAML"),
        (b"\xff\xfea\x00:\x00", "UTF-8"),
        ("name: Zürich".encode("latin-1"), "UTF-8"),
        (b"a: !!timestamp x", "not YAML"),
    ],
)
def test_a_damaged_config_is_told(
    three_runs: Path, capsys: pytest.CaptureFixture[str], content: bytes, said: str
) -> None:
    (three_runs / FIRST / "config.yaml").write_bytes(content)
    line = refused(three_runs, capsys, "diff", "1a2b3c", "4d5e6f")
    assert said in line
    assert "config.yaml" in line
    assert line.count("\n") == 1


def test_a_damaged_file_is_left_out(three_runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = three_runs / SECOND / RESULTS_FILE
    table.write_text(table.read_text().replace("80.0", "eighty"))
    assert [row[0] for row in listed(three_runs, capsys)[1:]] == ["1a2b3c", "7a8b9c/10"]
