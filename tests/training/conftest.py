"""The four kinds of training of the paper, on small networks."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from uae_cli.models import AdversarialAutoencoder, ConvAutoencoder, DenseAutoencoder
from uae_cli.training import (
    AdversarialObjective,
    Callbacks,
    Objective,
    ReconstructionObjective,
    Sparsity,
    Trainer,
    Updater,
)

adam = partial(torch.optim.Adam, lr=2e-3)
OBJECTIVES = {
    "dense": ReconstructionObjective(loss="mse", optimizer=partial(torch.optim.RMSprop, lr=2.5e-3)),
    "sparse": ReconstructionObjective(loss="mse", optimizer=adam, sparsity=Sparsity(target=0.1, weight=1.0)),
    "conv": ReconstructionObjective(loss="bce", optimizer=partial(torch.optim.Adadelta, lr=1.0, rho=0.95)),
    "adversarial": AdversarialObjective(optimizer=adam),
}
NETWORKS = {
    "dense": partial(DenseAutoencoder, latent_dim=32),
    "sparse": partial(DenseAutoencoder, latent_dim=32),
    "conv": partial(ConvAutoencoder, channels=[4, 4], kernel=3),
    "adversarial": partial(AdversarialAutoencoder, latent_dim=4, hidden_dim=32),
}


@pytest.fixture(params=OBJECTIVES)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def network() -> Callable[[str], nn.Module]:
    """The kind's network with its starting weights."""

    def make(kind: str) -> nn.Module:
        torch.manual_seed(0)
        return NETWORKS[kind](shape=(1, 8, 8))

    return make


@pytest.fixture
def trainer() -> Callable[..., Trainer]:
    def make(kind: str = "dense", **changes: Any) -> Trainer:
        plain = {
            "objective": OBJECTIVES[kind],
            "batch_size": 32,
            "epochs": 1,
            "refit_epochs": 1,
            "keep": "last",
            "early_stopping": None,
        }
        return Trainer(**(plain | changes))

    return make


@pytest.fixture
def updater() -> Callable[..., Updater]:
    """What trains a model, its random numbers drawn from the seed."""

    def make(objective: Objective, model: nn.Module, seed: int = 0, steps: int = 1) -> Updater:
        return Updater(objective, model, torch.Generator().manual_seed(seed), steps=steps)

    return make


@pytest.fixture
def killed_after() -> Callable[[int], Callbacks]:
    """Callbacks that interrupt a fit once so many epochs are saved."""

    def make(epochs: int) -> Callbacks:
        def kill(epoch: int, _loss: float, _scalars: dict[str, float]) -> None:
            if epoch > epochs:
                raise KeyboardInterrupt

        return Callbacks(on_epoch=kill)

    return make


@pytest.fixture
def fit(tmp_path: Path) -> Callable[..., list[float]]:
    """Fit for some epochs with the test's own checkpoint file, saved after every one."""

    def make(trainer: Trainer, model: nn.Module, x: Tensor, epochs: int, **options: Any) -> list[float]:
        options = {"seed": 0, "checkpoint": tmp_path / "checkpoint.pt", "seconds_between": 0} | options
        return trainer.fit(model, x, epochs=epochs, **options).losses

    return make
