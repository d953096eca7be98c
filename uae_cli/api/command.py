"""`uae attack`: a user's model and samples from files; what is found, to a folder."""

import argparse
import importlib
import inspect
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from uae_cli.api.front import attack
from uae_cli.api.samples import read_samples
from uae_cli.api.target import is_spread
from uae_cli.api.uaes import Uaes, check_folder
from uae_cli.errors import ConfigError, DataError
from uae_cli.figures import amplified, image_rows
from uae_cli.figures.image_grid import MOST
from uae_cli.machine import choose_device, keep_freed_memory
from uae_cli.models.weights import load_weights
from uae_cli.text import nearest, one_line

log = logging.getLogger(__name__)

FIGURE = "figure.png"


def attack_command(options: argparse.Namespace) -> int:
    """Attack, save and tell; see `uae attack --help`.

    Raises:
        UaeError: model, weights, data and settings don't go together, or the folder holds other files.
    """
    out = options.out
    if options.samples is not None and options.samples < 1:
        raise ConfigError(f"--samples = {options.samples}: must be at least 1")
    check_folder(out)
    own = [override for override in options.overrides if override.startswith("dataset.")]
    read = read_samples(options.data, options.size, own, gray=options.gray, most=options.samples)
    x = read.x
    limits = _limits(x, options.data, scale=options.scale)
    model = made_model(options.model, tuple(x.shape[1:]))
    if options.weights is not None:
        _load(model, options.weights)
    elif isinstance(model, nn.Module):
        log.warning("no --weights: the model is attacked with those that %s gives it", options.model)
    device = choose_device(_setting(options.overrides, "device") or "auto")
    if isinstance(model, nn.Module) and not is_spread(model):
        model.to(device)
    keep_freed_memory()
    found = attack(
        model,
        x,
        labels=read.labels,
        similarity=options.similarity,
        output=options.output,
        loss=None if options.loss is None else named(options.loss, "--loss"),
        layer=options.layer,
        limits=limits,
        progress=True,
        folder=out / "attack",
        settings=[override for override in options.overrides if override not in own],
    )
    found = replace(found, names=read.names)
    found.save(out)
    _draw(found, limits, out / FIGURE)
    print(found.summary().replace("; ", "\n  "))  # a reason a line
    print(f"Everything is in {out}")
    return 0


def named(spec: str, what: str) -> Any:
    """The class, function or object that `module:name` stands for.

    Args:
        spec: as given.
        what: the option it was given for, for the message.

    Raises:
        ConfigError: there is none, or importing the module fails.
    """
    place, colon, name = spec.partition(":")
    if not (place and colon and name):
        raise ConfigError(f"{what} {spec}: write module:name, as my_pkg:MyAE for class MyAE of my_pkg.py")
    try:
        found = importlib.import_module(place)
    except Exception as error:  # whatever a user's module may raise
        if isinstance(error, ModuleNotFoundError) and error.name and f"{place}.".startswith(f"{error.name}."):
            raise ConfigError(
                f"{what} {spec}: no module {error.name} in this folder, nor installed; call uae where "
                f"{error.name}.py is"
            ) from error
        reason = f"{type(error).__name__}: {one_line(error)}"
        raise ConfigError(f"{what} {spec}: importing {place} fails ({reason})") from error
    for part in name.split("."):
        if not hasattr(found, part):
            known = [one for one in vars(found) if not one.startswith("_")]
            raise ConfigError(f"{what} {spec}: {place} has no {part}; {nearest(part, known)}")
        found = getattr(found, part)
    return found


def made_model(spec: str, shape: tuple[int, ...]) -> Callable[[Tensor], Any]:
    """The model of `module:name`: a module, or what a class or function makes, given `shape` if it wants.

    Raises:
        ConfigError: there is none, it needs other arguments, or it makes no model.
    """
    maker = named(spec, "model")
    if isinstance(maker, nn.Module):
        return maker
    if not callable(maker):
        raise ConfigError(f"model {spec}: is a {type(maker).__name__}, no class, function or nn.Module")
    parameters = inspect.signature(maker).parameters.values()
    needed = [
        one.name
        for one in parameters
        if one.default is one.empty and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    ]
    if others := [name for name in needed if name != "shape"]:
        raise ConfigError(
            f"model {spec}: needs {', '.join(others)}; name a function that gives them, as def make(): "
            f"return {spec.rpartition(':')[2]}({', '.join(f'{name}=…' for name in others)})"
        )
    given = {"shape": shape} if "shape" in [one.name for one in parameters] else {}
    try:
        model = maker(**given)
    except Exception as error:  # likewise
        raise ConfigError(
            f"model {spec}: making it fails ({type(error).__name__}: {one_line(error)})"
        ) from error
    if not callable(model):
        raise ConfigError(
            f"model {spec}: makes a {type(model).__name__}, no nn.Module or function of samples"
        )
    made: Callable[[Tensor], Any] = model
    return made


def _load(model: object, weights: Path) -> None:
    if not isinstance(model, nn.Module):
        raise ConfigError(f"--weights {weights}: the model is no nn.Module, and takes none; leave them out")
    if told := load_weights(model, weights, "--weights"):
        log.warning("%s", told)


def _limits(x: Tensor, place: str, *, scale: bool) -> tuple[float, float]:
    """What 0 and 1 are: [0, 1], or with `scale` the samples' own smallest and largest value."""
    low, high = (float(value) for value in x.aminmax()) if x.numel() else (0.0, 1.0)
    if x.isnan().any():
        raise DataError(f"--data {place}: holds NaN; fill or drop missing values first")
    if scale and high > low:
        return low, high
    if low < 0 or high > 1:
        raise DataError(
            f"--data {place}: values from {low:g} to {high:g}, outside [0, 1]; --scale takes these two as "
            "the range (model and UAEs keep the data's own scale)"
        )
    return 0, 1


def _setting(overrides: list[str], name: str) -> str | None:
    return next((one.partition("=")[2] for one in overrides if one.startswith(f"{name}=")), None)


def _draw(found: Uaes, limits: tuple[float, float], path: Path) -> None:
    clean, uae = ((x[:MOST] - limits[0]) / (limits[1] - limits[0]) for x in (found.clean, found.x))
    delta, factor = amplified(uae - clean)
    rows = {"sample": clean, "UAE": uae, f"δ × {factor:g}": delta}
    image_rows(path, rows, "samples and their UAEs", success=found.success)
