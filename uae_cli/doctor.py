"""`uae doctor`: what is installed and at hand here, what uae would use, and what stands in its way."""

import importlib.util
import os
import platform
import re
import shutil
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from uae_cli import __version__
from uae_cli.text import gib, one_line, plural

_NEED = re.compile(r"[\w.-]+")
_PLUGIN = re.compile(r"hydra-.*(launcher|sweeper)")
# What an extra of ours, or an own choice, brings: the module, and what it is for
_EXTRAS = {
    "pyarrow": "Parquet tables",
    "datasets": "the Hugging Face hub",
    "torchmetrics": "FID and KID",
    "torch_fidelity": "FID and KID",
}
_LEAST_DISK = 2**30


def doctor_command(outputs: Path) -> int:
    """Print it line by line, each as soon as it is known; what needs torch comes last.

    Args:
        outputs: where runs would be put.

    Returns the exit status: 1 if something is in the way, else 0.
    """
    problems = []
    print(f"{'uae':<10} {__version__}, Python {platform.python_version()}, {platform.platform()}", flush=True)
    for what, line, problem in (*_without_torch(outputs), *_with_torch()):
        print(f"{what:<10} {line}", flush=True)
        problems += [problem] if problem else []
    for problem in problems:
        print(f"problem: {problem}")
    if not problems:
        print("nothing is in the way")
    return int(bool(problems))


Line = tuple[str, str, str]  # what, what is found, and what is wrong with it, if anything


def _without_torch(outputs: Path) -> Iterator[Line]:
    from uae_cli.datasets.command import at_hand, default_root
    from uae_cli.experiment.compose import conf_dir

    yield _packages()
    installed = {dist.name.lower() for dist in metadata.distributions()}
    plugins = ", ".join(sorted(filter(_PLUGIN.fullmatch, installed)))
    yield "launchers", plugins or "Hydra's own (pip install hydra-joblib-launcher for more)", ""
    there = [f"{name} ({use})" for name, use in _EXTRAS.items() if importlib.util.find_spec(name)]
    yield "extras", ", ".join(there) or "none", ""
    place = next(folder for folder in (outputs.resolve(), *outputs.resolve().parents) if folder.exists())
    free, writable = shutil.disk_usage(place).free, os.access(place, os.W_OK)
    problem = "" if writable else f"{place} can't be written to: set outputs="
    if free < _LEAST_DISK:
        problem = f"{gib(free)} GiB of disk are left for {outputs}: set outputs= to another one"
    yield "disk", f"{gib(free)} GiB free for {outputs}", problem
    root = default_root()
    found = at_hand(root, conf_dir())
    names = ", ".join(name for name, present in found.items() if present)
    yield "data", f"in {root} (UAE_DATA or data.root= sets it): {names}; the others: uae data", ""


def _packages() -> Line:
    try:
        lines = metadata.requires("uae") or ()
    except metadata.PackageNotFoundError:
        return "packages", "unknown", "uae runs from a folder and isn't installed: pip install it"
    needed = [_NEED.match(line) for line in lines if "extra ==" not in line]
    versions, missing = [], []
    for name in (hit[0] for hit in needed if hit):
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    problem = f"not installed: {', '.join(missing)}; install uae again" if missing else ""
    return "packages", ", ".join(versions), problem


def _with_torch() -> Iterator[Line]:
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: a library that it brings along can't be loaded
        yield "device", "unknown", f"torch can't be imported ({one_line(error)}): install it again"
        return
    from uae_cli.machine import choose_device, choose_threads, describe, free_bytes

    device = choose_device("auto")
    told = describe(device)
    problem = ""
    if device.type == "cpu" and shutil.which("nvidia-smi"):
        built = f"for CUDA {torch.version.cuda}" if torch.version.cuda else "without CUDA"
        problem = (
            f"nvidia-smi is here, but torch {torch.__version__}, built {built}, sees no card: "
            "install a build for this driver"
        )
    yield "device", f"{device.type} ({told['device']}), which device=auto takes", problem
    threads = plural(choose_threads("auto"), "thread")
    yield "threads", f"{threads} now with threads=auto, of {plural(told['cores'], 'core')}", ""
    free, whole = gib(free_bytes(device)), told["memory_gib"]
    yield "memory", f"{free} GiB free, of which an attack takes half at most; the machine has {whole} GiB", ""
