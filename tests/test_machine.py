"""Devices, threads and costs."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from uae_cli.errors import ConfigError
from uae_cli.machine import choose_device, choose_threads, commit, describe, metered

CPU = torch.device("cpu")


def test_auto_takes_what_is_there() -> None:
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert choose_device("cpu") == CPU


@pytest.mark.parametrize("name", ["nonsense", "cuda:x", "mps", "cuda:99", ""])
def test_what_is_no_device_here(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"^device = {name}: .*cpu"):
        choose_device(name)


def test_threads() -> None:
    assert choose_threads(3) == 3
    assert 1 <= choose_threads("auto") <= 4


def test_a_cost_is_time_and_memory() -> None:
    """In a process of its own: this one may hold freed memory, which needs no more from the machine."""
    code = (
        "import time, torch; from uae_cli.machine import metered\n"
        "with metered(torch.device('cpu')) as small: pass\n"
        "with metered(torch.device('cpu')) as large: held = torch.ones(50_000_000); time.sleep(0.2)\n"
        "assert large.seconds >= 0.2\n"
        "assert large.peak_bytes - small.peak_bytes > 0.9 * held.nbytes\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_cost_is_known_even_of_a_failure() -> None:
    with pytest.raises(RuntimeError, match="lost"), metered(CPU):
        raise RuntimeError("lost")


def test_the_description_is_whole() -> None:
    found = describe(CPU)
    assert found["device"] == found["cpu"]
    assert found["packages"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert found["memory_gib"] > 0


def test_the_commit_of_a_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("uae_cli.machine._ROOT", tmp_path)
    assert commit() is None
    (tmp_path / ".git").mkdir()  # not really a repository
    assert commit() is None


def test_changes_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import subprocess

    def git(*arguments: str) -> None:
        who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        subprocess.run(["git", "-C", str(tmp_path), *who, *arguments], check=True, capture_output=True)

    git("init")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-m", "one")
    monkeypatch.setattr("uae_cli.machine._ROOT", tmp_path)
    clean = commit()
    assert clean is not None
    assert len(clean) == 40
    (tmp_path / "a").write_text("2")
    assert commit() == f"{clean}+changes"
