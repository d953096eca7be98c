"""`uae runs --verify` finds what is damaged; `uae runs prune` removes what nobody needs, and nothing else."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from uae_cli.claim import Claim
from uae_cli.cli import main
from uae_cli.hashing import seal, write_checked
from uae_cli.results import CLAIM, RESULTS_FILE

Finish = Callable[..., Path]
Dead = Callable[[Path], None]
Flip = Callable[[Path, float], None]
FIRST, SECOND, JOB = (
    "runs/mnist_conv_ae/2025-01-01_10-00-00-1a2b3c",
    "runs/mnist_conv_ae/2025-01-01_11-00-00-4d5e6f",
    "multirun/digits_conv_ae/2025-01-01_12-00-00-7a8b9c/10",
)
KEYS = {name: f"fit-{i:016x}" for i, name in enumerate(("shared", "first", "second", "job", "nobody"))}
A_DAY = 86400


@pytest.fixture
def folder(outputs: Path, finish: Finish) -> Path:
    """Three runs of three days ago and the stages that each has used, one that two share, one of nobody."""
    for where, used, row in (
        (FIRST, ("shared", "first"), {"job": "a"}),
        (SECOND, ("shared", "second"), {"job": "b", "seed": 1}),
        (JOB, ("job",), {"job": "c", "experiment": "digits_conv_ae"}),
    ):
        path = finish(where, row)
        log = "".join(f"[10:00:00] fit {name} is {KEYS[name]}\n" for name in used)
        path.with_name("run.log").write_text(log)
        path.with_name("results.json").write_text('{"command": "uae run seed=3"}')
    for key in KEYS.values():
        stage = outputs / "stages" / key
        stage.mkdir(parents=True)
        (stage / "model.safetensors").write_bytes(bytes(100_000))
        seal(stage)
    (outputs / FIRST / "tensors").mkdir()
    os.link(
        outputs / "stages" / KEYS["first"] / "model.safetensors",
        outputs / FIRST / "tensors" / "first.model.safetensors",
    )
    age(3 * A_DAY, outputs)
    return outputs


def age(seconds: float, *tops: Path) -> None:
    then = time.time() - seconds
    for top in tops:
        for path in (*top.rglob("*"), top):
            os.utime(path, (then, then))


def left(outputs: Path) -> set[str]:
    runs = {name for name in (FIRST, SECOND, JOB) if (outputs / name).exists()}
    return runs | {name for name, key in KEYS.items() if (outputs / "stages" / key).exists()}


ALL = {FIRST, SECOND, JOB, *KEYS}


def runs(outputs: Path, *options: str) -> int:
    return main(["runs", *options, "--outputs", str(outputs)])


def test_a_whole_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert runs(folder, "--verify") == 0
    assert capsys.readouterr().out == f"5 stages and 3 runs below {folder}: all is as it was written\n"


def test_what_is_damaged_is_told_with_the_way_out(
    folder: Path, flip: Flip, capsys: pytest.CaptureFixture[str]
) -> None:
    flip(folder / "stages" / KEYS["job"] / "model.safetensors", 0.5)
    (folder / "stages" / KEYS["shared"] / "model.safetensors").unlink()
    (folder / FIRST / RESULTS_FILE).write_text("")
    seal(folder / SECOND)
    flip(folder / SECOND / "results.json", 0)
    part = folder / "stages" / ".partial" / "attack-0123456789abcdef.token"
    part.mkdir(parents=True)
    for number in (0, 8):
        chunk = write_checked(part / f"chunk-{number}-7.safetensors", lambda to: to.write_bytes(bytes(99)))
    flip(chunk, 0.5)
    assert runs(folder, "--verify") == 1
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    for told in (
        f"stages/{KEYS['job']}/model.safetensors: doesn't hold what was written",
        f"stages/{KEYS['shared']}/model.safetensors: is gone the next run that needs it makes it again",
        chunk.name,
        f"{FIRST}/{RESULTS_FILE}: ",
        f"remove {FIRST}, and run it again: uae run seed=3",
        f"{SECOND}/results.json: doesn't hold what was written",
    ):
        assert any(told in line for line in lines), (told, lines)
    assert lines[-1] == f"5 stages and 3 runs below {folder}: 5 damaged"


def test_without_anything_there_is_nothing_to_verify(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert runs(tmp_path, "--verify") == 2
    assert "no runs and no stages are there" in capsys.readouterr().err


def test_it_says_what_could_go_and_removes_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert runs(folder, "prune") == 0
    out = capsys.readouterr().out
    assert f"stages/{KEYS['nobody']}" in out
    assert "1 folder, 0.1 MB of 0." in out
    assert "would be freed\nNothing was removed: --yes does it" in out
    assert left(folder) == ALL


@pytest.mark.parametrize(
    ("options", "gone"),
    [
        ((), {"nobody"}),
        (("4d5e6f",), {SECOND, "second"}),
        (("mnist_*",), {FIRST, SECOND, "first", "second", "shared"}),
        (("7a8b9c/10",), {JOB, "job"}),
        (("runs/*/2025-01-01_10*",), {FIRST, "first"}),
        (("--older", "2d"), ALL),
        (("--older", "1w"), set()),
        (("mnist_*", "--older", "1w"), set()),
        (("--keep", "1GB"), set()),
        (("--keep", "1kB"), {"nobody"}),
    ],
    ids=lambda given: str(sorted(given) if isinstance(given, set) else given),
)
def test_what_goes(options: tuple[str, ...], gone: set[str], folder: Path) -> None:
    assert runs(folder, "prune", *options, "--yes") == 0
    assert left(folder) == ALL - gone
    assert not list(folder.rglob(".removed*"))
    assert not list(folder.rglob("*.claim"))


def test_no_more_goes_than_it_takes_the_oldest_first(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    age(9 * A_DAY, folder / FIRST, folder / "stages" / KEYS["second"])
    size = sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())
    assert runs(folder, "prune", "--older", "1d", "--keep", f"{size - 90_000}MB".replace("MB", "kB")) == 0
    assert "0 folders" in capsys.readouterr().out
    assert runs(folder, "prune", "--older", "8d", "--yes") == 0
    assert left(folder) == ALL - {FIRST}, "the stage that a run which stays has used stays"


def test_a_file_with_a_name_elsewhere_frees_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run's tensors are its stages' files."""
    assert runs(folder, "prune", "1a2b3c") == 0
    both = float(capsys.readouterr().out.split("folders, ")[1].split(" MB")[0])
    assert 0.1 <= both < 0.2


