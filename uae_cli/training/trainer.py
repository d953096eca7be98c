"""One training loop for every objective: data stay on the device, and an interrupted fit resumes."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass as plain_dataclass
from dataclasses import field
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from uae_cli.errors import ConfigError
from uae_cli.randomness import generator
from uae_cli.settings import STRICT, Count, NonNegative
from uae_cli.training.objectives import Objective, Updater

_CHECKPOINT_SECONDS = 20.0


@dataclass(frozen=True, kw_only=True, config=STRICT)
class EarlyStopping:
    """Stop when the training loss has not fallen by `min_delta` (a fraction of it) for `patience` epochs."""

    patience: Count
    min_delta: NonNegative


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Trainer:
    """How a model is fitted.

    Attributes:
        objective: loss and optimiser.
        batch_size: samples per step; the last batch of an epoch may be smaller.
        epochs: passes over the data for the original model.
        refit_epochs: passes for a model retrained on augmented data (paper, Table 10).
        keep: the weights of the last epoch, or of the one with the lowest training loss.
        early_stopping: on the training loss, or null.
    """

    objective: Objective
    batch_size: Count
    epochs: Count
    refit_epochs: Count
    keep: Literal["last", "best"]
    early_stopping: EarlyStopping | None

    def fit(
        self,
        model: nn.Module,
        x: Tensor,
        *,
        epochs: int,
        seed: int,
        checkpoint: Path,
        on_epoch: Callable[[int, float], None] = lambda _epoch, _loss: None,
    ) -> list[float]:
        """Train in place on (N, *shape) samples in [0, 1].

        Args:
            model: on the device of `x`.
            x: training samples.
            epochs: passes over them.
            seed: of the shuffling and of the objective's own randomness.
            checkpoint: file that an interrupted fit leaves, and resumes from; removed at the end.
            on_epoch: called with the epoch (from 1) and its mean loss; on resuming, for past epochs too.

        Returns:
            Mean training loss of every epoch.

        Raises:
            ConfigError: the loss is no longer a number.
        """
        shuffler = generator(seed, "shuffle", torch.device("cpu"))
        draws = generator(seed, "objective", x.device)
        progress = _Progress(model, self.objective.bind(model, draws), [shuffler, draws])
        progress.resume(checkpoint, x.device)
        for epoch, loss in enumerate(progress.losses, start=1):
            on_epoch(epoch, loss)
        model.train()
        while len(progress.losses) < epochs and not self._stalled(progress.losses):
            order = torch.randperm(len(x), generator=shuffler).to(x.device)
            total = torch.zeros((), device=x.device)
            for batch in order.split(self.batch_size):
                total += progress.updater.step(x[batch]) * len(batch)
            loss = float(total) / len(x)
            _check_finite(loss, len(progress.losses) + 1)
            progress.finish_epoch(loss, keep_best=self.keep == "best")
            on_epoch(len(progress.losses), progress.losses[-1])
            progress.save_now_and_then(checkpoint)
        if self.keep == "best":
            model.load_state_dict(progress.best)
        checkpoint.unlink(missing_ok=True)
        model.eval()
        return progress.losses

    def _stalled(self, losses: list[float]) -> bool:
        rule = self.early_stopping
        if rule is None or len(losses) <= rule.patience:
            return False
        before = min(losses[: -rule.patience])
        return min(losses[-rule.patience :]) >= before - rule.min_delta * abs(before)


def _check_finite(loss: float, epoch: int) -> None:
    if not math.isfinite(loss):
        raise ConfigError(
            f"model.trainer.objective.optimizer: the loss became {loss} in epoch {epoch}; set a lower lr"
        )


@plain_dataclass
class _Progress:
    """What a fit must remember to go on after a kill."""

    model: nn.Module
    updater: Updater
    generators: list[torch.Generator]
    losses: list[float] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    saved_at: float = field(default_factory=time.monotonic)

    def finish_epoch(self, loss: float, *, keep_best: bool) -> None:
        if keep_best and loss < min(self.losses, default=float("inf")):
            self.best = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.losses.append(loss)

    def save_now_and_then(self, path: Path) -> None:
        if time.monotonic() - self.saved_at < _CHECKPOINT_SECONDS:
            return
        state = {
            "model": self.model.state_dict(),
            "updater": self.updater.state_dict(),
            "generators": [source.get_state() for source in self.generators],
            "losses": self.losses,
            "best": self.best,
        }
        part = path.with_suffix(".part")
        torch.save(state, part)
        part.replace(path)
        self.saved_at = time.monotonic()

    def resume(self, path: Path, device: torch.device) -> None:
        if not path.exists():
            return
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.updater.load_state_dict(state["updater"])
        for source, saved in zip(self.generators, state["generators"], strict=True):
            source.set_state(saved.cpu())
        self.losses, self.best = state["losses"], state["best"]
