"""From measurements to the tidy rows of `results.csv`."""

import statistics
from collections.abc import Sequence
from datetime import datetime
from itertools import product
from typing import Any

import torch

from uae_cli.datasets import Dataset
from uae_cli.experiment.schema import Experiment
from uae_cli.experiment.settings import attacks_some
from uae_cli.hashing import NOT_SETTINGS, digest, fingerprint, job_identity, settings_of
from uae_cli.machine import commit, device_name
from uae_cli.protocols import ORIGINAL, REPLICATE, Line
from uae_cli.results.columns import METRICS, ResultRow, gain, gain_name, unit_of

# What doesn't change a result, or has a column of its own
_SILENT_OVERRIDES = (*NOT_SETTINGS, "scale", "data.root", "data.download", "hydra")


def provenance(
    experiment: Experiment,
    config: dict[str, Any],
    data: Dataset,
    device: torch.device,
    overrides: list[str],
    started: datetime,
) -> dict[str, Any]:
    """What every row of a run says of itself: the columns that don't depend on arm and metric."""
    return {
        "experiment": experiment.name,
        "dataset": data.name,
        "model": experiment.model.name,
        "seed": experiment.seed,
        "scale": experiment.scale.name,
        "n_train": len(data.x_train),
        "n_test": len(data.x_test),
        "device": device_name(device),
        "settings": settings_hash(config, data),
        "overrides": " ".join(sorted(o for o in overrides if not _silent(o, experiment.name))),
        "started": started.isoformat(timespec="seconds"),
        "note": data.note,
        "commit": commit() or "",
        "attack": _scalars(config["attack"]),
        "job": job_identity(config),
        "n_attacked": config["data"]["attack_size"] if attacks_some(config) else 0,
    }


def settings_hash(config: dict[str, Any], data: Dataset) -> str:
    """Identifies everything but the seed and the machine that determines a result, the samples included.

    The first eight of its 16 hex digits leave the attack's solver out, so that runs which differ in
    nothing else are known to.
    """
    kept = settings_of(config)
    attack = kept.pop("attack")
    kept["samples"] = [fingerprint(data.undivided), fingerprint(data.x_test)]
    return digest(kept)[:8] + digest(attack)[:8]


def _scalars(settings: dict[str, Any]) -> str:
    """'alpha=0.01 beta=0.1 …', in the order of the names."""
    shown = {name: value for name, value in sorted(settings.items()) if name != "_target_"}
    return " ".join(
        f"{name}={value}" for name, value in shown.items() if isinstance(value, int | float | str)
    )


def result_rows(lines: Sequence[Line], told: dict[str, Any]) -> list[ResultRow]:
    """One row per line and metric; gains are against `original` and against `replicate`, where they ran.

    Args:
        lines: of a result.
        told: see `provenance`.
    """
    means = {line.arm: _mean_metrics(line) for line in lines}
    rows = []
    for line in lines:
        metrics = {name: [draw[name] for draw in line.draws if name in draw] for name in means[line.arm]}
        metrics |= _gains(line, metrics, means)
        rows += [_row(line, name, values, told) for name, values in metrics.items()]
    return rows


def _gains(
    line: Line, metrics: dict[str, list[float]], means: dict[str, dict[str, float]]
) -> dict[str, list[float]]:
    gains = {}
    references = {ORIGINAL: ORIGINAL, REPLICATE: line.control}
    for metric, (reference, arm) in product(metrics, references.items()):
        base = means.get(arm, {}).get(metric)
        if base is not None and METRICS[metric].gains and line.arm not in (ORIGINAL, arm):
            gains[gain_name(metric, reference)] = [gain(metric, value, base) for value in metrics[metric]]
    return gains


def _mean_metrics(line: Line) -> dict[str, float]:
    names = {name: None for draw in line.draws for name in draw}
    return {name: statistics.fmean(draw[name] for draw in line.draws if name in draw) for name in names}


def _row(line: Line, metric: str, values: list[float], told: dict[str, Any]) -> ResultRow:
    return ResultRow(
        **told,
        arm=line.arm,
        metric=metric,
        value=statistics.fmean(values),
        std=statistics.stdev(values) if len(values) > 1 else None,
        draws=len(values),
        unit=unit_of(metric),
        epochs=line.epochs,
        attack_passes=line.attack_passes,
        training_passes=line.training_passes,
    )


def _silent(override: str, name: str) -> bool:
    key, _, value = override.lstrip("+~").partition("=")
    if key == "experiment":  # a file of the user's own needn't set a name
        return value == name
    return any(key == silent or key.startswith(f"{silent}.") for silent in _SILENT_OVERRIDES)
