"""The machine: which device to use, what it is, what a stage costs on it, and which code runs there."""

import ctypes
import os
import platform
import signal
import subprocess
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from uae_cli.errors import ConfigError

if TYPE_CHECKING:
    import torch
    from joblib.externals.loky import ProcessPoolExecutor

_REPORTED_PACKAGES = (
    "torch",
    "numba",
    "torchvision",
    "hydra-core",
    "omegaconf",
    "pydantic",
    "numpy",
    "scipy",
    "pandas",
    "scikit-learn",
    "safetensors",
    "tensorboard",
    "matplotlib",
)
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
# Of a Linux control group: limit, use, and the part of the use that is given back when asked (cached files)
_GROUP_FILES = {
    2: ("memory.max", "memory.current", "inactive_file"),
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}
_PATIENCE = 10.0  # seconds for git; on a slow network drive the record is worth no longer wait


def choose_device(name: str) -> "torch.device":
    """The device called `name`; "auto" takes CUDA where there is one.

    Raises:
        ConfigError: the device doesn't exist here.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"device = {name}: not a device; use auto, cpu, cuda or cuda:N") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"device = {name}: torch sees {torch.cuda.device_count()} CUDA devices here; "
            "use device=cpu or install a CUDA build of torch"
        )
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"device = {name}: only cpu and cuda are supported")
    return device


def use_precision(precision: str, device: "torch.device") -> None:
    """Set the arithmetic of matrix products; float32 unless asked for otherwise.

    Raises:
        ConfigError: the device has no such arithmetic.
    """
    import torch

    if precision != "float32":
        capable = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
        if not capable:
            raise ConfigError(
                f"precision = {precision}: {device_name(device)} can't; it takes a CUDA card of compute "
                "capability 8.0 or more. Use precision=float32"
            )
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = precision == "tf32"


def choose_threads(wanted: int | str) -> int:
    """The CPU threads to use: as asked, or for "auto" all idle cores but one, at most 4.

    Small convolutions gain little from more, and lose a factor of 5 to 10 when threads must share a core:
    one is left for whatever begins later.
    """
    return wanted if isinstance(wanted, int) else max(1, min(4, _idle_cores() - 1))


def choose_jobs(wanted: int | str, device: "torch.device", threads: int) -> int:
    """The processes, of so many threads each, to work with: as asked, or for "auto" as many as fit.

    As many as cores are idle, and as there is memory for: three times what this one has now, with the
    samples read. One on a card, which they would have to share, and one beside the ranks of torchrun.
    """
    if isinstance(wanted, int):
        return wanted
    if device.type == "cuda" or int(os.environ.get("WORLD_SIZE", "1")) > 1:
        return 1
    fitting = free_bytes(device) // (3 * psutil.Process().memory_info().rss)
    return max(1, min(_idle_cores() // threads, 1 + fitting))


@contextmanager
def worker_processes(
    count: int, begin: Callable[..., object], *settings: object
) -> "Iterator[ProcessPoolExecutor]":
    """A pool of so many processes, which end with the block, and with this process however that ends.

    Each calls `begin` with `settings` first; all must be picklable.

    Raises:
        ConfigError: the system lets this process start no other.
    """
    from joblib.externals.loky import ProcessPoolExecutor

    try:
        pool = ProcessPoolExecutor(count, initializer=_begin_worker, initargs=(os.getpid(), begin, settings))
    except OSError as error:
        raise ConfigError(f"jobs: no second process can be started here ({error}); use jobs=1") from error
    with warnings.catch_warnings():
        # loky replaces a process whose memory has grown, and says so
        warnings.filterwarnings("ignore", "A worker stopped while some jobs were given")
        try:
            yield pool
        finally:
            pool.shutdown(kill_workers=True)


def _begin_worker(parent: int, begin: Callable[..., object], settings: tuple[object, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent too, which ends this process
    threading.Thread(target=_live_with, args=(parent,), daemon=True).start()
    os.environ["TTY_COMPATIBLE"] = "0"  # rich: lines, for several processes' bars would lie over each other
    begin(*settings)


def _live_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _idle_cores() -> int:
    # A batch system often grants fewer cores than the machine has
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    cores = min(psutil.cpu_count(logical=False) or 1, allowed)
    busy = psutil.cpu_percent(interval=0.1) / 100 * (psutil.cpu_count() or 1)
    return round(cores - busy)


def free_bytes(device: "torch.device") -> int:
    """Memory of the machine, or of the card, that nothing is using and that this process may take."""
    import torch

    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    available, granted = int(psutil.virtual_memory().available), granted_bytes()
    return available if granted is None else min(available, granted)


def granted_bytes(
    root: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")
) -> int | None:
    """Bytes that a container or batch system still grants this process; None where nothing limits it.

    A control group is bound by its ancestors' limits too; inside a container some of them can't be seen.
    Version 1 writes no limit as a number larger than any machine's memory, version 2 as `max`.

    Args:
        root: where the groups are mounted.
        membership: the kernel's list of this process's groups.
    """
    try:
        lines = membership.read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return None
    grants = []
    for line in lines:
        number, controllers, path = line.split(":", 2)
        group = Path(path.lstrip("/"))
        levels = (group, *group.parents)
        if number == "0":
            grants += [_grant(root / level, *_GROUP_FILES[2]) for level in levels]
        elif "memory" in controllers.split(","):
            grants += [_grant(root / "memory" / level, *_GROUP_FILES[1]) for level in levels]
    return min((grant for grant in grants if grant is not None), default=None)


def _grant(folder: Path, limit: str, use: str, cached: str) -> int | None:
    try:
        most = (folder / limit).read_text(encoding="utf-8").strip()
        if most == "max":
            return None
        used = int((folder / use).read_text(encoding="utf-8"))
    except OSError:
        return None
    try:
        counts = dict(line.split() for line in (folder / "memory.stat").read_text("utf-8").splitlines())
    except OSError:
        counts = {}
    return max(0, int(most) - used + min(used, int(counts.get(cached, 0))))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory is what the machine, or the card, lacked."""
    import torch

    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    text = str(error).lower()  # the CPU's allocator raises a plain RuntimeError
    return isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)


