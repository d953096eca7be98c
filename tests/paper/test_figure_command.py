"""`uae figure`: where the paper's figures lie among finished runs."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from uae_cli.cli import main
from uae_cli.paper.page import how
from uae_cli.results import FinishedRun
from uae_cli.results.columns import LATER
from uae_cli.tables import Figure, contents

SMALL = ("threads=1", "data.train_size=8", "data.test_size=4", "attack.iterations=2", "similarity.steps=2")
LISTED = (Figure("5", "largest", "mine_uae_largest.png", ("digits_conv_ae",)),)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(contents, "CONTENTS", LISTED)
    return tmp_path


def test_it_is_found_and_copied(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = ("run", "experiment=digits_conv_ae", "scale=smoke", "arm=[replicate,mine_uae]", "seed=3", *SMALL)
    assert main(list(run)) == 0
    capsys.readouterr()
    assert main(["figure", "5"]) == 0
    told = capsys.readouterr().out
    assert "digits_conv_ae, seed 3 (smoke scale: less than full): outputs/runs/" in told
    assert main(["figure", "5", "--out", "copies"]) == 0
    [copy] = (here / "copies").iterdir()
    assert copy.name == "figure5_digits_conv_ae_smoke_seed3_mine_uae_largest.png"
    assert copy.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("scale", "attacked", "told"),
    [
        ("full", 0, ""),
        ("full", 1000, ", 1,000 samples attacked"),
        ("smoke", 1, ", 1 sample attacked (smoke scale: less than full)"),
    ],
)
def test_how_it_was_made_is_told(scale: str, attacked: int, told: str) -> None:
    assert how(FinishedRun(Path("run/results.csv"), "a_name", scale, 0, attacked, "job", "commit")) == told


def test_a_run_of_an_older_uae_that_says_not_which_job_it_was_is_found(
    here: Path, finish: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    table = finish("runs/old", {"experiment": "digits_conv_ae", "seed": 4})
    pd.read_csv(table).drop(columns=[*LATER]).to_csv(table, index=False)
    folder = table.parent
    (folder / "figures").mkdir()
    (folder / "figures" / "mine_uae_largest.png").touch()
    assert main(["figure", "5"]) == 0
    assert "digits_conv_ae, seed 4: outputs/runs/old" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("number", "line"),
    [
        ("5", "no finished run below outputs shows figure 5; start one: uae run experiment=digits_conv_ae"),
        ("5", "or all that it needs: uae paper --run --only f5\n"),
        ("55", "figure 55: the paper has no such figure; did you mean 5?"),
    ],
)
@pytest.mark.usefixtures("here")
def test_what_is_not_there_is_told(number: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["figure", number]) == 2
    assert line in capsys.readouterr().err
