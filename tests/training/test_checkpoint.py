"""A checkpoint that isn't what was written is told and not used."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from uae_cli.training import checkpoint
from uae_cli.training.checkpoint import Checkpoint

CPU = torch.device("cpu")


def flip(path: Path, where: float) -> None:
    content = bytearray(path.read_bytes())
    content[int(where * (len(content) - 1))] ^= 1
    path.write_bytes(content)


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN", 0)
    made = Checkpoint(tmp_path / "checkpoint.pt", CPU)
    made.history.losses.append(1.5)
    made.save_now_and_then(lambda: {"model": {"weight": torch.arange(5000.0)}})
    return tmp_path / "checkpoint.pt"


def test_what_was_saved_is_read(saved: Path) -> None:
    again = Checkpoint(saved, CPU)
    assert again.history.losses == [1.5]
    assert torch.equal(again.training["model"]["weight"], torch.arange(5000.0))


@pytest.mark.parametrize(
    "harm",
    [
        *(lambda path, where=where: flip(path, where) for where in (0.0, 0.3, 0.5, 0.7, 1.0)),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:5000]),
        lambda path: path.write_bytes(bytes(5000)),
        lambda path: (path.unlink(), path.mkdir()),
    ],
)
def test_a_damaged_one_is_told_and_removed(
    saved: Path, harm: Callable[[Path], object], caplog: pytest.LogCaptureFixture
) -> None:
    harm(saved)
    again = Checkpoint(saved, CPU)
    if not caplog.text:  # a bit that means nothing, as of a date
        assert torch.equal(again.training["model"]["weight"], torch.arange(5000.0))
        return
    assert (again.training, again.history.losses) == ({}, [])
    assert f"{saved}: damaged" in caplog.text
    assert not saved.exists()