def test_what_a_live_process_has_used_since_it_began_stays(folder: Path) -> None:
    going = folder / "runs" / "digits_conv_ae" / "2025-01-02_10-00-00-aaaaaa"
    going.mkdir(parents=True)
    claim = Claim(going / CLAIM)
    assert claim.take()
    os.utime(folder / "stages" / KEYS["nobody"])
    assert runs(folder, "prune", "--yes") == 0
    assert left(folder) == ALL
    assert going.exists()
    claim.release()
    assert runs(folder, "prune", "--yes") == 0
    assert left(folder) == ALL - {"nobody"}
    assert going.exists(), "it may be beginning"
    age(A_DAY, going)
    assert runs(folder, "prune", "--yes") == 0
    assert not going.exists()


def test_remains_of_killed_processes_go_and_no_finished_run(folder: Path, finish: Finish, dead: Dead) -> None:
    partial = folder / "stages" / ".partial"
    live, unfinished = partial / "fit-00000000000000aa.1", partial / "fit-00000000000000bb.2"
    killed = folder / "runs" / "digits_conv_ae" / "2025-01-02_10-00-00-bbbbbb"
    for one in (live, unfinished, killed):
        one.mkdir(parents=True)
    claim = Claim(partial / "fit-00000000000000aa.claim")
    assert claim.take()
    dead(killed / CLAIM)
    finish("runs/mnist_conv_ae/2025-01-03_10-00-00-cccccc", {"job": "a"})
    assert runs(folder, "prune", "--yes") == 0
    assert [one.exists() for one in (live, unfinished, killed)] == [True, False, False]
    assert (folder / FIRST).exists(), "also where the run was repeated later"
    claim.release()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("prune", "--older", "30"), "--older = 30: isn't an age like 30d, 12h or 2w"),
        (("prune", "--keep", "5 G"), "--keep = 5 G: isn't a size like 5GB, 500MB or 2GiB"),
        (("prune", "nobody"), "prune nobody: no run below"),
        (("--yes",), "go with uae runs prune"),
    ],
)
def test_refused(
    options: tuple[str, ...], said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert runs(folder, *options) == 2
    assert said in capsys.readouterr().err
    assert left(folder) == ALL
