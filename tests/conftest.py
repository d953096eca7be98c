"""Real images, and a small autoencoder that was really trained on them."""

import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from uae_cli.datasets import Digits
from uae_cli.experiment.compose import compose_jobs, register_resolvers
from uae_cli.experiment.schema import from_config
from uae_cli.models import CarliniWagnerNet, ConvAutoencoder, glorot_
from uae_cli.progress import Bars
from uae_cli.results import RESULTS_FILE, ResultRow, to_frame, unit_of
from uae_cli.stages import Stages, TensorBoard
from uae_cli.training import ClassificationObjective, ReconstructionObjective, Trainer


@pytest.fixture(autouse=True)
def _same_start_for_every_test() -> None:
    """One thread: with as many workers as cores, threads that wait for each other take 20 times as long."""
    torch.manual_seed(0)
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def digits() -> Tensor:
    """400 of scikit-learn's digits, (400, 1, 8, 8) in [0, 1]."""
    return Digits(name="digits").load(Path("/nonexistent"), download=False).x_train[:400]


@pytest.fixture(scope="session")
def trained_state(digits: Tensor, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
    objective = ReconstructionObjective(loss="bce", optimizer=partial(torch.optim.Adadelta, lr=1.0, rho=0.95))
    trainer = Trainer(
        objective=objective, batch_size=20, epochs=6, refit_epochs=6, keep="last", early_stopping=None
    )
    model = _conv_ae()
    glorot_(model, torch.Generator().manual_seed(0))
    checkpoint = tmp_path_factory.mktemp("fit") / "checkpoint.pt"
    losses = trainer.fit(model, digits, epochs=6, seed=0, checkpoint=checkpoint).losses
    assert losses[-1] < 0.75 * losses[0]
    return model.state_dict()


@pytest.fixture
def trained_ae(trained_state: dict[str, Tensor]) -> nn.Module:
    """A convolutional autoencoder after six epochs on digits, in evaluation mode; yours to change."""
    model = _conv_ae()
    model.load_state_dict(trained_state)
    return model.eval()


@pytest.fixture(scope="session")
def digit_labels() -> Tensor:
    """Classes of `digits`, (400,)."""
    return Digits(name="digits").load(Path("/nonexistent"), download=False).y_train[:400]


@pytest.fixture(scope="session")
def classifier_state(
    digits: Tensor, digit_labels: Tensor, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Tensor]:
    objective = ClassificationObjective(optimizer=partial(torch.optim.Adam, lr=5e-3))
    trainer = Trainer(
        objective=objective, batch_size=20, epochs=8, refit_epochs=8, keep="last", early_stopping=None
    )
    model = _small_cnn()
    glorot_(model, torch.Generator().manual_seed(0))
    checkpoint = tmp_path_factory.mktemp("fit") / "checkpoint.pt"
    trainer.fit(model, digits, epochs=8, seed=0, checkpoint=checkpoint, labels=digit_labels)
    return model.state_dict()


@pytest.fixture
def trained_classifier(classifier_state: dict[str, Tensor]) -> CarliniWagnerNet:
    """A convnet after eight epochs on digits, in evaluation mode; yours to change."""
    model = _small_cnn()
    model.load_state_dict(classifier_state)
    return model.eval()


def _small_cnn() -> CarliniWagnerNet:
    return CarliniWagnerNet(
        shape=(1, 8, 8), classes=10, channels=[8, 16], hidden=[32, 32], dropout=0.2, padding="same"
    )


def _conv_ae() -> ConvAutoencoder:
    return ConvAutoencoder(shape=(1, 8, 8), channels=[16, 8], kernel=5)


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
def make_stages(tmp_path: Path) -> Callable[..., Stages]:
    """A new process on the same outputs folder, so to speak; overrides as on the command line."""

    def make(*overrides: str) -> Stages:
        register_resolvers()
        settings = [*SMALL, f"outputs={tmp_path / 'outputs'}", *overrides]
        config: dict[str, Any] = compose_jobs(settings, multirun=False, extra_dir=None)[0].config
        experiment = from_config(config)
        data = experiment.dataset.load(experiment.data.root, download=False)
        data = experiment.part_of(data)
        return Stages(experiment, data, torch.device("cpu"), Bars())

    return make


@pytest.fixture
def tensorboard(tmp_path: Path) -> TensorBoard:
    return TensorBoard(tmp_path / "tensorboard")


@pytest.fixture
def flip() -> Callable[[Path, float], None]:
    """Flip one bit of a file, of the byte of this number (or at this share of its length, below 1)."""

    def flip_bit(path: Path, where: float) -> None:
        content = bytearray(path.read_bytes())
        content[where if isinstance(where, int) else int(where * len(content))] ^= 1
        path.write_bytes(content)

    return flip_bit


@pytest.fixture
def dead() -> Callable[[Path], None]:
    """Leave the claim of a process that was killed."""

    def leave(path: Path) -> None:
        code = f"""
import os, signal
from pathlib import Path
from uae_cli.claim import Claim
assert Claim(Path({str(path)!r})).take()
os.kill(os.getpid(), signal.SIGKILL)
"""
        assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL

    return leave


PLAIN_ROW: dict[str, Any] = {
    "experiment": "mnist_conv_ae",
    "dataset": "mnist",
    "model": "conv_ae",
    "arm": "mine_uae",
    "seed": 0,
    "metric": "test_mse",
    "value": 0.004,
    "scale": "full",
    "n_train": 60_000,
    "n_test": 10_000,
    "epochs": 30,
    "device": "Testing device",
    "settings": "12e34567",
    "overrides": "",
    "started": "2025-01-01T10:00:00+00:00",
}


def result(**changes: Any) -> ResultRow:
    row = {**PLAIN_ROW, **changes}
    return ResultRow(**{"unit": unit_of(row["metric"]), **row})


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    return tmp_path / "outputs"


@pytest.fixture
def finish(outputs: Path) -> Callable[..., Path]:
    """Leave a finished run at a path below outputs; each dict says how a row differs from the plain one."""

    def write(where: str, *rows: dict[str, Any]) -> Path:
        path = outputs / where / RESULTS_FILE
        path.parent.mkdir(parents=True)
        to_frame(result(**row) for row in rows).to_csv(path, index=False)
        return path

    return write


@pytest.fixture
def frame_of() -> Callable[..., pd.DataFrame]:
    """Make the rows of one run; each dict says how a row differs from the plain one."""
    return lambda *rows: to_frame(result(**row) for row in rows)
