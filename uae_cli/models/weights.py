"""A user's own weights: a plain state dict, as safetensors or as torch.save wrote it."""

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from uae_cli.errors import ConfigError, refusal
from uae_cli.text import listed, one_line

_INNER = ("state_dict", "model_state_dict", "model", "net", "weights")  # in checkpoints of training loops
_SHOWN = 3  # names listed of those that don't fit


def load_weights(model: nn.Module, path: Path, setting: str = "model.weights") -> str:
    """Put a state dict into the model, and say what had to be done for it; empty, if nothing.

    Nothing in the file is executed: pickles are read as plain tensors only. The state dict may lie within a
    checkpoint, and its names may begin with what DataParallel, torch.compile or Lightning put before them.

    Args:
        model: of the architecture that the weights are for.
        path: .safetensors, or anything else for what torch.save wrote: a state dict, or a dict with one.
        setting: that the path was given for, for messages.

    Raises:
        ConfigError: there is no such file, it holds something other than a state dict, or it doesn't fit.
    """
    place = f"{setting} = {path}"
    state, told = _read(path, place)
    wanted = model.state_dict()
    state, beginning = _named_alike(state, wanted, place)
    told = "; ".join(filter(None, (told, beginning)))
    unfit = {
        "lacks": [name for name in wanted if name not in state],
        "has no place for": [name for name in state if name not in wanted],
        "has another shape for": [
            f"{name} ({tuple(state[name].shape)}, the model's is {tuple(wanted[name].shape)})"
            for name in state
            if name in wanted and state[name].shape != wanted[name].shape
        ],
    }
    if problems := [f"{what} {listed(names, _SHOWN)}" for what, names in unfit.items() if names]:
        raise ConfigError(
            f"{place}: doesn't fit {type(model).__name__}: it {'; it '.join(problems)}; use "
            "weights of the same architecture, or the network that they are of"
        )
    model.load_state_dict(state)
    return told and f"{place}: {told}"


def portable_state(model: nn.Module) -> dict[str, Tensor]:
    """The state dict as files hold it: on the CPU, and contiguous, as safetensors wants it."""
    return {name: value.cpu().contiguous() for name, value in model.state_dict().items()}


def _named_alike(
    state: dict[str, Tensor], wanted: Mapping[str, Tensor], place: str
) -> tuple[dict[str, Tensor], str]:
    """The state dict with the model's own names, where all of them stand behind one beginning."""
    if not wanted or next(iter(wanted)) in state:
        return state, ""
    name = next(iter(wanted))
    found = {other.removesuffix(name) for other in map(str, state) if other.endswith(f".{name}")}
    whole = sorted(beginning for beginning in found if all(f"{beginning}{one}" in state for one in wanted))
    if len(whole) > 1:
        raise ConfigError(f"{place}: fits behind {' and '.join(whole)}; save one of these state dicts alone")
    if not whole:
        return state, ""
    others = [one for one in state if not str(one).startswith(whole[0])]
    left = f", and {listed(others, _SHOWN)} left out" if others else ""
    return {one: state[f"{whole[0]}{one}"] for one in wanted}, f"read behind {whole[0]}{left}"


def _read(path: Path, place: str) -> tuple[dict[str, Tensor], str]:
    if not path.is_file():
        raise ConfigError(f"{place}: no such file; name a state dict's file")
    try:
        if path.suffix == ".safetensors":
            content = load_file(path)
        else:
            if zipfile.is_zipfile(path):
                with zipfile.ZipFile(path) as archive:  # whose checksums torch doesn't look at
                    if damaged := archive.testzip():
                        raise ValueError(f"{damaged} doesn't hold what was written")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle makes torch's reader stumble in every way there is
        if refused := refusal(error, path):
            raise refused from error
        reason = one_line(error).partition(". ")[0]
        if isinstance(error, pickle.UnpicklingError):
            reason = "a pickle of more than plain tensors, which may run code"
        raise ConfigError(f"{place}: can't be read ({reason}); {_WAY_OUT}") from error
    if _is_state(content):
        return content, ""
    nested: dict[str, Any] = content if isinstance(content, dict) else {}
    inner = [name for name in _INNER if nested.get(name) and _is_state(nested[name])]
    if len(inner) == 1:
        return nested[inner[0]], f"{inner[0]} of the checkpoint is read"
    raise ConfigError(f"{place}: holds {_described(content)}, no state dict; {_WAY_OUT}")


def _is_state(content: object) -> TypeGuard[dict[str, Tensor]]:
    return isinstance(content, dict) and all(isinstance(value, Tensor) for value in content.values())


_WAY_OUT = "save one by torch.save(model.state_dict(), path) or by safetensors"


def _described(content: object) -> str:
    if not isinstance(content, dict):
        return f"a {type(content).__name__}"
    others = [name for name, value in content.items() if not isinstance(value, Tensor)]
    return f"a dict with {listed(others, _SHOWN)} that are no tensors"
