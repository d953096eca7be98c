"""What of settings, command line and a user's own files is checked before torch is loaded."""

import re
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from uae_cli.errors import ConfigError, SettingError, UnknownSettingError
from uae_cli.experiment.compose import conf_dir
from uae_cli.experiment.refused import validation_error
from uae_cli.settings import STRICT, Count, Location, Positive, Precision
from uae_cli.text import shown
from uae_cli.yaml_files import read_yaml

_PACKAGE = "# @package _global_"  # a user's own experiment without it is one that Hydra puts elsewhere
# Settings that not every protocol reads
PROTOCOLS = {
    "uae_cli.protocols.Augment": "augmentation",
    "uae_cli.protocols.AttackProtocol": "attack",
    "uae_cli.protocols.RobustnessProtocol": "robustness",
}
_READERS = {
    "arm": ("augmentation",),
    "augmentation": ("augmentation",),
    "evaluation": ("augmentation", "attack"),
    "method": ("attack", "robustness"),
    "data.attack_size": ("attack", "robustness"),
    "data.validation_share": ("augmentation", "attack"),
    "victim": ("robustness",),
    "source": ("robustness",),
}


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DataSettings:
    """Where the data are and how much of them is used.

    Attributes:
        root: the data root; `UAE_DATA` sets its default.
        train_size: the first n training samples, or null for what the scale says.
        test_size: likewise.
        validation_share: fraction of those training samples, drawn by seed, that are set aside: neither
            trained on nor attacked, they give the `validation_…` measures beside the test set's.
        attack_size: how many samples are attacked, where not all of them are (protocol=attack, robustness).
        download: whether missing files are fetched.
    """

    root: Location
    train_size: Count | None
    test_size: Count | None
    validation_share: Annotated[float, Field(ge=0, lt=1)]
    attack_size: Count
    download: bool


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Scale:
    """How much of the full protocol is run.

    Attributes:
        name: stands beside every result.
        train_size: the first n training samples at most, where `data.train_size` doesn't say; null: all.
        test_size: likewise.
    """

    name: str
    train_size: Count | None
    test_size: Count | None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ArmSettings:
    """Settings shared by the arms.

    Attributes:
        draws: how often an arm's noise is drawn anew within one seed.
        rounds: how often samples are made of the model retrained on the samples before (paper §6.15).
    """

    draws: Count
    rounds: Count


@dataclass(frozen=True, kw_only=True, config=STRICT)
class RunSettings:
    """What an experiment says of itself, before any part of it is built.

    Attributes:
        name: as results call it; a folder is named after it.
        seed: of everything random.
        device: auto, cpu, cuda or cuda:N.
        threads: CPU threads torch may use, or auto.
        jobs: processes that make the stages of protocol=augmentation side by side, or auto.
        precision: float32; or tf32 (training and attack) or bfloat16 (the attacked model's passes).
        chunk_size: samples attacked at once, or null to let the runner choose.
        memory_budget: GiB that an attack may take, or null for half of what is free.
        outputs: folder of runs and cached stages.
        plugins: the user's own modules that a `_target_` may name.
        data: where the data are, and how much of them is used.
        scale: how much of the full protocol is run.
    """

    name: Annotated[str, Field(pattern=r"^\w[\w.+-]*$")]
    seed: Annotated[int, Field(ge=0)]
    device: str
    threads: Count | Literal["auto"]
    jobs: Count | Literal["auto"]
    precision: Precision
    chunk_size: Count | None
    memory_budget: Positive | None
    outputs: Location
    plugins: list[str]
    data: DataSettings
    scale: Scale


def check_without_torch(config: dict[str, Any]) -> None:
    """See whether the settings that need no torch are right.

    Raises:
        ConfigError: one isn't.
    """
    check_form(config)
    arms = {name: value for name, value in config.get("augmentation", {}).items() if name != "chain"}
    run = {field.name: config[field.name] for field in fields(RunSettings) if field.name in config}
    for place, settings, values in (("augmentation", ArmSettings, arms), ("", RunSettings, run)):
        try:
            TypeAdapter(settings).validate_python(values)
        except ValidationError as error:
            raise validation_error(error, place) from error


# What Hydra reads of a section beside its settings
_FLAGS: dict[str, tuple[Callable[[object], bool], str]] = {
    "_target_": (
        lambda value: isinstance(value, str) and value != "",
        "must name a class, as in uae's own files",
    ),
    "_partial_": (lambda value: isinstance(value, bool), "must be true or false"),
    "_recursive_": (lambda value: isinstance(value, bool), "must be true or false"),
    "_convert_": (
        lambda value: value in ("none", "partial", "object", "all"),
        "must be none, partial, object or all",
    ),
}
_SECTIONS = ("data", "scale", "augmentation", "arm", "method", "evaluation")


