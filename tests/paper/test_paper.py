"""`uae paper` on two experiments of digits that take a second each."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from uae_cli import machine
from uae_cli.cli import main
from uae_cli.experiment.compose import register_resolvers
from uae_cli.paper import estimate as calibration
from uae_cli.paper import jobs
from uae_cli.paper.jobs import Composer
from uae_cli.run import rows as run_rows
from uae_cli.tables import TABLES, Figure, Run, Table, contents

SMALL = ("threads=1", "data.train_size=8", "data.test_size=4", "attack.iterations=2", "similarity.steps=2")
CONV, DENSE = ("experiment=digits_conv_ae",), ("experiment=digits_sparse_ae", "similarity.sampling.count=3")


def table_4(*needed: Run) -> Table:
    """Table 4 as if the paper had these runs alone."""

    class Errors(Table):
        runs = needed  # type: ignore[assignment]

    return Errors(**{**vars(TABLES["4"]), "short": "errors"})


LISTED = (table_4(CONV, DENSE), Figure("5", "largest", "mine_uae_largest.png", ("digits_conv_ae",)))

Paper = Callable[..., tuple[int, str]]


@pytest.fixture
def paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Paper:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(contents, "CONTENTS", LISTED)

    def call(*arguments: str) -> tuple[int, str]:
        code = main(["paper", "--scale", "smoke", *arguments, *SMALL])
        told = capsys.readouterr()
        return code, told.out + told.err

    return call


def page(tmp_path: Path) -> str:
    return (tmp_path / "outputs" / "paper.html").read_text()


def test_it_lists_runs_and_resumes(paper: Paper, tmp_path: Path) -> None:
    code, text = paper()
    assert code == 0
    assert re.search(r"table 4 +errors +0/2 +–", text)
    assert "Nothing has been run for these yet" in page(tmp_path)

    code, text = paper("--run", "--only", "f5")
    assert (code, text.count("uae run experiment=")) == (0, 1)
    assert "data:image/png;base64," in page(tmp_path)

    code, text = paper("--run")
    assert (code, text.count("uae run experiment=")) == (0, 1), "the finished run was made again"
    assert re.search(r"table 4 +errors +2/2", text)
    assert len(list(tmp_path.rglob("results.csv"))) == 2

    whole = page(tmp_path)
    assert "digits · conv_<wbr>ae" in whole
    assert "Less than full: smoke scale" in whole
    assert ">mine_<wbr>uae</span></td>" in whole
    assert not re.search('class="[^"]*(worse|better)', whole), "a smoke run is judged"
    assert not re.search(r"(src|href)=[\"'](?!#|data:|https://arxiv.org)", whole), "needs the network"


def test_a_run_by_other_code_counts_as_done_and_is_told(
    paper: Paper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_rows, "commit", lambda: "abcdef012345")
    paper("--run", "--only", "f5")
    for now, told in (("abcdef012345", False), (None, False), ("abcdef012345+changes", True)):
        monkeypatch.setattr(machine, "commit", lambda now=now: now)
        _, text = paper("--only", "f5")
        assert ("1/1 (abcdef0) " in text) == told
        assert ("To make such a run anew, remove its folder below outputs" in text) == told
        assert re.search(r"figure 5 +largest +1/1 .* done", paper("--only", "f5", "--times")[1])
    _, text = paper("--run", "--only", "f5")
    assert ("1/1 (abcdef0) " in text, "uae run experiment" in text) == (True, False)
    assert "Commits abcdef0;" in page(tmp_path)


def test_a_setting_that_a_run_does_not_read_is_kept_from_it(paper: Paper) -> None:
    code, text = paper("--run", "--only", "f5", "data.attack_size=5")
    assert code == 0, text
    assert "digits_conv_ae" in text
    assert "attack_size" not in text


def test_another_seed_is_another_run(paper: Paper) -> None:
    paper("--run", "--only", "f5")
    _, text = paper("--seeds", "0,1")
    assert re.search(r"figure 5 +largest +1/2", text)


def test_a_run_that_fails_is_told_and_the_others_go_on(
    paper: Paper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = (*CONV, "model.trainer.objective.optimizer.lr=-1")
    monkeypatch.setattr(contents, "CONTENTS", (table_4(broken, CONV),))
    code, text = paper("--run")
    assert code == 1
    assert "failed: model.trainer.objective.optimizer.lr = -1" in text
    assert re.search(r"table 4 +errors +1/2", text)
    assert "Failed just now" in page(tmp_path)


def test_missing_data_are_named_and_a_part_stands_in_only_when_asked(
    paper: Paper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "CONTENTS", (table_4(("experiment=svhn_conv_ae",)),))
    _, text = paper("--run", "data.root=nowhere")
    assert "uae run" not in text
    assert "Missing data: svhn" in text
    assert "--partial lets svhn_test10k for svhn stand in" in text


def test_a_command_line_is_composed_once_for_the_same_conf(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register_resolvers()
    outputs, composed = tmp_path / "outputs", []
    compose = jobs.compose_jobs
    monkeypatch.setattr(jobs, "compose_jobs", lambda *a, **more: composed.append(a) or compose(*a, **more))

    def seed_of(*arguments: str) -> int:
        composer = Composer(outputs)
        config = composer.config((*CONV, *arguments))
        composer.keep()
        return int(config["seed"])

    assert [seed_of("seed=1"), seed_of("seed=1"), len(composed)] == [1, 1, 1]
    assert [seed_of("seed=2"), seed_of("seed=1"), len(composed)] == [2, 1, 2]
    monkeypatch.setenv("UAE_DATA", str(tmp_path))
    assert [seed_of("seed=1"), len(composed)] == [1, 3]
    (outputs / "composed.json").write_text("{")
    assert [seed_of("seed=1"), len(composed)] == [1, 4]


def test_an_estimate_is_measured_once(paper: Paper, monkeypatch: pytest.MonkeyPatch) -> None:
    assert re.search(r"figure 5 .* 0/1 +~\d+ s", paper("--only", "f5", "--times")[1])
    monkeypatch.setattr(calibration, "estimate", lambda *_: pytest.fail("measured again"))
    assert paper("--only", "f5", "--times")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--seeds", "a"], "--seeds = a: must be whole numbers"),
        (["--seeds=-1"], "--seeds = -1: must be whole numbers"),
        (["--only", "99"], "--only = 99: no such table or figure"),
        (["--out", "/dev/null/x.html"], "--out = /dev/null/x.html: cannot be written"),
        (["attack.alhpa=1"], "attack.alhpa: no such setting"),
    ],
)
def test_bad_input_is_one_line(paper: Paper, arguments: list[str], line: str) -> None:
    code, text = paper(*arguments)
    assert code == 2
    assert line in text


def test_several_runs_of_smoke_scale_are_made_side_by_side(paper: Paper, tmp_path: Path) -> None:
    code, text = paper("--run", "--seeds", "0,1", "--only", "4", "jobs=2", "arm=[replicate]")
    assert code == 0, text
    assert re.findall(r"\[(\d)/4\] uae run", text) == ["1", "2", "3", "4"]
    commands = [json.loads(file.read_text())["command"] for file in tmp_path.rglob("results.json")]
    assert len(commands) == 4
    assert all(" jobs=1 " in command for command in commands)
