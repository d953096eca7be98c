"""Limits of control groups, in a copy of the folders that the kernel shows."""

from pathlib import Path

import psutil
import pytest
import torch

from uae_cli import cgroup
from uae_cli import machine as hardware

MIB = 2**20


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
    return cgroup.free_bytes(root, listed)


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
    assert cgroup.free_bytes(tmp_path, tmp_path / "absent") is None


def test_the_devices_free_memory_is_the_smaller(monkeypatch):
    cpu = torch.device("cpu")
    monkeypatch.setattr(cgroup, "free_bytes", lambda: 3 * MIB)
    assert hardware.free_bytes(cpu) == 3 * MIB
    monkeypatch.setattr(cgroup, "free_bytes", lambda: 2**62)  # version 1's way to say none
    assert hardware.free_bytes(cpu) <= psutil.virtual_memory().total
    monkeypatch.setattr(cgroup, "free_bytes", lambda: None)
    assert MIB < hardware.free_bytes(cpu) <= psutil.virtual_memory().total
