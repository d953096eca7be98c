"""`uae run`: one experiment from its resolved config to a folder with everything it found.

Tables, figures, curves, models, samples, and where they came from.
"""

import logging
import os
import shutil
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from omegaconf import OmegaConf

from uae_cli import __version__
from uae_cli.claim import Claim
from uae_cli.datasets import Dataset
from uae_cli.errors import ConfigError, UaeError, told_if_refused
from uae_cli.experiment.check import Preparation
from uae_cli.experiment.schema import Experiment
from uae_cli.hashing import seal, settings_of, write_json, write_whole
from uae_cli.machine import (
    choose_device,
    choose_threads,
    commit,
    describe,
    keep_freed_memory,
    use_precision,
)
from uae_cli.progress import Bars
from uae_cli.protocols import Runnable
from uae_cli.results import CLAIM, RESULTS_FILE, run_folders, to_frame
from uae_cli.run.rows import provenance, result_rows
from uae_cli.stages import Stages, TensorBoard, Tracked
from uae_cli.training import lend_a_hand, ranks

log = logging.getLogger(__name__)

_A_DAY, _A_MINUTE = 86400.0, 60.0  # seconds


def run(
    config: dict[str, Any],
    folder: Path,
    *,
    overrides: list[str],
    command: str = "",
    preparation: Preparation | None = None,
) -> None:
    """Run one experiment.

    Args:
        config: the resolved config, without Hydra's own section.
        folder: the run folder, which exists.
        overrides: what the user set, as `key=value`.
        command: the whole command line, for the record.
        preparation: checks the job; one that has read the dataset already spares reading it again.

    Raises:
        UaeError: a setting or the data are unusable; the run folder is removed then, as it is after Ctrl-C.
    """
    outputs, claim = Path(config["outputs"]), Claim(folder / CLAIM)
    with told_if_refused(folder):
        if not claim.take():
            raise ConfigError(
                f"hydra.run.dir = {folder}: {claim.holder or 'another run'} writes there; use another"
            )
    try:
        with told_if_refused(config["outputs"]), ranks.leading(), ExitStack() as at_end:
            clear_dead_runs(outputs)
            _run(config, folder, overrides, command, preparation or Preparation(), at_end)
    except (UaeError, KeyboardInterrupt):
        logging.shutdown()
        _discard(folder, outputs)
        raise
    finally:
        claim.release()


def follow(config: Mapping[str, Any]) -> bool:
    """Whether this isn't the first of several processes of one job: it has then helped the first to train."""
    device = choose_device(config["device"])
    if not ranks.join(device):
        return False
    use_precision(config["precision"], device)
    torch.set_num_threads(choose_threads(config["threads"]))
    lend_a_hand(device)
    return True


def _run(
    config: dict[str, Any],
    folder: Path,
    overrides: list[str],
    command: str,
    preparation: Preparation,
    at_end: ExitStack,
) -> None:
    started = datetime.now(UTC)
    ready = preparation.whole(config)
    experiment, device, data = ready.experiment, ready.device, ready.data
    torch.set_num_threads(choose_threads(experiment.threads))
    keep_freed_memory()
    log.info("%s on %s: %d training samples from %s", experiment.name, device, len(data.x_train), data.source)
    (folder / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(config)), encoding="utf-8")
    if tracked := _tracked(experiment, config, folder):
        at_end.enter_context(tracked)
    tensorboard = TensorBoard(folder / "tensorboard", tracked)
    stages = Stages(experiment, data, device, Bars(), tensorboard.epoch)
    assert isinstance(experiment.protocol, Runnable)
    result = experiment.protocol.run(stages)
    told = provenance(experiment, config, data, device, overrides, started)
    if names := stages.store.unconverged:
        told["note"] += f" NOT CONVERGED, even in the last try: {', '.join(names)}."
        told["note"] = told["note"].strip()
    (folder / "figures").mkdir(exist_ok=True)
    scale = "" if experiment.scale.name == "full" else f", scale {experiment.scale.name}"
    result.draw(folder / "figures", f"{experiment.name}, seed {experiment.seed}{scale}", tensorboard)
    tensorboard.close()
    _link_stages(folder / "tensors", stages)
    _write_split(folder / "split.csv", data)
    told["seconds"] = (datetime.now(UTC) - started).total_seconds()
    rows = result_rows(result.lines, told)
    record = {
        **told,
        "commit": told["commit"] or None,
        "uae": __version__,
        "command": command,
        "machine": describe(device),
        "source": data.source,
        "stages": stages.store.costs,
        "results": [vars(row) for row in rows],
        "draws": {line.arm: line.draws for line in result.lines},
    }
    write_json(folder / "results.json", record)
    table = to_frame(rows).to_csv(index=False)
    seal(folder, {RESULTS_FILE: table})
    # Last: with it, a run is finished
    write_whole(folder / RESULTS_FILE, lambda part: part.write_text(table, encoding="utf-8"))
    if tracked is not None:
        files = [folder / "config.yaml", folder / RESULTS_FILE, *sorted((folder / "figures").glob("*.png"))]
        tracked.finish({f"{row.metric}/{row.arm}": row.value for row in rows}, files)
    log.info("finished in %.1f s", told["seconds"])


