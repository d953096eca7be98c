"""The code that a stage's outcome depends on: what other code made is not reused."""

import hashlib
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache, partial
from importlib import metadata
from pathlib import Path
from types import FunctionType, MethodType, ModuleType

from torch import Tensor

from uae_cli.experiment.schema import ModelSettings

PACKAGE = Path(__file__).parent.parent
_FIT = ("contrastive", "machine.py", "models", "randomness.py", "stages/stages.py", "training")
_OF_KIND = {
    "fit": _FIT,
    "attack": (*_FIT, "attacks", "mi"),
    "probe": (*_FIT, "evaluation", "protocols/classifiers.py"),
}
_ANY = (*_FIT, "arms", "attacks", "evaluation", "mi", "protocols")  # of a kind that we don't know
_NOT_OWN = {"uae_cli", "torch", "hydra", "omegaconf", "pydantic", *sys.stdlib_module_names}
_LEAVES = (str, int, float, bytes, type(None), Path, Tensor)


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
    layers of a network. So does what a module that isn't installed (a user's own) imports from others like
    it, but for imports within functions. A module counts as it was when this process first met it here.
    """
    found: dict[str, str] = {}
    queue = [_home(named) for named in _named(settings, {})]
    while queue:
        module = queue.pop()
        if module is not None and module.__name__ not in found:
            found[module.__name__] = _digest(module)
            if not _installed(module):
                imported = map(_home, list(vars(module).values()))
                queue += [other for other in imported if other is not None and not _installed(other)]
    return dict(sorted(found.items()))


def described(settings: object) -> str:
    """All of the settings as text, without functions' addresses and however Hydra calls a partial call."""
    text = re.sub(r"<function (\S+) at 0x[0-9a-f]+>", r"<function \1>", repr(settings))
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
    return module if Path(getattr(module, "__file__", None) or "").is_file() else None


def _installed(module: ModuleType) -> bool:
    return bool({"site-packages", "dist-packages"} & set(Path(str(module.__file__)).parts))


@cache
def _digest(module: ModuleType) -> str:
    return hashlib.blake2b(Path(str(module.__file__)).read_bytes(), digest_size=8).hexdigest()