def check_form(config: dict[str, Any]) -> None:
    """See whether a config has the form that whatever reads it relies on.

    Raises:
        ConfigError: a value is left open (`???`), a name is no text, one of Hydra's own flags has another
            type, or there is no section where one belongs.
    """
    _check_node(config, "")
    if flags := [name for name in _FLAGS if name in config]:
        raise UnknownSettingError(flags[0])  # of all of it, which is no section
    for name in _SECTIONS:
        if name in config and not isinstance(config[name], dict):
            raise SettingError(name, shown(config[name]), "must be a section of settings")


def _check_node(node: object, place: str) -> None:
    if isinstance(node, str) and node == "???":
        raise ConfigError(f"{place}: must be given, e.g. {place}=…")
    if isinstance(node, list):
        for number, value in enumerate(node):
            _check_node(value, f"{place}.{number}")
    for name, value in node.items() if isinstance(node, dict) else ():
        inner = f"{place}.{name}".lstrip(".")
        if not isinstance(name, str):
            raise ConfigError(f"{inner}: a setting's name must be text, not {shown(name)}")
        if name in _FLAGS:
            fits, reason = _FLAGS[name]
            if not fits(value):
                raise SettingError(inner, shown(value), reason)
        _check_node(value, inner)


def check_reads(overrides: Sequence[str], configs: Sequence[dict[str, Any]]) -> None:
    """See whether every override is read by one of the jobs at least.

    Args:
        overrides: as on the command line.
        configs: of the jobs.

    Raises:
        ConfigError: one isn't; or it is of an evaluation that isn't chosen; or it changes a scale, whose name
            stands beside results.
    """
    for override in overrides:
        if override.lstrip("+~").startswith("scale."):
            raise ConfigError(
                f"{override}: a scale is chosen whole, scale=smoke, subset or full; set data.train_size, "
                "data.test_size or what else differs"
            )
        found = re.match(r"\+*evaluation\.(\w+)", override)
        if found and not any(found[1] in config.get("evaluation", ()) for config in configs):
            raise ConfigError(f"{override}: that evaluation isn't chosen; use evaluation=[{found[1]}]")
        if configs and not any(reads(config, override) for config in configs):
            part = _part(override)
            raise ConfigError(
                f"{override}: protocol = {_protocol(configs[0])} doesn't read {part}; leave it out, or "
                f"use protocol={' or protocol='.join(_READERS[part])}"
            )


def reads(config: dict[str, Any], override: str) -> bool:
    """Whether a job reads this override; a protocol of the user's own is trusted to."""
    part, protocol = _part(override), _protocol(config)
    if part == "evaluation" and "'watch_every'" in str(config.get(part)):
        return True  # it watches every training, of victims too
    return not part or protocol is None or protocol in _READERS[part]


def attacks_some(config: dict[str, Any]) -> bool:
    """Whether the job is known to attack `data.attack_size` samples, not all."""
    return _protocol(config) in _READERS["data.attack_size"]


def _part(override: str) -> str:
    """The key of `_READERS` that it is of; empty if every protocol reads it."""
    setting = override.lstrip("+~").partition("=")[0].partition("@")[0]
    return next((part for part in _READERS if setting == part or setting.startswith(f"{part}.")), "")


def _protocol(config: dict[str, Any]) -> str | None:
    protocol = config.get("protocol")
    target = protocol.get("_target_") if isinstance(protocol, dict) else None
    return PROTOCOLS.get(str(target))


def check_own_files(folder: Path, overrides: Sequence[str]) -> None:
    """See whether the files of a user's own folder mean what their author thinks.

    Raises:
        ConfigError: one is named like one of ours, which is found first; or an experiment that `overrides`
            name would come to stand below `experiment`, or sets a group like a value, which what the group's
            own file says replaces.
    """
    for file in sorted(folder.glob("*/**/*.yaml")):
        if (conf_dir() / file.relative_to(folder)).exists():
            raise ConfigError(f"{file}: uae has a file of this name, which it would take; give yours another")
        read_yaml(file)  # Hydra reads it without limits
    named = " ".join(override for override in overrides if override.startswith("experiment="))
    for file in sorted(folder.glob("experiment/*.yaml")):
        if file.stem in re.findall(r"[\w.-]+", named):
            _check_own(file)


def _check_own(file: Path) -> None:
    settings = read_yaml(file)
    if _PACKAGE not in file.read_text(encoding="utf-8"):
        raise ConfigError(
            f"{file}: its settings would come to stand below experiment; make its first line {_PACKAGE}"
        )
    groups = {path.name for path in conf_dir().iterdir() if path.is_dir()}
    for name, value in settings.items() if isinstance(settings, dict) else ():
        if name in groups and isinstance(value, str | list):
            raise ConfigError(
                f"{file}: {name}: {value}: has no effect here; choose it under defaults, as in "
                f"- override /{name}: {value}"
            )
