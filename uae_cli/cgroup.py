"""What a container or a batch system leaves this process of the machine's memory (Linux control groups)."""

from pathlib import Path

_ROOT, _MEMBERSHIP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
# Limit, use, and the part of the use that the system gives back when asked: cached files
_FILES = {
    2: ("memory.max", "memory.current", "inactive_file"),
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


def free_bytes(root: Path = _ROOT, membership: Path = _MEMBERSHIP) -> int | None:
    """Bytes that the tightest limit above this process still grants; None where nothing limits it.

    A group is bound by its ancestors' limits too. Version 1 writes no limit as a number larger than any
    machine's memory, version 2 as `max`.

    Args:
        root: where the groups are mounted.
        membership: the kernel's list of this process's groups.
    """
    try:
        lines = membership.read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return None
    found = []
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0":
            found += _up(root, path, version=2)
        elif "memory" in controllers.split(","):
            found += _up(root / "memory", path, version=1)
    return min(found, default=None)


def _up(mount: Path, path: str, *, version: int) -> list[int]:
    """What the group and its ancestors grant; inside a container some of them can't be seen."""
    group = Path(path.lstrip("/"))
    grants = (_grant(mount / level, *_FILES[version]) for level in (group, *group.parents))
    return [grant for grant in grants if grant is not None]


def _grant(folder: Path, limit: str, use: str, cached: str) -> int | None:
    try:
        most = (folder / limit).read_text(encoding="utf-8").strip()
        if most == "max":
            return None
        used = int((folder / use).read_text(encoding="utf-8"))
    except OSError:
        return None
    return max(0, int(most) - used + min(used, _statistic(folder / "memory.stat", cached)))


def _statistic(path: Path, name: str) -> int:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name} ")), 0)
