"""An epoch of training beside its bare forward and backward passes."""

import tempfile
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from uae_cli.bench.measure import Row
from uae_cli.experiment.schema import ModelSettings
from uae_cli.machine import synchronize

_TURNS = 3


def training_row(settings: ModelSettings, x: Tensor, device: torch.device, common: Row) -> Row:
    """The best of three epochs over `x` (N, *shape), and of three times the passes that an epoch makes."""
    x = x.to(device)
    model = settings.build(tuple(x.shape[1:]), 0, classes=0).to(device).to(memory_format=torch.channels_last)
    epochs, passes = [], []
    for _ in range(_TURNS):
        passes.append(_timed(lambda: _passes(model, x, settings.trainer.batch_size), device))
        epochs.append(_timed(lambda: _epoch(settings, model, x), device))
    seconds, floor = min(epochs) / len(x), min(passes) / len(x)
    return common | {
        "setting": "training",
        "samples": len(x),
        "iterations": 1,
        "chunk_size": settings.trainer.batch_size,
        "seconds_per_sample": seconds,
        "floor": "model",
        "floor_seconds_per_sample": floor,
        "ratio": seconds / floor,
        "samples_per_second": 1 / seconds,
    }


def _epoch(settings: ModelSettings, model: nn.Module, x: Tensor) -> None:
    with tempfile.TemporaryDirectory() as folder:
        settings.trainer.fit(model, x, epochs=1, seed=0, checkpoint=Path(folder) / "checkpoint.pt")


def _passes(model: nn.Module, x: Tensor, batch_size: int) -> None:
    model.train()
    for batch in x.split(batch_size):
        loss = F.mse_loss(model(batch), batch)
        torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)


def _timed(work, device: torch.device) -> float:  # type: ignore[no-untyped-def]
    synchronize(device)
    start = time.perf_counter()
    work()
    synchronize(device)
    return time.perf_counter() - start
