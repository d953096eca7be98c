"""One training loop for every objective: data stay on the device, and an interrupted fit resumes."""

import logging
import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass as plain_dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from pydantic import InstanceOf
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from uae_cli.errors import ConfigError
from uae_cli.randomness import generator
from uae_cli.settings import STRICT, Count, NonNegative
from uae_cli.training import ranks
from uae_cli.training.checkpoint import SECONDS_BETWEEN, FitCheckpoint, History
from uae_cli.training.objectives import Objective

log = logging.getLogger(__name__)


class Updater:
    """A model that is trained, step by step: its loss, the optimisers, and what is random.

    Args:
        objective: what for.
        model: changed in place.
        generator: on the model's device, draws whatever is random in the loss.
        steps: how many there will be.
    """

    def __init__(
        self, objective: Objective, model: nn.Module, generator: torch.Generator, steps: int
    ) -> None:
        self._generator = generator
        self.loss = objective.bind(model, generator, steps)
        self._optimizers = [objective.optimizer(parameters) for parameters in self.loss.parameters()]
        made = (self.loss.schedule(optimizer) for optimizer in self._optimizers)
        self._schedules = [schedule for schedule in made if schedule is not None]
        self._parts: list[Any] = [model, *self._optimizers, *self._schedules]

    def step(self, batch: Tensor, labels: Tensor | None) -> Tensor:
        """One update on (B, *shape) samples; returns the loss that is reported, a detached scalar.

        `labels` are the batch's (B,) classes, None for an unsupervised objective.
        """
        self.loss.done += 1
        losses = []
        for optimizer, loss in zip(self._optimizers, self.loss.in_turn(batch, labels), strict=True):
            optimizer.zero_grad()
            loss.backward()
            ranks.average_gradients(p for group in optimizer.param_groups for p in group["params"])
            optimizer.step()
            losses.append(loss.detach())
        for schedule in self._schedules:
            schedule.step()
        return losses[0]

    def scalars(self) -> dict[str, float]:
        """What is worth a curve beside the loss, as it stands."""
        rates = [float(schedule.get_last_lr()[0]) for schedule in self._schedules]
        return self.loss.scalars() | ({"learning_rate": rates[0]} if rates else {})

    def state_dict(self) -> dict[str, Any]:
        """All that the next step depends on."""
        return {
            "parts": [part.state_dict() for part in self._parts],
            "done": self.loss.done,
            "auxiliary": {name: tensor.detach() for name, tensor in self.loss.auxiliary.items()},
            "generator": self._generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        for part, saved in zip(self._parts, state["parts"], strict=True):
            part.load_state_dict(saved)
        self.loss.done = state["done"]
        with torch.no_grad():
            for name, tensor in self.loss.auxiliary.items():
                tensor.copy_(state["auxiliary"][name])
        self._generator.set_state(state["generator"].cpu())


@dataclass(frozen=True, kw_only=True, config=STRICT)
class EarlyStopping:
    """Stop when the training loss has not fallen by `min_delta` (a fraction of it) for `patience` epochs."""

    patience: Count
    min_delta: NonNegative

    def stalled(self, losses: list[float]) -> bool:
        """Whether to stop after epochs of these losses."""
        if len(losses) <= self.patience:
            return False
        before = min(losses[: -self.patience])
        return min(losses[-self.patience :]) >= before - self.min_delta * abs(before)


@plain_dataclass(frozen=True)
class Callbacks:
    """Who is told of a fit.

    Attributes:
        on_try: called with the epochs of each fit from scratch, before the first of them.
        on_epoch: called with the epoch (from 1), its mean loss and the objective's scalars; for past
            epochs too on resuming, and from 1 again with another try.
        watch: given the model after each new epoch; what it answers joins the scalars.
    """

    on_try: Callable[[int], None] = lambda _epochs: None
    on_epoch: Callable[[int, float, dict[str, float]], None] = lambda _epoch, _loss, _scalars: None
    watch: Callable[[nn.Module, int], dict[str, float]] = lambda _model, _epoch: {}


SILENT = Callbacks()


class Renewal(Protocol):
    """Training samples that are made anew while a model is trained on them.

    What is made depends on the epoch and the model alone, so that a killed fit can go on. Its text (`repr`)
    identifies it, together with the samples of the first round.
    """

    @property
    def every(self) -> int:
        """Epochs between two rounds; the first round is there when training begins."""
        ...

    @property
    def passes(self) -> int:
        """Forward and backward passes of one sample through a model that a round takes."""
        ...

    def samples(self, model: nn.Module, epoch: int) -> Tensor:
        """Those of a round, (k, *shape), for the epoch (from 0) that begins; the model is left as it is."""
        ...


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

    objective: InstanceOf[Objective]
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
        callbacks: Callbacks = SILENT,
        renewal: Renewal | None = None,
        seconds_between: float = SECONDS_BETWEEN,
    ) -> History:
        """Train in place on (N, *shape) samples in [0, 1].

        Args:
            model: on the device of `x`.
            x: training samples.
            epochs: passes over them.
            seed: of the shuffling and of the objective's own randomness.
            checkpoint: NAME.pt; files named like it are what an interrupted fit leaves, and resumes from.
            labels: (N,) int64 classes on the device of `x`, for a supervised objective.
            callbacks: who is told.
            renewal: of the last k samples, of which `x` holds the first round; one process trains on them.
            seconds_between: one checkpoint and the next, at the end of an epoch.

        Raises:
            ConfigError: the loss is no longer a number.
        """
        saved = FitCheckpoint(checkpoint, x.device, seconds_between)
        fit = _Fit(self, model, x, labels, seed, saved, callbacks, renewal)
        if renewal is not None or not self.objective.divides_batches or ranks.there() == 1:
            return fit.run(epochs)
        ranks.check_batch(self.batch_size)
        on_cpu = partial(tree_map_only, Tensor, Tensor.cpu)
        ranks.call((self, deepcopy(model).cpu(), *on_cpu([x, labels, saved.state]), seed, epochs))
        with ranks.together(model, x.device):
            return fit.run(epochs)

    def steps(self, samples: int) -> int:
        """Optimiser steps of one epoch over so many samples."""
        return len(self.batches(torch.arange(samples)))

    def batches(self, order: Tensor) -> list[Tensor]:
        """The samples (N,) of an epoch, in the order in which they are seen, as those of each step."""
        return [batch for batch in order.split(self.batch_size) if len(batch) >= self._least_batch]

    def check_samples(self, samples: int) -> None:
        """See whether there are enough training samples, where the objective compares those of a batch.

        Raises:
            ConfigError: there aren't.
        """
        if self.objective.compares_samples and self.batch_size > samples:
            raise ConfigError(
                f"model.trainer.batch_size = {self.batch_size}: there are only {samples} training samples, "
                "and a contrastive loss depends on how many it compares; use "
                f"model.trainer.batch_size={samples} or less"
            )

    @property
    def _least_batch(self) -> int:
        return 2 if self.objective.compares_samples else 1


