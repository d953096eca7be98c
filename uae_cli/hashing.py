"""What makes work equal: digests of settings and samples; and files that are written whole or not at all."""

import hashlib
import importlib.util
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from io import BufferedReader, BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from uae_cli.errors import refusal, told_if_refused

if TYPE_CHECKING:
    from torch import Tensor

NOT_SETTINGS = (
    "name",
    "seed",
    "device",
    "threads",
    "jobs",
    "chunk_size",
    "memory_budget",
    "outputs",
    "plugins",
    "tracker",
)
_PLACES = ("root", "download")
_FILES = ("weights", "path")
_CHANGES_NOTHING = {"validation_share": 0}  # in data: what a config that lacks the setting says by that


def digest(value: Any) -> str:
    """16 hex digits that identify a JSON value, whatever the order of its keys."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.blake2b(canonical.encode(), digest_size=8).hexdigest()


def fingerprint(samples: "Tensor") -> str:
    """32 hex digits that identify a tensor's shape and values."""
    hasher = hashlib.blake2b(str(tuple(samples.shape)).encode(), digest_size=16)
    hasher.update(samples.contiguous().numpy().data)
    return hasher.hexdigest()


CHECKSUMS = "checksums.json"

_UMASK = os.umask(0o077)  # which can't be read without being set
os.umask(_UMASK)


def seal(folder: Path, coming: Mapping[str, str] = MappingProxyType({})) -> None:
    """Bring every file of a folder to the disk, and write beside them what they hold, `checksums.json`.

    Args:
        folder: sealed; logs in it, which others may still write, are left out.
        coming: the text of files that will be written after this, by name.
    """
    sums = {name: _checksum(BytesIO(text.encode())) for name, text in coming.items()}
    for file in _files(folder):
        _open_to_others(file)
        with file.open("rb") as opened:
            sums[file.relative_to(folder).as_posix()] = _checksum(opened)
            os.fsync(opened.fileno())
    write_json(folder / CHECKSUMS, sums)


def damage(folder: Path) -> str:
    """Which file of a sealed folder isn't as it was, and how; empty if all are.

    Raises:
        OSError: the system refuses to read one, which says nothing about what it holds.
    """
    try:
        sums: dict[str, str] = json.loads((folder / CHECKSUMS).read_text(encoding="utf-8"))
        for name, told in sums.items():
            if _content(folder / name) != told:
                return f"{folder / name}: doesn't hold what was written"
    except FileNotFoundError as error:
        return f"{error.filename}: is gone"
    except (IsADirectoryError, NotADirectoryError, ValueError, AttributeError) as error:
        return f"{folder}: can't be read ({error})"
    return ""


def damage_of(file: Path) -> str:
    """How a file isn't as the `checksums.json` beside it says; empty if it is, or nothing is said of it."""
    try:
        sums = json.loads((file.parent / CHECKSUMS).read_text(encoding="utf-8"))
        told = sums.get(file.name)
    except (OSError, ValueError, AttributeError):
        return ""
    if told is None:
        return ""
    return "" if _content(file) == told else "doesn't hold what was written"


def remove(path: Path) -> None:
    """Remove whatever is there; and nothing, where nothing is."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _files(folder: Path) -> list[Path]:
    files = (file for file in folder.rglob("*") if file.is_file() and file.suffix not in (".claim", ".log"))
    return sorted(file for file in files if file.name != CHECKSUMS)


def _content(file: Path) -> str:
    with file.open("rb") as opened:
        return _checksum(opened)


def _checksum(opened: BufferedReader | BytesIO) -> str:
    return hashlib.file_digest(opened, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def settings_of(config: dict[str, Any]) -> dict[str, Any]:
    """The part of a resolved config that determines a result, apart from the seed and the machine."""
    kept = {name: value for name, value in config.items() if name not in NOT_SETTINGS}
    kept["data"] = {
        name: value
        for name, value in config["data"].items()
        if name not in _PLACES and value != _CHANGES_NOTHING.get(name, ...)
    }
    return kept


def job_identity(config: dict[str, Any]) -> str:
    """Equal for jobs that would give the same result, as far as the config and the user's own files tell.

    Files are the weights, arrays and tables that it names, and the modules of the classes in it; what lies in
    a folder of images isn't looked at.
    """
    files = {str(file): _content(file) for file in sorted(set(_own_files(config)))}
    return digest({**settings_of(config), "seed": config["seed"], **({"files": files} if files else {})})


def _own_files(node: Any) -> Iterator[Path]:
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        if isinstance(value, dict | list):
            yield from _own_files(value)
        elif not isinstance(value, str):
            continue
        elif key in _FILES and Path(value).is_file():
            yield Path(value)
        elif key == "_target_" and not value.startswith(("uae_cli.", "torch.")):
            with suppress(ImportError, ValueError):
                found = importlib.util.find_spec(value.rpartition(".")[0])
                if found and found.origin and Path(found.origin).is_file():
                    yield Path(found.origin)


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Have `write` fill a file beside `path` that then takes its place: readers see the whole file or none.

    `write` never meets a file that is there already: what an interrupted attempt left is removed first.

    Raises:
        ConfigError: the system refuses: no space, no permission, too many open files.
    """
    with _beside(path) as part:
        write(part)
        _open_to_others(part)
        with part.open("rb") as written:
            os.fsync(written.fileno())  # or a power cut could leave the new name without its content
        part.replace(path)


def write_checked(path: Path, write: Callable[[Path], object]) -> Path:
    """As `write_whole`, under a name that tells what the file holds, NAME.SUM.SUFFIX, which is returned."""
    with _beside(path) as part:
        write(part)
        _open_to_others(part)
        with part.open("rb") as written:
            told = path.with_name(f"{path.stem}.{_checksum(written)}{path.suffix}")
            os.fsync(written.fileno())
        part.replace(told)
    return told


def is_unharmed(path: Path) -> bool:
    """Whether a file that `write_checked` wrote holds what its name tells.

    Raises:
        ConfigError: the system refuses to open it, which is no damage.
    """
    try:
        return _content(path) == path.suffixes[-2][1:]
    except (OSError, IndexError) as error:
        if refused := refusal(error, path):
            raise refused from error
        return False


def _open_to_others(file: Path) -> None:
    """Give a file the permissions of any new one: safetensors lets its owner alone read what it writes."""
    with suppress(PermissionError):  # a link to another user's file, whose permissions stay
        file.chmod(0o666 & ~_UMASK)


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    part = path.with_name(f"{path.name}.part")
    with told_if_refused(path):
        part.unlink(missing_ok=True)
        try:
            yield part
        finally:
            # After a failure; and where both are links to one file, of which replacing makes nothing
            part.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write JSON in one step, as `write_whole` does."""
    text = json.dumps(value, indent=1, default=str)
    write_whole(path, lambda part: part.write_text(text, encoding="utf-8"))