def keep_freed_memory() -> None:
    """Let the process keep the memory it frees: every pass of a model would else ask for its pages anew.

    Those page faults took a sixth of the attack's time. Only glibc has the setting; elsewhere this does
    nothing.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(_TRIM_THRESHOLD, 2**31 - 1)
    mallopt(_MMAP_THRESHOLD, 2**25)  # the largest allowed: larger tensors are still mapped


def describe(device: "torch.device") -> dict[str, Any]:
    """Hardware and package versions, for the record beside every result."""
    import torch

    return {
        "device": device_name(device),
        "cpu": _cpu_name(),
        "cores": psutil.cpu_count(logical=False) or psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "threads": torch.get_num_threads(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: version for name in _REPORTED_PACKAGES if (version := _version(name))},
    }


def device_name(device: "torch.device") -> str:
    """What users call the device: the card's name, or the processor's."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return _cpu_name()


@dataclass
class Cost:
    """What a stage cost: wall seconds, and the largest memory use in bytes.

    On a CPU that is the process's resident memory, on CUDA what torch had allocated on the card.
    """

    seconds: float = 0.0
    peak_bytes: int = 0


@contextmanager
def metered(device: "torch.device") -> Iterator[Cost]:
    """Measure the block; the cost is filled in when it ends."""
    import torch

    cost = Cost()
    start = time.perf_counter()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        yield cost
        torch.cuda.synchronize(device)
        cost.peak_bytes = torch.cuda.max_memory_allocated(device)
    else:
        with _resident_memory(cost):
            yield cost
    cost.seconds = time.perf_counter() - start


@contextmanager
def _resident_memory(cost: Cost) -> Iterator[None]:
    process, done = psutil.Process(), threading.Event()

    def sample() -> None:
        while not done.is_set():
            cost.peak_bytes = max(cost.peak_bytes, process.memory_info().rss)
            done.wait(0.05)

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    try:
        yield
    finally:
        done.set()
        sampler.join()


def _cpu_name() -> str:
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123 - not a file of ours
            models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    except OSError:
        models = []
    return f"CPU {models[0] if models else name}"


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def synchronize(device: "torch.device") -> None:
    """Wait for the card, whose work is only queued when a call returns."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)


def commit(root: Path = Path(__file__).parent.parent) -> str | None:
    """The commit's full hash, with "+changes" if tracked files differ from it; None when installed."""
    if not (root / ".git").exists():
        return None
    try:
        head = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{head}+changes" if changed else head


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True, timeout=_PATIENCE
    )
    return done.stdout.strip()
