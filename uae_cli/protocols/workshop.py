"""What arms may ask for while they make samples, on the cached stages of a run."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from uae_cli.arms import ChangesTraining, Extra
from uae_cli.attacks.similarities import Similarity
from uae_cli.protocols.observer import Observer
from uae_cli.protocols.workbench import Fitted, Workbench


class Shop:
    """See `Workshop`.

    Args:
        bench: cached fits and attacks.
        observer: is told of every epoch.
        target: the current model, which is attacked.
        extra: makes the first draw of another arm.
    """

    def __init__(
        self, bench: Workbench, observer: Observer, target: Fitted, extra: Callable[[str], Extra]
    ) -> None:
        self._bench, self._observer, self._target = bench, observer, target
        self.extra = extra
        self.x, self.seed = bench.data.x_train, bench.seed

    def attacked(self, label: str, similarity: Similarity) -> Extra:
        """See `Workshop.attacked`."""
        triple = self._bench.experiment.triple(similarity)
        found = self._bench.attack(label, self._target, self.x, triple)
        return replace(found, target=self._target.model, unit=similarity.unit)

    def retrained(self, label: str, extra: Tensor) -> "Shop":
        """See `Workshop.retrained`."""
        fitted = refit(self._bench, self._observer, label, extra)
        return Shop(self._bench, self._observer, fitted, self.extra)


def fit(
    bench: Workbench,
    observer: Observer,
    label: str,
    x: Tensor,
    epochs: int,
    change: ChangesTraining | None = None,
) -> Fitted:
    """A model trained from scratch on `x`, its epochs told to the observer."""

    def on_epoch(epoch: int, loss: float, scalars: dict[str, float]) -> None:
        observer.epoch(label, epoch, loss, scalars)

    return bench.fit(label, x, epochs=epochs, on_epoch=on_epoch, change=change)


def refit(
    bench: Workbench,
    observer: Observer,
    label: str,
    extra: Tensor,
    change: ChangesTraining | None = None,
) -> Fitted:
    """A model trained from scratch on the training samples and `extra` (k·N, *shape)."""
    x = torch.cat([bench.data.x_train, extra])
    return fit(bench, observer, label, x, bench.experiment.model.trainer.refit_epochs, change)
