"""Cached stages: work keyed by what determines it, so that nothing finished is ever done twice or lost.

A stage lives in `<root>/<kind>-<hash>/`. It is computed in `<root>/.partial/…` and renamed when done, so
its presence means that it is complete. What a killed process leaves in the partial folder is handed to
the next attempt, which may resume from it. A claim per stage lets jobs share one store, on several machines
too (see `uae_cli.claim`). Each claim has a folder of its own name, and takes the last one's by renaming it: a
process that was held up until another took over finds its folder gone, and can't write into the other's.

The key depends on the code too: what other code made is not reused.
"""

import ast
import hashlib
import inspect
import json
import logging
import math
import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from importlib import metadata
from importlib.util import resolve_name
from pathlib import Path
from types import FunctionType, MethodType, ModuleType
from typing import Any

import torch
from torch import Tensor

from uae_cli.claim import Claim, clear_abandoned
from uae_cli.experiment.schema import ModelSettings
from uae_cli.hashing import damage, digest, seal, write_json
from uae_cli.machine import device_name, metered
from uae_cli.progress import said_if_slow

log = logging.getLogger(__name__)

PACKAGE = Path(__file__).parent.parent
_FIT = ("contrastive", "machine.py", "models", "randomness.py", "stages/stages.py", "training")
_OF_KIND = {
    "fit": _FIT,
    "attack": (*_FIT, "attacks", "mi"),
    "probe": (*_FIT, "evaluation", "protocols/classifiers.py"),
}
_ANY = (*_FIT, "arms", "attacks", "evaluation", "mi", "protocols")  # of a kind that we don't know
_NOT_OWN = {"uae_cli", "torch", "hydra", "omegaconf", "pydantic"}
_STDLIB = Path(ast.__file__).parent.parts
_LOOK_EVERY = 0.1  # seconds, while another process is at a stage
_LEAVES = (str, int, float, bytes, type(None), Path, Tensor)


@dataclass(frozen=True)
class Stage:
    """A finished stage: its folder, its key, and whether it was found rather than computed."""

    folder: Path
    key: str
    reused: bool

    def read_json(self, name: str) -> Any:
        """Parse one of the stage's JSON files."""
        return json.loads((self.folder / name).read_text(encoding="utf-8"))


