"""The jobs behind the paper's runs: what they are made of, and which of them are finished."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from uae_cli.experiment.command_line import reads
from uae_cli.experiment.compose import compose_jobs
from uae_cli.hashing import job_identity
from uae_cli.paper.items import Run
from uae_cli.results.attacked import CONFIG_FILE
from uae_cli.results.columns import RESULTS_FILE

# A part of a dataset that may stand for the whole where that can't be had
PARTS = {"svhn": "svhn_test10k", "tiny_imagenet": "tiny_imagenet_15k", "isolet": "isolet_subset"}


@dataclass(frozen=True)
class Job:
    """One `uae run`.

    Attributes:
        run: the paper's run that it is one seed of.
        arguments: of `uae run`.
        config: resolved.
        part: the dataset that stands for the whole one; empty if none does.
        missing: the dataset that isn't at hand; empty if it is.
    """

    run: Run
    arguments: tuple[str, ...]
    config: dict[str, Any]
    part: str = ""
    missing: str = ""

    @property
    def identity(self) -> str:
        """Equal for jobs that give the same result."""
        return job_identity(self.config)

    @property
    def command(self) -> str:
        """The command line that makes it."""
        return " ".join(("uae run", *self.arguments))


def jobs_of(
    runs: Iterable[Run], *, scale: str, seeds: Iterable[int], settings: Iterable[str], partial: bool
) -> list[Job]:
    """Every job of these runs, seed by seed.

    Args:
        runs: what is wanted.
        scale: smoke, subset or full.
        seeds: of each run.
        settings: further arguments of `uae run`, for all of them (`data.root=…`).
        partial: whether a part of a dataset may stand for a whole one that is missing.

    Raises:
        ConfigError: a setting is unknown.
    """
    return [
        _job(run, (*run, f"scale={scale}", f"seed={seed}", *settings), partial=partial)
        for seed in seeds
        for run in runs
    ]


def finished(outputs: Path) -> dict[str, Path]:
    """The folders of all finished runs below `outputs`, by job identity; the latest of each."""
    found: dict[str, Path] = {}
    tables = sorted(outputs.rglob(RESULTS_FILE), key=lambda path: path.stat().st_mtime)
    for folder in (path.parent for path in tables):
        identity = _identity_of(folder / CONFIG_FILE)
        if identity:
            found[identity] = folder
    return found


def commit_of(folder: Path) -> str:
    """The commit that a finished run was made by; empty if that isn't recorded."""
    with (folder / RESULTS_FILE).open(encoding="utf-8", newline="") as file:
        row = next(csv.DictReader(file), {})
    return row.get("commit") or ""


def _job(run: Run, arguments: tuple[str, ...], *, partial: bool) -> Job:
    config = _composed(arguments)
    if unread := [argument for argument in arguments if not reads(config, argument)]:
        # A setting for all runs, which this one's protocol would refuse
        arguments = tuple(argument for argument in arguments if argument not in unread)
        config = _composed(arguments)
    dataset = str(config["dataset"]["name"])
    if _present(config):
        return Job(run, arguments, config)
    part = PARTS.get(dataset, "")
    if partial and part:
        arguments = (*arguments, f"dataset={part}")
        other = _composed(arguments)
        if _present(other):
            return Job(run, arguments, other, part=part)
    return Job(run, arguments, config, missing=dataset)


def _composed(arguments: tuple[str, ...]) -> dict[str, Any]:
    [job] = compose_jobs(list(arguments), multirun=False, extra_dir=None)
    return job.config


def _present(config: dict[str, Any]) -> bool:
    from hydra.utils import instantiate

    found: bool = instantiate(config["dataset"]).check(Path(config["data"]["root"]), verify=False).present
    return found


def _identity_of(path: Path) -> str:
    """Empty for a folder that no run of today's format has left."""
    try:
        config: Any = OmegaConf.to_container(OmegaConf.load(path))
        return job_identity(config)
    except (OSError, OmegaConfBaseException, YAMLError, KeyError, TypeError, AttributeError):
        return ""
