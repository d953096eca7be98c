"""TensorBoard: what is written while a run goes on."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from uae_cli.arms import ExtraSamples
from uae_cli.stages.trackers import Tracked


class TensorBoard:
    """Writes curves and images to a TensorBoard folder, and keeps the loss curves for figures.

    Args:
        folder: where the event file goes.
        tracked: is told of every point of a curve too.
    """

    def __init__(self, folder: Path, tracked: Tracked | None = None) -> None:
        self._writer, self._tracked = SummaryWriter(str(folder)), tracked
        self.losses: dict[str, list[float]] = {}

    def epoch(self, label: str, epoch: int, loss: float, scalars: Mapping[str, float]) -> None:
        """The mean training loss of an epoch (from 1 again with another try), and what else moves."""
        if epoch == 1:
            self.losses[label] = []
        self.losses[label].append(loss)
        self._scalar(f"training_loss/{label}", loss, epoch)
        for name, value in scalars.items():
            self._scalar(f"training_{name}/{label}", value, epoch)

    def attack(self, label: str, extra: ExtraSamples) -> None:
        """c, f and S per attack iteration: means and, for S, quartiles."""
        for name, values in extra.trace.items():
            for t, column in enumerate(values.unbind(1), start=1):
                self._scalar(f"attack_{name}/{label}", float(column.mean()), t)
        quartiles = similarity_quartiles(extra)
        for t, row in enumerate(quartiles, start=1):
            for quantile, value in zip(("q25", "median", "q75"), row.tolist(), strict=True):
                self._scalar(f"attack_similarity_{quantile}/{label}", value, t)

    def images(self, label: str, samples: Tensor) -> None:
        """A few (n, C, H, W) images in [0, 1]; samples of other shapes are passed over."""
        if samples.ndim == 4 and samples.shape[1] in (1, 3):
            self._writer.add_images(label, samples)

    def _scalar(self, name: str, value: float, step: int) -> None:
        self._writer.add_scalar(name, value, step)
        if self._tracked is not None:
            self._tracked.point(name, value, step)

    def close(self) -> None:
        """Write out what is buffered."""
        self._writer.close()


def similarity_quartiles(extra: ExtraSamples) -> Tensor:
    """25, 50 and 75 % quantiles of S over samples, (T, 3)."""
    levels = torch.tensor([0.25, 0.5, 0.75])
    columns = extra.trace["similarity"].unbind(1)
    return torch.stack([torch.quantile(column.float(), levels) for column in columns])
