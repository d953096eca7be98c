"""Everything that is checked before a run begins: a mistake costs seconds and leaves nothing behind."""

from dataclasses import dataclass
from typing import Any

import torch

from uae_cli.datasets import Dataset
from uae_cli.experiment.check import check_fit
from uae_cli.experiment.schema import Experiment, from_config
from uae_cli.hashing import digest
from uae_cli.machine import choose_device, use_precision


@dataclass(frozen=True)
class Prepared:
    """A run that can begin: settings, device and samples fit each other."""

    experiment: Experiment
    device: torch.device
    data: Dataset


class Preparation:
    """Checks jobs, and keeps the dataset read last, so that a sweep over one dataset reads it once."""

    def __init__(self) -> None:
        self._key = ""
        self._dataset: Dataset | None = None

    def __reduce__(self) -> tuple[type["Preparation"], tuple[()]]:
        """Launchers that start processes copy the settings, not the samples."""
        return Preparation, ()

    def settings(self, config: dict[str, Any]) -> tuple[Experiment, torch.device]:
        """What can be checked without data.

        Raises:
            UaeError: the first thing that would stop the run.
        """
        experiment = from_config(config)
        device = choose_device(experiment.device)
        use_precision(experiment.precision, device)
        return experiment, device

    def whole(self, config: dict[str, Any]) -> Prepared:
        """Settings and data; the data are fetched if need be.

        Raises:
            UaeError: the first thing that would stop the run.
        """
        experiment, device = self.settings(config)
        data = self._read(experiment, config["dataset"])
        data = experiment.part_of(data)
        check_fit(experiment, data, device)
        return Prepared(experiment, device, data)

    def _read(self, experiment: Experiment, settings: dict[str, Any]) -> Dataset:
        key = digest({"dataset": settings, "root": experiment.data.root})
        if self._dataset is None or self._key != key:
            self._dataset = None  # the last one's memory is free before the next one is read
            self._dataset = experiment.dataset.load(experiment.data.root, download=experiment.data.download)
            self._key = key
        return self._dataset
