"""What the system refuses is one line that says where, and the way out."""

import errno
import os
import sys
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from uae_cli.cli import main
from uae_cli.errors import ConfigError, refusal, told_if_refused
from uae_cli.hashing import damage, seal, write_json


@pytest.mark.parametrize(
    ("error", "parts"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device"),
            ("place: no space is left (", " kB)", "free some"),
        ),
        (OSError(errno.EDQUOT, "Quota", "/disk/x"), ("/disk/x: the quota is used up",)),
        (OSError(errno.EMFILE, "Too many", "/disk/x"), ("/disk/x: too many open files", "ulimit -n")),
        (SafetensorError("I/O error: File too large (os error 27)"), ("place: larger than", "ulimit -f")),
        (RuntimeError("unable to open file <x>: Too many open files (24)"), ("too many open files",)),
        (RuntimeError("PytorchStreamWriter failed writing file data/0"), ("place: no space is left",)),
    ],
)
def test_a_refusal_is_one_line(error: Exception, parts: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as caught, told_if_refused("place"):
        raise error
    assert all(part in str(caught.value) for part in parts)


@pytest.mark.parametrize("error", [OSError("odd"), FileNotFoundError(2, "none"), RuntimeError("shapes")])
def test_a_mistake_of_our_own_is_no_refusal(error: Exception) -> None:
    assert refusal(error) is None
    with pytest.raises(type(error)), told_if_refused("place"):
        raise error


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has one")
def test_torch_and_json_on_a_full_disk() -> None:
    with pytest.raises(ConfigError, match="no space is left"), told_if_refused("x"):
        torch.save({"a": torch.ones(1000)}, "/dev/full")


def test_a_file_that_may_not_be_opened_now_is_not_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_text("a")
    seal(tmp_path)
    opened = Path.open

    def refuse(path: Path, *arguments: object, **more: object) -> object:
        if path.name == "a":
            raise OSError(errno.EMFILE, "Too many open files", str(path))
        return opened(path, *arguments, **more)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(OSError, match="Too many"):
        damage(tmp_path)


def test_nothing_is_left_of_a_file_that_found_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    write_json(path, 1)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match=r"a\.json: no space is left"):
        write_json(path, 2)
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]
    assert path.read_text() == "1"


def test_a_closed_terminal_is_no_mistake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert main(["data", "--root", str(tmp_path)]) == 0
    sys.stdout.close()
    sys.stderr.close()