def lend_a_hand(device: torch.device) -> None:
    """Take part in the fits of the first of several processes until its job is done; see `ranks`."""
    for trainer, model, x, labels, state, seed, epochs in ranks.following():
        labels = None if labels is None else labels.to(device)
        saved = FitCheckpoint(None, device, read=state)
        with ranks.together(model.to(device), device):
            _Fit(trainer, model, x.to(device), labels, seed, saved, SILENT).run(epochs)


@plain_dataclass
class _Fit:
    """A fit under way; see `Trainer.fit`."""

    trainer: Trainer
    model: nn.Module
    x: Tensor
    labels: Tensor | None
    seed: int
    saved: FitCheckpoint
    callbacks: Callbacks
    renewal: Renewal | None = None

    def run(self, epochs: int) -> History:
        start, first = deepcopy(self.model.state_dict()), self.x
        planned = epochs * 2 ** (self.saved.history.tries - 1)
        while not self._try(planned) and self.saved.history.tries < self.trainer.tries:
            tries, most = self.saved.history.tries + 1, self.trainer.tries
            log.info("not converged after %d epochs: try %d of %d, with twice as many", planned, tries, most)
            self.saved.begin_try(tries)
            self.x = first
            self.model.load_state_dict(start)
            planned *= 2
        if self.trainer.keep == "best":
            self.model.load_state_dict(self.saved.best)
        self.saved.remove()
        self.model.eval()
        return self.saved.history

    def _try(self, epochs: int) -> bool:
        """One fit from scratch; whether it converged."""
        self.callbacks.on_try(epochs)
        shuffler = generator(self.seed, "shuffle", torch.device("cpu"))
        draws = generator(self.seed, "objective", self.x.device)
        steps = epochs * self.trainer.steps(len(self.x))
        updater = Updater(self.trainer.objective, self.model, draws, steps=steps)
        history = self.saved.history
        if self.saved.training:
            log.info("going on after epoch %d", len(history.losses))
            updater.load_state_dict(self.saved.training["updater"])
            shuffler.set_state(self.saved.training["shuffler"].cpu())
        history.replay(self.callbacks.on_epoch)
        self.model.train()
        stopping = self.trainer.early_stopping
        while len(history.losses) < epochs and not (stopping and stopping.stalled(history.losses)):
            self._renew(len(history.losses))
            self._note(self._epoch(updater, shuffler), updater)
            if self._begins_round(len(history.losses)):
                self.saved.save_epoch(
                    lambda: {"updater": updater.state_dict(), "shuffler": shuffler.get_state()}
                )
        history.converged = updater.loss.converged()
        return history.converged

    def _begins_round(self, epoch: int) -> bool:
        """Whether the samples of this epoch, from 0, depend on nothing that came before."""
        return self.renewal is None or epoch % self.renewal.every == 0

    def _renew(self, epoch: int) -> None:
        if self.renewal is None or epoch == 0 or not self._begins_round(epoch):
            return
        made = self.renewal.samples(self.model, epoch)
        self.x = torch.cat([self.x[: -len(made)], made.to(self.x.device)])
        self.saved.history.renewals += 1

    def _epoch(self, updater: Updater, shuffler: torch.Generator) -> float:
        """One pass over the data; returns the mean loss."""
        order = torch.randperm(len(self.x), generator=shuffler).to(self.x.device)
        total, seen = torch.zeros((), device=self.x.device), 0
        for batch in self.trainer.batches(order):
            labels = None if self.labels is None else self.labels[batch]
            total += updater.step(self.x[batch], labels) * len(batch)
            seen += len(batch)
        self.saved.history.passes += seen * self.trainer.objective.passes
        return float(total) / seen

    def _note(self, loss: float, updater: Updater) -> None:
        """An epoch of this loss is over."""
        history = self.saved.history
        epoch = len(history.losses) + 1
        if not math.isfinite(loss):
            raise ConfigError(
                f"model.trainer.objective.optimizer: the loss became {loss} in epoch {epoch}; set a lower lr"
            )
        if self.trainer.keep == "best" and loss < min(history.losses, default=math.inf):
            self.saved.best = deepcopy(self.model.state_dict())
        history.losses.append(loss)
        history.scalars.append(updater.scalars() | self.callbacks.watch(self.model, epoch))
        self.callbacks.on_epoch(epoch, loss, history.scalars[-1])