def _tracked(experiment: Experiment, config: dict[str, Any], folder: Path) -> Tracked | None:
    if experiment.tracker is None:
        return None
    (flat,) = pd.json_normalize(settings_of(config)).to_dict("records")
    tags = {
        "dataset": config["dataset"]["name"],
        "model": experiment.model.name,
        "scale": experiment.scale.name,
        "seed": str(experiment.seed),
        "commit": commit() or "none",
    }
    begun: Tracked = experiment.tracker.begin(
        f"{experiment.name} {folder.name}", {str(key): value for key, value in flat.items()}, tags
    )
    return begun


def _write_split(path: Path, data: Dataset) -> None:
    """Which rows of the source are training and test samples, where the split is not the source's own."""
    parts = {"train": data.train_rows, "validation": data.validation_rows, "test": data.test_rows}
    frames = [
        pd.DataFrame(
            {"row": rows.tolist(), "split": name}
            | ({"file": [data.files[row] for row in rows.tolist()]} if data.files else {})
        )
        for name, rows in parts.items()
        if rows is not None
    ]
    if frames:
        pd.concat(frames).to_csv(path, index=False)


def _link_stages(folder: Path, stages: Stages) -> None:
    """Models and samples, shared with the stage store where the file system allows links."""
    folder.mkdir(exist_ok=True)
    for label, stage in stages.store.stages.items():
        name = label.partition(" ")[2].replace(" ", "_").replace("/", "_")
        for source in stage.folder.glob("*.safetensors"):
            link_file(source, folder / f"{name}.{source.name}")


def link_file(source: Path, target: Path) -> None:
    """Put `source` at `target`, never writing into what stands there: it may be another stage's own file."""

    def link(part: Path) -> None:
        try:
            os.link(source, part)
        except OSError:
            shutil.copy2(source, part)

    write_whole(target, link)


def clear_dead_runs(outputs: Path) -> None:
    """Remove what runs that were killed have left: folders without results whose process is gone.

    So are those of an error that showed its traceback, when nothing in them has changed for a day, and those
    that Hydra could not even fill, after a minute.
    """
    for folder in run_folders(outputs):
        if not (folder / RESULTS_FILE).exists() and _dead(folder):
            log.info("%s: removed; its run was stopped before it had results", folder)
            shutil.rmtree(folder, ignore_errors=True)


def _dead(folder: Path) -> bool:
    claim = Claim(folder / CLAIM)
    if claim.path.exists():
        return claim.abandoned
    with suppress(OSError):  # it goes on, or is removed, while we look
        changed = max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
        begun = (folder / "config.yaml").exists()
        return time.time() - changed > (_A_DAY if begun else _A_MINUTE)
    return False


def _discard(folder: Path, outputs: Path) -> None:
    """Remove an unfinished run, but nothing outside the folders that runs are put into by default.

    A user may have pointed hydra.run.dir at a folder with files of their own.
    """
    folder = folder.resolve()
    for above in ("runs", "multirun"):
        ours = (outputs / above).resolve()
        if folder.is_relative_to(ours) and folder != ours:
            shutil.rmtree(folder, ignore_errors=True)
