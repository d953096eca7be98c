"""`uae run`: one experiment from its resolved config to a folder with everything it found."""

import logging
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from omegaconf import OmegaConf

from uae_cli.errors import UaeError
from uae_cli.experiment import Experiment, from_config
from uae_cli.hardware import choose_device, choose_threads, describe
from uae_cli.progress import Bars
from uae_cli.protocols.augmentation import AugmentationRun
from uae_cli.protocols.observer import Observer
from uae_cli.protocols.workbench import Workbench
from uae_cli.report.columns import to_frame
from uae_cli.run_folder import RunFolder
from uae_cli.run_rows import Provenance, result_rows

log = logging.getLogger(__name__)


def run(config: dict[str, Any], folder: Path, *, overrides: list[str]) -> pd.DataFrame:
    """Run one experiment.

    Args:
        config: the resolved config, without Hydra's own section.
        folder: the run folder, which exists.
        overrides: what the user set, as `key=value`.

    Returns:
        The rows of `results.csv`.

    Raises:
        UaeError: a setting or the data are unusable; the run folder is removed then.
    """
    try:
        return _run(config, folder, overrides)
    except UaeError:
        logging.shutdown()
        shutil.rmtree(folder, ignore_errors=True)
        raise


def prepare(config: dict[str, Any]) -> tuple[Experiment, torch.device]:
    """Check everything that can be checked before data are read.

    Raises:
        UaeError: the first thing that would stop the run.
    """
    experiment = from_config(config)
    device = choose_device(experiment.device)
    return experiment, device


def _run(config: dict[str, Any], folder: Path, overrides: list[str]) -> pd.DataFrame:
    started = datetime.now(UTC)
    experiment, device = prepare(config)
    torch.set_num_threads(choose_threads(experiment.threads))
    data = experiment.dataset.load(experiment.data.root, download=experiment.data.download)
    data = data.first(experiment.data.train_size, experiment.data.test_size)
    log.info("%s on %s: %d training samples from %s", experiment.name, device, len(data.x_train), data.source)
    experiment.check_fit(data.shape)
    (folder / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(config)), encoding="utf-8")
    observer = Observer(folder / "tensorboard")
    bench = Workbench(experiment, config, data, device, Bars())
    results = AugmentationRun(bench, observer).run()
    provenance = Provenance.of(experiment, config, data, device, overrides, started)
    rows = result_rows(results, provenance)
    RunFolder(folder).write(results, rows, bench, observer, provenance, describe(device))
    observer.close()
    log.info("finished in %.1f s", (datetime.now(UTC) - started).total_seconds())
    return to_frame(rows)
