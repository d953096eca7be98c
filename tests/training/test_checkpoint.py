"""A checkpoint that isn't what was written is told and not used."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from uae_cli.training.checkpoint import Checkpoint

CPU = torch.device("cpu")
Flip = Callable[[Path, float], None]


def saved(folder: Path, *numbers: float) -> Checkpoint:
    made = Checkpoint(folder / "fit.pt", CPU, 0)
    for number in numbers:
        state = {"number": number, "weight": torch.arange(5000.0)}
        made.save_now_and_then(lambda state=state: state)
    return made


def test_the_last_is_read_and_the_one_before_is_kept(tmp_path: Path) -> None:
    saved(tmp_path, 1, 2, 3)
    assert [file.name.split(".")[0] for file in sorted(tmp_path.iterdir())] == ["fit-2", "fit-3"]
    again = Checkpoint(tmp_path / "fit.pt", CPU, 0)
    assert again.state["number"] == 3
    assert torch.equal(again.state["weight"], torch.arange(5000.0))
    again.remove()
    assert list(tmp_path.iterdir()) == []


def test_another_ones_are_left_alone(tmp_path: Path) -> None:
    saved(tmp_path, 1)
    other = Checkpoint(tmp_path / "fit-1.pt", CPU, 0)
    assert other.state == {}
    other.remove()
    assert Checkpoint(tmp_path / "fit.pt", CPU).state["number"] == 1


def test_a_moment_later_nothing_is_saved(tmp_path: Path) -> None:
    Checkpoint(tmp_path / "fit.pt", CPU).save_now_and_then(lambda: {"number": 1})
    assert list(tmp_path.iterdir()) == []


def test_seconds_of_earlier_attempts_count(tmp_path: Path) -> None:
    made = saved(tmp_path, 1)
    made._began -= 100
    made.save_now_and_then(lambda: {"number": 2})
    assert Checkpoint(tmp_path / "fit.pt", CPU).seconds > 100


@pytest.mark.parametrize(
    "harm",
    [
        *(lambda path, flip, where=where: flip(path, where) for where in (0, 0.3, 0.5, 0.7, -1)),
        lambda path, flip: path.write_bytes(b""),
        lambda path, flip: path.write_bytes(path.read_bytes()[:5000]),
        lambda path, flip: path.write_bytes(bytes(5000)),
        lambda path, flip: (path.unlink(), path.mkdir(), (path / "stray").touch()),
    ],
)
def test_a_damaged_one_is_told_and_removed_and_the_one_before_is_used(
    tmp_path: Path,
    harm: Callable[[Path, Flip], object],
    flip: Flip,
    caplog: pytest.LogCaptureFixture,
) -> None:
    saved(tmp_path, 1, 2)
    before, last = sorted(tmp_path.iterdir())
    harm(last, flip)
    assert Checkpoint(tmp_path / "fit.pt", CPU).state["number"] == 1
    assert f"{last}: damaged (it doesn't hold what was written); the one before is used" in caplog.text
    assert not last.exists()
    harm(before, flip)
    assert Checkpoint(tmp_path / "fit.pt", CPU).state == {}
    assert f"{before}: damaged (it doesn't hold what was written); this work begins again" in caplog.text
    assert list(tmp_path.iterdir()) == []
