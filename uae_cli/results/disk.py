"""`uae runs --verify` and `uae runs prune`: whether an outputs folder is whole, and what of it may go.

Below it are run folders, `stages/KIND-HASH`, and `stages/.partial/KIND-HASH.…`, what an unfinished stage has,
beside the claims of those that are at it.
"""

import json
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from uae_cli.claim import Claim
from uae_cli.errors import ConfigError
from uae_cli.hashing import CHECKSUMS, damage, is_unharmed
from uae_cli.results.collect import CLAIM, RUN_ID, read_run, run_folders
from uae_cli.results.columns import RESULTS_FILE
from uae_cli.text import duration, one_line, plural

_PIPED_WIDTH = 200
_USED = re.compile(r" is (\w+-[0-9a-f]{16})$", re.MULTILINE)  # in run.log: the stages of a run
_UNITS = {"min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_SIZES = {"kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_A_MOMENT, _AN_HOUR = 60.0, 3600.0  # seconds; by the first clocks may differ


def verify_command(outputs: Path) -> int:
    """Check every file that has a checksum, and every run's table; print what is damaged, and the way out.

    Returns the exit status: 1 if something is damaged, else 0.

    Raises:
        ConfigError: there is nothing.
    """
    stages, runs = _stages(outputs), _finished(outputs)
    partial = [file for file in outputs.glob("stages/.partial/*/*.*.*") if file.suffix != ".part"]
    if not (stages or runs or partial):
        raise ConfigError(f"{outputs}: no runs and no stages are there; name another --outputs")
    found = [
        (problem, "the next run that needs it makes it again") for problem in map(damage, stages) if problem
    ]
    found += [
        (f"{file}: doesn't hold what was written", "the next run makes this part again")
        for file in partial
        if not is_unharmed(file) and file.exists()  # a run that goes on removes some
    ]
    found += [(problem, _way(folder)) for folder in runs if (problem := _problem(folder))]
    count = f"{plural(len(stages), 'stage')} and {plural(len(runs), 'run')} below {outputs}"
    if not found:
        print(f"{count}: all is as it was written")
        return 0
    table = Table("damaged", "what to do", box=None, pad_edge=False, header_style="bold")
    for problem, way in found:
        table.add_row(*(Text(cell.replace(f"{outputs}/", "")) for cell in (problem, way)))
    _print(table)
    print(f"{count}: {len(found)} damaged")
    return 1


def prune_command(
    outputs: Path, names: Sequence[str], older: str | None, keep: str | None, *, yes: bool
) -> int:
    """Remove what nobody needs, or say what would be removed.

    That is: what killed runs have left, unfinished stages, and stages that no run that stays has used.
    Whatever a live process is at, or has used since it began, stays; so do all stages while a finished run
    doesn't tell which it has used.

    Args:
        outputs: the folder.
        names: runs to remove, as `uae runs` calls them, or patterns of their folders; with the stages that
            only they have used, and nothing else.
        older: only what was last used so long ago ("30d"), finished runs too.
        keep: no more than it takes for the folder to have this size ("5GB"), the oldest first.
        yes: whether to do it.

    Returns the exit status, 0.

    Raises:
        ConfigError: an age, a size or a name can't be understood.
    """
    age = None if older is None else _age(older)
    doomed = _doomed(outputs, names, age)
    gone, total = _Space(), _Space()
    for folder in (*run_folders(outputs), *_stages(outputs), *_unfinished(outputs)):
        total.add(folder)
    most = None if keep is None else total.bytes - _size(keep)
    chosen = []
    for one in sorted(doomed, key=lambda one: one.used):
        if most is not None and gone.freed >= most:
            break
        gone.add(one.folder)
        chosen.append(one)
    if yes:
        for one in [one for one in chosen if not _remove(outputs, one)]:
            chosen.remove(one)
            print(f"{one.folder}: left, for a process has begun to use it")
    table = Table("what", "last used", "why", box=None, pad_edge=False, header_style="bold")
    for one in chosen:
        name = one.folder.relative_to(outputs).as_posix()
        table.add_row(Text(name), f"{duration(max(time.time() - one.used, 0))} ago", one.why)
    if chosen:
        _print(table)
    verb = "freed" if yes else "would be freed"
    print(f"{plural(len(chosen), 'folder')}, {gone.freed / 1e6:.1f} MB of {total.bytes / 1e6:.1f} MB {verb}")
    if chosen and not yes:
        print("Nothing was removed: --yes does it")
    if most is not None and gone.freed < most:
        print(f"--keep = {keep}: runs that stay need what is left; name runs, or --older, to remove some")
    return 0


@dataclass(frozen=True)
class _Doomed:
    """What may go: a folder, when it was last used, and why it may."""

    folder: Path
    used: float
    why: str


@dataclass
class _Space:
    """The space that some folders take; files may have several names."""

    bytes: int = 0
    freed: int = 0  # by removing the folders: files with names elsewhere stay
    _names: dict[tuple[int, int], int] = field(default_factory=dict)

    def add(self, folder: Path) -> None:
        """Count it in."""
        for path in folder.rglob("*"):
            with suppress(OSError):
                state = path.lstat()
                size, inode = state.st_blocks * 512, (state.st_dev, state.st_ino)
                seen = self._names[inode] = self._names.get(inode, 0) + 1
                self.bytes += size if seen == 1 else 0
                self.freed += size if path.is_dir() or seen == state.st_nlink else 0


def _doomed(outputs: Path, names: Sequence[str], age: float | None) -> Iterator[_Doomed]:
    folders = run_folders(outputs)
    live = [claim for folder in folders if (claim := _live(folder / CLAIM))]
    live += [claim for path in outputs.glob("stages/.partial/*.claim") if (claim := _live(path))]
    began = min((_since(claim) for claim in live), default=float("inf")) - _A_MOMENT
    before = time.time() - (age or 0)
    going = {}
    for folder in folders:
        used = max((path.stat().st_mtime for path in (folder, *folder.glob("*"))), default=0.0)
        why = "named" if names else "old" if age is not None else _useless(folder, used)
        if why and not _live(folder / CLAIM) and _is_named(folder, outputs, names) and used <= before:
            going[folder] = _Doomed(folder, used, why)
    _check_names(outputs, names, folders)
    yield from going.values()
    theirs = {key for folder in going for key in _used_by(folder)}
    staying = {folder: _used_by(folder) for folder in folders if folder not in going}
    needed = {key for keys in staying.values() for key in keys}
    untold = any(not keys and (folder / RESULTS_FILE).exists() for folder, keys in staying.items())
    for folder in () if untold else _stages(outputs):
        used = folder.stat().st_mtime
        if folder.name not in needed and used < min(began, before) and (not names or folder.name in theirs):
            yield _Doomed(folder, used, "no run that stays has used it")
    for folder in () if names else _unfinished(outputs):
        used = max(path.stat().st_mtime for path in (folder, *folder.glob("*")))
        if used < before and not _live(folder.with_name(f"{folder.name.partition('.')[0]}.claim")):
            yield _Doomed(folder, used, "unfinished")


def _useless(folder: Path, used: float) -> str:
    """Why a run's folder is of no use; empty if it is of some."""
    if not (folder / RESULTS_FILE).exists():
        begins = not (folder / CLAIM).exists() and time.time() - used < _AN_HOUR
        return "" if begins else "no results: its run was stopped"
    return ""


def _is_named(folder: Path, outputs: Path, names: Sequence[str]) -> bool:
    path = folder.relative_to(outputs).as_posix()
    found = RUN_ID.search(path)
    called = (path, path.split("/")[1], f"{found[1]}{found[2] or ''}" if found else path)
    return not names or any(fnmatchcase(one, name.rstrip("/")) for one in called for name in names)


def _check_names(outputs: Path, names: Sequence[str], folders: Sequence[Path]) -> None:
    for name in names:
        if not any(_is_named(folder, outputs, [name]) for folder in folders):
            raise ConfigError(
                f"prune {name}: no run below {outputs} is called so; uae runs lists them, and a pattern of "
                "an experiment's name or of a folder, like 'mnist_*' or 'runs/*/2025-*', will do"
            )


def _remove(outputs: Path, one: _Doomed) -> bool:
    """Remove it, unless a process has begun to use it; whether it is gone."""
    folder, within = one.folder, outputs / "stages"
    stage = folder.is_relative_to(within)
    path = within / ".partial" / f"{folder.name.partition('.')[0]}.claim" if stage else folder / CLAIM
    claim = Claim(path)
    path.parent.mkdir(exist_ok=True)
    if not claim.take():
        return False
    try:
        if stage and folder.stat().st_mtime > one.used:
            return False
        aside = folder.with_name(f".removed-{secrets.token_hex(4)}")
        folder.rename(aside)  # at once: half a stage would be told as damaged
        shutil.rmtree(aside, ignore_errors=True)
        if not stage:
            with suppress(OSError):  # the experiment's other runs
                folder.parent.rmdir()
    finally:
        claim.release()
    return True


def _stages(outputs: Path) -> list[Path]:
    return sorted(folder for folder in outputs.glob("stages/[!.]*") if folder.is_dir())


def _unfinished(outputs: Path) -> list[Path]:
    return sorted(folder for folder in outputs.glob("stages/.partial/*") if folder.is_dir())


def _finished(outputs: Path) -> list[Path]:
    return [folder for folder in run_folders(outputs) if (folder / RESULTS_FILE).exists()]


def _used_by(folder: Path) -> set[str]:
    """The stages of a run, as its record or its log names them."""
    found = set[str]()
    with suppress(OSError, ValueError, LookupError, TypeError):
        record = json.loads((folder / "results.json").read_text(encoding="utf-8"))
        found |= {stage["key"] for stage in record["stages"]}
    with suppress(OSError):
        found |= set(_USED.findall((folder / "run.log").read_text(encoding="utf-8", errors="replace")))
    return found


def _live(path: Path) -> Claim | None:
    claim = Claim(path)
    return claim if path.exists() and not claim.abandoned else None


def _since(claim: Claim) -> float:
    holder = claim.holder
    return datetime.fromisoformat(holder.since).timestamp() if holder else 0.0


def _problem(folder: Path) -> str:
    """What is damaged of a finished run; empty if nothing is."""
    if (folder / CHECKSUMS).exists() and (problem := damage(folder)):
        return problem
    try:
        read_run(folder)
    except (OSError, ValueError) as error:
        return f"{folder / RESULTS_FILE}: {one_line(error)}"
    return ""


def _way(folder: Path) -> str:
    command = ""
    with suppress(OSError, ValueError, TypeError, KeyError):
        command = f": {json.loads((folder / 'results.json').read_text(encoding='utf-8'))['command']}"
    return f"remove {folder}, and run it again{command}"


def _age(text: str) -> float:
    return _number("--older", text, _UNITS, "an age like 30d, 12h or 2w")


def _size(text: str) -> float:
    return _number("--keep", text, _SIZES, "a size like 5GB, 500MB or 2GiB")


def _number(option: str, text: str, units: Mapping[str, float], wanted: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([A-Za-z]+)", text)
    if found is None or found[2] not in units:
        raise ConfigError(f"{option} = {text}: isn't {wanted}")
    return float(found[1]) * units[found[2]]


def _print(table: Table) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=_PIPED_WIDTH)
    console.print(table)
