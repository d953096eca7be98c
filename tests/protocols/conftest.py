"""The digits experiment at a size that takes a second, with caches of its own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from uae_cli.experiment.compose import compose_jobs, register_resolvers
from uae_cli.experiment.schema import from_config
from uae_cli.progress import Bars
from uae_cli.stages.stages import Workbench
from uae_cli.stages.tensorboard import Observer

SMALL = [
    "experiment=digits_conv_ae",
    "scale=smoke",
    "data.train_size=24",
    "data.test_size=16",
    "model.trainer.epochs=2",
    "model.trainer.refit_epochs=3",
    "attack.delta_start=0.03",
    "chunk_size=10",
]


@pytest.fixture
def workbench(tmp_path: Path) -> Callable[..., Workbench]:
    """A new process on the same outputs folder, so to speak; overrides as on the command line."""

    def make(*overrides: str) -> Workbench:
        register_resolvers()
        settings = [*SMALL, f"outputs={tmp_path / 'outputs'}", *overrides]
        config: dict[str, Any] = compose_jobs(settings, multirun=False, extra_dir=None)[0].config
        experiment = from_config(config)
        data = experiment.dataset.load(experiment.data.root, download=False)
        data = data.first(experiment.data.train_size, experiment.data.test_size)
        return Workbench(experiment, data, torch.device("cpu"), Bars())

    return make


@pytest.fixture
def observer(tmp_path: Path) -> Observer:
    return Observer(tmp_path / "tensorboard")
