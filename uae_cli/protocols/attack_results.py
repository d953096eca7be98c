"""What an attack protocol found: a line per method, and figures that show them side by side."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from uae_cli.attacks.samples import Samples
from uae_cli.figures import figures
from uae_cli.figures.similarity_curves import Course, similarity_curves
from uae_cli.protocols.attack_run import MethodResult
from uae_cli.stages.stages import Workbench
from uae_cli.stages.tensorboard import Observer

_SHOWN = 10  # samples in a figure


class AttackFindings:
    """See `Findings`.

    Args:
        results: the model's line, and one per method.
        samples: what was attacked.
        bench: what they were made with.
        observer: TensorBoard.
    """

    def __init__(
        self, results: list[MethodResult], samples: Samples, bench: Workbench, observer: Observer
    ) -> None:
        self._results, self._samples, self._bench, self._observer = results, samples, bench, observer

    @property
    def measured(self) -> Sequence[MethodResult]:
        """See `Findings.measured`."""
        return self._results

    def draw(self, folder: Path, title: str) -> None:
        """See `Findings.draw`."""
        figures.loss_curves(folder / "training_loss.png", self._observer.losses, "training loss", title)
        x, rows, courses = self._samples.x, {"original": self._samples.x[:_SHOWN]}, {}
        for result in self._results:
            if (extra := result.extra) is None:
                continue
            rows[_broken(result.arm)] = extra.x[:_SHOWN]
            self._observer.attack(result.arm, extra)
            self._observer.images(f"adversarial/{result.arm}", extra.x[:_SHOWN])
            similarity = self._bench.experiment.method[result.arm].similarity
            if similarity.unit == "nats":
                trace = extra.trace
                courses[result.arm] = Course(trace["similarity"], trace["f"] <= 0, similarity.goal)
        self._observer.images("original", x[:_SHOWN])
        figures.image_rows(folder / "samples.png", rows, f"{title}: adversarial examples")
        similarity_curves(folder / "similarity.png", courses, f"{title}: mutual information, in the attack")
        self._list(folder / "attacked_samples.csv")

    def _list(self, path: Path) -> None:
        """Which samples the rows of the tensors are."""
        table = pd.DataFrame({"index": self._samples.index.numpy()})
        if self._samples.labels is not None:
            table["label"] = self._samples.labels.numpy()
        for result in self._results:
            if result.extra is not None and result.extra.success is not None:
                table[f"success_{result.arm}"] = result.extra.success.numpy()
        table.to_csv(path, index_label="row")


def _broken(name: str) -> str:
    """A method's name in the narrow margin of a figure."""
    return name.replace("_", "\n", 1) if len(name) > 10 else name