class StageStore:
    """A folder of finished stages, and a record of those that one run asked for.

    Args:
        root: the folder, made if needed.
        device: where stages are computed.

    Attributes:
        costs: per stage, in the order asked for: seconds, peak bytes, device and threads of its making, and
            whether it was reused.
        stages: by kind and label.
        run: what marks the stages that this run makes, by whichever of its processes.
        on_missing: called before a stage is made.
        meanwhile: does something else while another process makes a stage; tells whether there was anything.
    """

    def __init__(self, root: Path, device: torch.device) -> None:
        self._root, self._partial, self._device = root, root / ".partial", device
        clear_abandoned(self._partial)
        self.costs: list[dict[str, Any]] = []
        self.stages: dict[str, Stage] = {}
        self._intact: set[Path] = set()
        self.run = secrets.token_hex(8)
        self.on_missing: Callable[[], None] = lambda: None
        self.meanwhile: Callable[[], bool] = lambda: False

    def get(self, label: str, kind: str, inputs: Mapping[str, Any], compute: Callable[[Path], None]) -> Stage:
        """The stage for these inputs, computed only if no finished one is there.

        Args:
            label: what the record calls it.
            kind: "fit", "attack", …; the first part of the folder's name.
            inputs: everything that determines the outcome beside the code, as JSON.
            compute: writes the stage's files into the folder it is given, which may hold what an
                interrupted attempt left there.
        """
        key, name = f"{kind}-{digest({'code': code_version(kind), **inputs})}", f"{kind} {label}"
        self._partial.mkdir(parents=True, exist_ok=True)
        stage = None
        while stage is None:
            with self._claimed(name, key) as claim:
                final = self._root / key
                if self._whole(final):
                    stage = Stage(final, key, reused=True)
                elif self._make(name, key, claim, inputs, compute):
                    stage = Stage(final, key, reused=False)
        with suppress(OSError):
            os.utime(stage.folder)  # its last use, by which `uae runs prune` goes
        self._record(name, stage)
        return stage

    def _make(
        self,
        name: str,
        key: str,
        claim: Claim,
        inputs: Mapping[str, Any],
        compute: Callable[[Path], None],
    ) -> bool:
        """Compute a stage; False if another process has taken over meanwhile."""
        self.on_missing()
        final, part = self._root / key, self._take_up(key, claim)
        try:
            with metered(self._device) as cost:
                compute(part)
            threads = torch.get_num_threads()
            made = {"device": device_name(self._device), "threads": threads, "run": self.run}
            write_json(part / "cost.json", vars(cost) | made)
            write_json(part / "inputs.json", inputs)
            seal(part)
            part.rename(final)
        except Exception:
            if part.exists():
                raise
            log.warning("%s: this process showed no sign of life for so long that another took over", name)
            return False
        self._intact.add(final)
        return True

    def _take_up(self, key: str, claim: Claim) -> Path:
        """The folder to work in, with what the last attempt left."""
        part = claim.path.with_name(f"{key}.{claim.token}")
        left = [folder for folder in part.parent.glob(f"{key}*") if folder.is_dir()]
        if not left:
            part.mkdir()
            return part
        left[0].rename(part)
        for half in part.rglob("*.part"):  # which it was writing
            half.unlink()
        return part

    def _whole(self, folder: Path) -> bool:
        """Whether a stage is there, undamaged; a damaged one is told and removed. Checked once a process."""
        if folder in self._intact or not folder.exists():
            return folder.exists()
        if problem := damage(folder):
            log.warning("%s; this stage is made again", problem)
            shutil.rmtree(folder) if folder.is_dir() else folder.unlink()
            return False
        self._intact.add(folder)
        return True

    @contextmanager
    def _claimed(self, name: str, key: str) -> Iterator[Claim]:
        """Have the stage for this process alone; while another has it, do something else, or wait."""
        claim = Claim(self._partial / f"{key}.claim")
        try:
            while not claim.take():
                if self.meanwhile():
                    continue
                with said_if_slow(f"{name}: waiting for {claim.holder or 'another process'}, which is at it"):
                    while not claim.take():
                        time.sleep(_LOOK_EVERY)
                break
            yield claim
        finally:
            claim.release()

    def _record(self, name: str, stage: Stage) -> None:
        cost = stage.read_json("cost.json")
        known = any(stage.key == other.key for other in self.stages.values())
        reused = cost.pop("run", None) != self.run or known
        self.stages[name] = stage
        self.costs.append({"stage": name, "key": stage.key, "reused": reused, **cost})
        log.info("%s: %s", name, "reused" if reused else f"{cost['seconds']:.1f} s")
        log.debug("%s is %s", name, stage.key)  # for run.log; no news to people

    def note(self, **record: Any) -> None:
        """Write this beside the cost of the last stage."""
        self.costs[-1] |= record

    @property
    def unconverged(self) -> list[str]:
        """Labels of the fits that did not converge."""
        return [
            str(cost["stage"]).removeprefix("fit ") for cost in self.costs if cost.get("converged") is False
        ]

    def seconds_here(self, label: str, stage: Stage, seconds: float) -> float:
        """An attack's seconds; NaN, and a word, if a device of another name took them."""
        if stage.read_json("cost.json")["device"] == device_name(self._device):
            return seconds
        log.warning(
            "attack %s: made on another device, whose seconds are not told; outputs=DIR makes it anew", label
        )
        return math.nan


