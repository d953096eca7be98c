"""Devices, threads, costs; limits of control groups, in a copy of the folders that the kernel shows."""

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch

from uae_cli import machine
from uae_cli.errors import ConfigError
from uae_cli.machine import (
    choose_device,
    choose_jobs,
    choose_threads,
    commit,
    describe,
    free_bytes,
    granted_bytes,
    metered,
)

CPU = torch.device("cpu")
MIB = 2**20


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


def test_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_idle_cores", lambda: 6)
    monkeypatch.setattr(machine, "free_bytes", lambda _device: 10**15)
    assert choose_jobs(9, CPU, 4) == 9
    assert [choose_jobs("auto", CPU, threads) for threads in (1, 2, 4, 8)] == [6, 3, 1, 1]
    assert choose_jobs("auto", torch.device("cuda"), 1) == 1
    monkeypatch.setattr(machine, "free_bytes", lambda _device: 7 * psutil.Process().memory_info().rss)
    assert choose_jobs("auto", CPU, 1) == 3


def test_no_worker_outlives_its_parent(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys, time; from uae_cli.machine import worker_processes\n"
        "with worker_processes(1, str) as pool:\n"
        "    print(pool.submit(os.getpid).result(), flush=True)\n"
        "    pool.submit(time.sleep, 600)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, timeout=120)
    worker, until = int(done.stdout), time.monotonic() + 20
    while psutil.pid_exists(worker) and psutil.Process(worker).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < until, "still there"
        time.sleep(0.1)


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


def test_the_commit_of_a_checkout(tmp_path: Path) -> None:
    assert commit(tmp_path) is None
    (tmp_path / ".git").mkdir()  # not really a repository
    assert commit(tmp_path) is None


def test_changes_are_told(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        subprocess.run(["git", "-C", str(tmp_path), *who, *arguments], check=True, capture_output=True)

    git("init")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-m", "one")
    clean = commit(tmp_path)
    assert clean is not None
    assert len(clean) == 40
    (tmp_path / "a").write_text("2")
    assert commit(tmp_path) == f"{clean}+changes"


def group(folder: Path, version: int, limit: int | str, used: int, cached: int | None = None) -> None:
    names = {2: ("memory.max", "memory.current"), 1: ("memory.limit_in_bytes", "memory.usage_in_bytes")}
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in zip(names[version], (limit, used), strict=True):
        (folder / name).write_text(f"{value}\n")
    if cached is not None:
        prefix = "" if version == 2 else "total_"
        (folder / "memory.stat").write_text(f"anon 1\n{prefix}inactive_file {cached}\n{prefix}x 9\n")


def free(root: Path, membership: str) -> int | None:
    listed = root / "membership"
    listed.write_text(membership)
    return granted_bytes(root, listed)


def test_version_2(tmp_path):
    group(tmp_path / "job/step", 2, 512 * MIB, 100 * MIB)
    assert free(tmp_path, "0::/job/step\n") == 412 * MIB


def test_version_1_among_other_controllers(tmp_path):
    group(tmp_path / "memory/job", 1, 512 * MIB, 100 * MIB)
    assert free(tmp_path, "5:devices:/other\n4:cpu,memory:/job\n0::/\n") == 412 * MIB


@pytest.mark.parametrize("version", [1, 2])
def test_cached_files_count_as_free(tmp_path, version):
    folder = tmp_path if version == 2 else tmp_path / "memory"
    group(folder, version, 512 * MIB, 500 * MIB, cached=300 * MIB)
    assert free(tmp_path, "0::/\n" if version == 2 else "4:memory:/\n") == 312 * MIB


def test_the_tightest_of_all_ancestors_counts(tmp_path):
    group(tmp_path / "job/step", 2, "max", 10 * MIB)
    group(tmp_path / "job", 2, 64 * MIB, 60 * MIB)
    group(tmp_path, 2, 512 * MIB, 60 * MIB)
    assert free(tmp_path, "0::/job/step\n") == 4 * MIB


def test_a_container_sees_its_own_group_at_the_root(tmp_path):
    group(tmp_path / "memory", 1, 64 * MIB, 60 * MIB)
    assert free(tmp_path, "4:memory:/docker/0123\n") == 4 * MIB


def test_use_above_the_limit_leaves_nothing(tmp_path):
    group(tmp_path, 2, 64 * MIB, 70 * MIB)
    assert free(tmp_path, "0::/\n") == 0


@pytest.mark.parametrize("membership", ["", "0::/\n", "4:memory:/job\n", "3:cpu:/\n"])
def test_without_a_limit_there_is_none(tmp_path, membership):
    group(tmp_path / "elsewhere", 2, 1, 1)
    assert free(tmp_path, membership) is None
    group(tmp_path, 2, "max", 5)
    assert free(tmp_path, "0::/\n") is None


def test_where_there_are_no_groups(tmp_path):
    assert granted_bytes(tmp_path, tmp_path / "absent") is None


def test_the_devices_free_memory_is_the_smaller(monkeypatch):
    monkeypatch.setattr("uae_cli.machine.granted_bytes", lambda: 3 * MIB)
    assert free_bytes(CPU) == 3 * MIB
    monkeypatch.setattr("uae_cli.machine.granted_bytes", lambda: 2**62)  # version 1's way to say none
    assert free_bytes(CPU) <= psutil.virtual_memory().total
    monkeypatch.setattr("uae_cli.machine.granted_bytes", lambda: None)
    assert MIB < free_bytes(CPU) <= psutil.virtual_memory().total


def test_no_second_process_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("joblib.externals.loky.ProcessPoolExecutor", refuse)
    with (
        pytest.raises(ConfigError, match=r"^jobs: .*Broken pipe.*use jobs=1"),
        machine.worker_processes(1, print),
    ):
        pass
