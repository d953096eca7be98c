"""`uae` called in this process, from an empty folder; and, once a session, as installed from the wheel."""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from calling import Called, Uae

from uae_cli.cli import main

ROOT = Path(__file__).parents[2]


@pytest.fixture
def uae(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Uae]:
    """Call a command in `tmp_path`, without a data root."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("UAE_DATA", raising=False)  # tests say where data are
    handlers = logging.root.handlers[:]

    def call(*arguments: str) -> Called:
        status = main(list(arguments))
        return Called(status, *capsys.readouterr())

    yield call
    # Hydra has put its own in their place
    for handler in logging.root.handlers:
        handler.close()
    logging.root.handlers = handlers


@pytest.fixture
def npz(tmp_path: Path) -> Callable[..., Path]:
    """Write samples as a user's own dataset, outside the folder that commands run in."""

    def write(x: np.ndarray) -> Path:
        folder = tmp_path.parent / f"{tmp_path.name}-data"
        folder.mkdir(exist_ok=True)
        path = folder / "own.npz"
        y = np.zeros(len(x), dtype=np.int64)
        np.savez(path, x_train=x, y_train=y, x_test=x, y_test=y, note=np.array("a made set"))
        return path

    return write


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which the built wheel, and nothing else, is installed."""
    made, target = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input"]
    for step in (
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(made), str(ROOT)],
        [
            *pip,
            "install",
            "--no-deps",
            "--no-index",
            "--target",
            str(target),
            "--find-links",
            str(made),
            "uae",
        ],
    ):
        done = subprocess.run(step, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    return target


def _take_interrupts() -> None:
    """A shell's background job, which these tests may be, ignores Ctrl-C, and its children with it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def start(installed: Path, tmp_path: Path) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start the installed `uae` in an unrelated folder."""
    environment = {name: value for name, value in os.environ.items() if name != "UAE_DATA"}
    environment |= {"PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}
    started: list[subprocess.Popen[str]] = []

    def call(*arguments: str) -> "subprocess.Popen[str]":
        command = [sys.executable, str(installed / "bin" / "uae"), *arguments]
        process = subprocess.Popen(
            command,
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_take_interrupts,
        )
        started.append(process)
        return process

    yield call
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()
