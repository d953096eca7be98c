"""What an augmentation found: a line per arm, and the figures of its samples and models."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from uae_cli.arms import Extra
from uae_cli.evaluation.reconstruction import reconstruct
from uae_cli.figures import figures
from uae_cli.protocols.base import Measured
from uae_cli.stages.stages import Fitted, Workbench
from uae_cli.stages.tensorboard import Observer, similarity_quartiles

_SHOWN = 10  # samples in a figure


@dataclass(kw_only=True)
class ArmResult(Measured):
    """One arm: the first draw's samples and model (for figures), and every draw's metrics.

    Attributes:
        extra: the first draw's extra samples; None for `original`.
        fitted: the first draw's model.
    """

    extra: Extra | None
    fitted: Fitted


class AugmentationFindings:
    """See `Findings`.

    Args:
        results: of the arms, `original` first.
        bench: what they were made with.
        observer: TensorBoard.
    """

    def __init__(self, results: list[ArmResult], bench: Workbench, observer: Observer) -> None:
        self._results, self._bench, self._observer = results, bench, observer

    @property
    def measured(self) -> Sequence[ArmResult]:
        """See `Findings.measured`."""
        return self._results

    def draw(self, folder: Path, title: str) -> None:
        """See `Findings.draw`."""
        x, observer = self._bench.data.x_train, self._observer
        figures.loss_curves(folder / "training_loss.png", observer.losses, "training loss", title)
        observer.images("original", x[:_SHOWN])
        for result in self._results:
            if result.extra is not None and result.extra.success is not None:
                self._draw_attack(folder, result, result.extra, title)
        models = {result.arm: result.fitted.model for result in self._results}
        for evaluation in self._bench.experiment.evaluation.values():
            evaluation.draw(models, self._bench.subject, folder, title)

    def _draw_attack(self, folder: Path, result: ArmResult, extra: Extra, title: str) -> None:
        x, name = self._bench.data.x_train, result.arm
        extra = extra.parts[-1] if extra.parts else extra
        if extra.success is None:
            return
        title = f"{title}: {name}"
        rows = self._image_rows(x[:_SHOWN], extra.x[:_SHOWN], result)
        figures.image_rows(folder / f"{name}_samples.png", rows, title, extra.success)
        figures.largest_perturbations(folder / f"{name}_largest.png", x, extra.x, extra.success, title)
        self._observer.attack(name, extra)
        self._observer.images(f"uae/{name}", extra.x[:_SHOWN])
        if extra.unit == "nats":
            figures.attack_curves(
                folder / f"{name}_iterations.png",
                similarity_quartiles(extra),
                (extra.trace["f"] <= 0).double().mean(0),
                extra.trace["c"].mean(0),
                title,
            )

    def _image_rows(self, x: Tensor, uae: Tensor, result: ArmResult) -> dict[str, Tensor]:
        delta, factor = figures.amplified(uae - x)
        rows = {"original": x, "UAE": uae, f"δ × {factor:g}": delta}
        original = self._results[0].fitted.model
        if reconstruct(original, x[:1]).shape != x[:1].shape:  # no autoencoder
            return rows
        return rows | {
            "Φ(x)": reconstruct(original, x),
            "Φ(UAE)": reconstruct(original, uae),
            "retrained\nΦ(x)": reconstruct(result.fitted.model, x),
        }
