"""`uae run`: one experiment from its resolved config to a folder with everything it found."""

import logging
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from uae_cli import __version__
from uae_cli.errors import UaeError
from uae_cli.experiment.check import Preparation
from uae_cli.machine import choose_threads, describe, keep_freed_memory
from uae_cli.progress import Bars
from uae_cli.protocols import Runnable
from uae_cli.run.folder import RunFolder
from uae_cli.run.rows import Provenance, result_rows
from uae_cli.stages import Stages, TensorBoard

log = logging.getLogger(__name__)


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
    try:
        _run(config, folder, overrides, command, preparation or Preparation())
    except (UaeError, KeyboardInterrupt):
        logging.shutdown()
        _discard(folder, Path(config["outputs"]))
        raise


def _run(
    config: dict[str, Any], folder: Path, overrides: list[str], command: str, preparation: Preparation
) -> None:
    started = datetime.now(UTC)
    ready = preparation.whole(config)
    experiment, device, data = ready.experiment, ready.device, ready.data
    torch.set_num_threads(choose_threads(experiment.threads))
    keep_freed_memory()
    log.info("%s on %s: %d training samples from %s", experiment.name, device, len(data.x_train), data.source)
    (folder / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(config)), encoding="utf-8")
    tensorboard = TensorBoard(folder / "tensorboard")
    stages = Stages(experiment, data, device, Bars(), tensorboard.epoch)
    assert isinstance(experiment.protocol, Runnable)
    result = experiment.protocol.run(stages)
    provenance = Provenance.of(experiment, config, data, device, overrides, started)
    if names := stages.store.unconverged:
        told = f"NOT CONVERGED, even in the last try: {', '.join(names)}."
        provenance = replace(provenance, note=f"{provenance.note} {told}".strip())
    rows = result_rows(result.lines, provenance)
    run_folder = RunFolder(folder)
    run_folder.draw(result, provenance, tensorboard)
    tensorboard.close()
    seconds = (datetime.now(UTC) - started).total_seconds()
    record = {
        **vars(provenance),
        "commit": provenance.commit or None,
        "uae": __version__,
        "command": command,
        "seconds": seconds,
        "machine": describe(device),
    }
    run_folder.write(result, rows, stages, record)
    log.info("finished in %.1f s", seconds)


def _discard(folder: Path, outputs: Path) -> None:
    """Remove an unfinished run, but nothing outside the folders that runs are put into by default.

    A user may have pointed hydra.run.dir at a folder with files of their own.
    """
    folder = folder.resolve()
    for above in ("runs", "multirun"):
        ours = (outputs / above).resolve()
        if folder.is_relative_to(ours) and folder != ours:
            shutil.rmtree(folder, ignore_errors=True)
