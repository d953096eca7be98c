"""`uae doctor`: what it says is what is here, and what is in the way ends in exit status 1."""

import builtins
import shutil
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from uae_cli import __version__, doctor
from uae_cli.cli import main


def call(capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, dict[str, str]]:
    """The exit status, and what stands behind each first word."""
    status = main(["doctor", *options])
    lines = capsys.readouterr().out.splitlines()
    return status, {word: rest.strip() for word, _, rest in (line.partition(" ") for line in lines)}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UAE_DATA", str(tmp_path))


def test_what_is_here(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, told = call(capsys)
    assert status == 0
    assert told["uae"].startswith(f"{__version__}, Python 3.")
    assert f"torch {metadata.version('torch')}" in told["packages"].split(", ")
    assert "pytest" not in told["packages"], "an extra's"
    assert told["data"] == f"in {tmp_path} (UAE_DATA or data.root= sets it): digits; the others: uae data"
    assert told["device"].startswith("cuda" if torch.cuda.is_available() else "cpu")
    assert "GiB free" in told["disk"]
    assert "GiB free" in told["memory"]
    assert list(tmp_path.iterdir()) == [], "it only looks"


def test_data_at_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "of_mine.npz").touch()
    assert ": digits, of_mine;" in call(capsys)[1]["data"]


def test_a_disk_that_is_full(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**28))
    status, told = call(capsys, "--outputs", "a/b")
    assert (status, told["problem:"]) == (1, "0.25 GiB of disk are left for a/b: set outputs= to another one")


def test_a_package_that_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(metadata, "requires", lambda _: ["not-there>=1", "torch>=2; extra == 'x'"])
    status, told = call(capsys)
    assert (status, told["problem:"]) == (1, "not installed: not-there; install uae again")


def test_a_card_that_torch_does_not_see(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    status, told = call(capsys)
    assert status == 1
    assert "built without CUDA, sees no card: install a build for this driver" in told["problem:"]


def test_a_torch_that_cannot_be_loaded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "torch":
            raise OSError("libcudart.so.12: cannot open\nshared object file")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.setattr(doctor, "_without_torch", lambda _: [])  # which hydra's instantiate would load it for
    status, told = call(capsys)
    assert (status, told["device"]) == (1, "unknown")
    assert "libcudart.so.12: cannot open shared object file" in told["problem:"]
