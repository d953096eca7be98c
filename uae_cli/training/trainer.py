"""One training loop for every objective: data stay on the device, and an interrupted fit resumes."""

import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from uae_cli.errors import ConfigError
from uae_cli.randomness import generator
from uae_cli.settings import STRICT, Count, NonNegative
from uae_cli.training.checkpoint import Checkpoint, History
from uae_cli.training.contrastive import ComparesSamples
from uae_cli.training.objectives import Objective, Updater

log = logging.getLogger(__name__)

OnEpoch = Callable[[int, float, dict[str, float]], None]
Watch = Callable[[nn.Module, int], dict[str, float]]


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
        batch_size: samples per step; the last batch of an epoch may be smaller, and is left out where it is
            too small for an objective that compares samples.
        epochs: passes over the data for the original model.
        refit_epochs: passes for a model retrained on augmented data (paper, Table 10).
        keep: the weights of the last epoch, or of the one with the lowest training loss.
        early_stopping: on the training loss, or null.
        tries: fits from scratch, each of twice the epochs, until the objective says that it converged.

    Raises:
        ConfigError: batches are too small for the objective.
    """

    objective: Objective
    batch_size: Count
    epochs: Count
    refit_epochs: Count
    keep: Literal["last", "best"]
    early_stopping: EarlyStopping | None
    tries: Count = 1

    def __post_init__(self) -> None:
        if self.batch_size < self._least_batch:
            raise ConfigError(
                f"model.trainer.batch_size = {self.batch_size}: the loss compares the samples of a batch; "
                f"use model.trainer.batch_size={self._least_batch} or more"
            )

    def fit(
        self,
        model: nn.Module,
        x: Tensor,
        *,
        epochs: int,
        seed: int,
        checkpoint: Path,
        labels: Tensor | None = None,
        on_try: Callable[[int], None] = lambda _epochs: None,
        on_epoch: OnEpoch = lambda _epoch, _loss, _scalars: None,
        watch: Watch = lambda _model, _epoch: {},
    ) -> History:
        """Train in place on (N, *shape) samples in [0, 1].

        Args:
            model: on the device of `x`.
            x: training samples.
            epochs: passes over them.
            seed: of the shuffling and of the objective's own randomness.
            checkpoint: file that an interrupted fit leaves, and resumes from; removed at the end.
            labels: (N,) int64 classes on the device of `x`, for a supervised objective.
            on_try: called with the epochs of each fit from scratch, before the first of them.
            on_epoch: called with the epoch (from 1), its mean loss and the objective's scalars; for past
                epochs too on resuming, and from 1 again with another try.
            watch: given the model after each new epoch; what it answers joins the scalars.

        Raises:
            ConfigError: the loss is no longer a number.
        """
        start = {name: value.clone() for name, value in model.state_dict().items()}
        saved = Checkpoint(checkpoint, x.device)
        history = saved.history
        while True:
            planned = epochs * 2 ** (history.tries - 1)
            on_try(planned)
            self._try(
                model, x, labels, saved, history, epochs=planned, seed=seed, on_epoch=on_epoch, watch=watch
            )
            if history.converged or history.tries == self.tries:
                break
            history = self._next_history(history.tries + 1, planned)
            saved.forget()
            model.load_state_dict(start)
        if self.keep == "best":
            model.load_state_dict(saved.best)
        saved.remove()
        model.eval()
        return history

    def steps(self, samples: int) -> int:
        """Optimiser steps of one epoch over so many samples."""
        full, rest = divmod(samples, self.batch_size)
        return full + (rest >= self._least_batch)

    def check_samples(self, samples: int) -> None:
        """See whether there are enough training samples, where the objective compares those of a batch.

        Raises:
            ConfigError: there aren't.
        """
        if isinstance(self.objective, ComparesSamples):
            self.objective.check_batch(self.batch_size, samples)

    def _next_history(self, tries: int, planned: int) -> History:
        log.info(
            "not converged after %d epochs: try %d of %d, with twice as many", planned, tries, self.tries
        )
        return History(tries=tries)

    def _try(
        self,
        model: nn.Module,
        x: Tensor,
        labels: Tensor | None,
        saved: Checkpoint,
        history: History,
        *,
        epochs: int,
        seed: int,
        on_epoch: OnEpoch,
        watch: Watch,
    ) -> None:
        """One fit from scratch."""
        shuffler = generator(seed, "shuffle", torch.device("cpu"))
        draws = generator(seed, "objective", x.device)
        updater = self.objective.bind(model, draws, steps=epochs * self.steps(len(x)))
        saved.restore(model, updater, [shuffler, draws])
        history.replay(on_epoch)
        model.train()
        while len(history.losses) < epochs and not self._stalled(history.losses):
            loss = self._epoch(updater, x, labels, shuffler)
            _check_finite(loss, len(history.losses) + 1)
            if self.keep == "best" and loss < min(history.losses, default=math.inf):
                saved.best = {name: value.clone() for name, value in model.state_dict().items()}
            history.losses.append(loss)
            history.scalars.append(updater.scalars() | watch(model, len(history.losses)))
            on_epoch(len(history.losses), loss, history.scalars[-1])
            saved.save_now_and_then(history, model, updater, [shuffler, draws])
        history.converged = updater.converged()

    def _epoch(self, updater: Updater, x: Tensor, labels: Tensor | None, shuffler: torch.Generator) -> float:
        """One pass over the data; returns the mean loss."""
        order = torch.randperm(len(x), generator=shuffler).to(x.device)
        total, seen = torch.zeros((), device=x.device), 0
        for batch in self._batches(order):
            own = None if labels is None else labels[batch]
            total += updater.step(x[batch], own) * len(batch)
            seen += len(batch)
        return float(total) / seen

    def _batches(self, order: Tensor) -> list[Tensor]:
        """The samples of each step."""
        least = self._least_batch
        return [batch for batch in order.split(self.batch_size) if len(batch) >= least]

    @property
    def _least_batch(self) -> int:
        return int(getattr(self.objective, "least_batch", 1))

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