def sources_of(kind: str, package: Path = PACKAGE) -> list[Path]:
    """The files of this package that can change what stages of this kind come to."""
    paths = [package / name for name in _OF_KIND.get(kind, _ANY)]
    return [file for path in paths for file in (sorted(path.rglob("*.py")) if path.is_dir() else [path])]


@cache
def code_version(kind: str, package: Path = PACKAGE) -> str:
    """Changes with the code that computes stages of this kind, and with torch."""
    hasher = hashlib.blake2b(metadata.version("torch").encode(), digest_size=8)
    hasher.update(inspect.getsource(ModelSettings.build).encode())  # where weights start
    for file in sources_of(kind, package):
        hasher.update(file.read_bytes())
    return hasher.hexdigest()


def own_code(*settings: object) -> dict[str, str]:
    """A digest by name of every module outside this package and torch that a class or function comes from.

    Those count that the settings name at any depth: a dataclass's fields, a partial call's function, the
    layers of a network. So does what a module that isn't installed (a user's own) imports of others like it.
    A module counts as it was when this process first met it here.
    """
    found: dict[str, str] = {}
    queue = [_home(named) for named in _named(settings, {})]
    while queue:
        module = queue.pop()
        if module is not None and module.__name__ not in found:
            found[module.__name__] = _digest(module)
            if not _installed(module):
                queue += [other for other in _imported(module) if not _installed(other)]
    return dict(sorted(found.items()))


def described(settings: object) -> str:
    """All of the settings as text, without addresses and however Hydra calls a partial call."""
    text = re.sub(r" at 0x[0-9a-fA-F]+", "", repr(settings))
    return text.replace("_DeferredTarget(", "functools.partial(")


def _named(value: object, seen: dict[int, object]) -> Iterator[object]:
    if isinstance(value, _LEAVES) or id(value) in seen:
        return
    seen[id(value)] = value  # kept, or another object might get its id
    if isinstance(value, type):
        yield from value.__mro__
        return
    if isinstance(value, FunctionType):
        yield value
    slots = getattr(type(value), "__slots__", ())
    children = [getattr(value, name, None) for name in ([slots] if isinstance(slots, str) else slots)]
    children += [type(value), *getattr(value, "__dict__", {}).values()]
    if isinstance(value, MethodType):
        children += [value.__self__, value.__func__]
    elif isinstance(value, partial):
        children += [value.func, value.args, value.keywords]
    elif isinstance(value, Mapping):
        children += value.values()
    elif isinstance(value, list | tuple | set | frozenset):
        children += value
    for child in children:
        yield from _named(child, seen)


def _home(value: object) -> ModuleType | None:
    """The module that is given, or that a class or a function comes from; None if it doesn't count here."""
    named = value if isinstance(value, type | FunctionType) else type(value)
    module = value if isinstance(value, ModuleType) else sys.modules.get(named.__module__)
    if module is None or module.__name__.partition(".")[0] in _NOT_OWN:
        return None
    file = Path(getattr(module, "__file__", None) or "")
    # A user's file may be named like one of Python's own modules
    return module if file.suffix == ".py" and file.is_file() and not _standard(file) else None


def _standard(file: Path) -> bool:
    """Whether Python came with it; what is installed lies below the same folder, and didn't."""
    return file.parts[: len(_STDLIB)] == _STDLIB and not {"site-packages", "dist-packages"} & set(file.parts)


def _installed(module: ModuleType) -> bool:
    return bool({"site-packages", "dist-packages"} & set(Path(str(module.__file__)).parts))


def _imported(module: ModuleType) -> Iterator[ModuleType]:
    """The modules that count here of those whose imports stand in a module's source."""
    for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), module.__package__)
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        for name in names:
            if (other := _home(sys.modules.get(name))) is not None:
                yield other


@cache
def _digest(module: ModuleType) -> str:
    return hashlib.blake2b(Path(str(module.__file__)).read_bytes(), digest_size=8).hexdigest()
