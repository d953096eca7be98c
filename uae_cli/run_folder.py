"""What a run leaves behind: tables, figures, curves, models, samples, and where they came from."""

import os
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from uae_cli.evaluation.reconstruction import reconstruct
from uae_cli.protocols.augmentation import ArmResult
from uae_cli.protocols.observer import Observer, similarity_quartiles
from uae_cli.protocols.workbench import MODEL, Workbench
from uae_cli.report import figures
from uae_cli.report.columns import RESULTS_FILE, ResultRow, to_frame
from uae_cli.run_rows import Provenance
from uae_cli.stages import write_json

_SHOWN = 10  # samples in a figure


class RunFolder:
    """The folder of one run; `results.csv` is written last, so its presence means the run finished.

    Args:
        path: the folder, which exists.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def draw(
        self, results: list[ArmResult], bench: Workbench, observer: Observer, provenance: Provenance
    ) -> None:
        """Figures, and what TensorBoard shows of the attacks."""
        folder = self._path / "figures"
        folder.mkdir(exist_ok=True)
        title = f"{provenance.experiment}, seed {provenance.seed}"
        if provenance.scale != "full":
            title += f", scale {provenance.scale}"
        figures.loss_curves(folder / "training_loss.png", observer.losses, "training loss", title)
        observer.images("original", bench.data.x_train[:_SHOWN])
        for result in results:
            if result.extra is not None and result.extra.success is not None:
                self._draw_attack(folder, result, results[0], bench, observer, title)

    def write(
        self, results: list[ArmResult], rows: list[ResultRow], bench: Workbench, record: dict[str, Any]
    ) -> None:
        """Tensors and tables.

        Args:
            results: of the arms.
            rows: the table.
            bench: what the run worked with.
            record: what else `results.json` says of the run.
        """
        self._link_stages(bench)
        record = {
            **record,
            "source": bench.data.source,
            "stages": bench.costs,
            "results": [vars(row) for row in rows],
            "draws": {result.name: result.draws for result in results},
        }
        write_json(self._path / "results.json", record)
        part = self._path / f"{RESULTS_FILE}.part"
        to_frame(rows).to_csv(part, index=False)
        part.replace(self._path / RESULTS_FILE)

    def _link_stages(self, bench: Workbench) -> None:
        """Models and samples, shared with the stage store where the file system allows links."""
        for label, stage in bench.stages.items():
            kind, _, name = label.partition(" ")
            suffix = "model" if kind == "fit" else "uae"
            source = stage.folder / (MODEL if kind == "fit" else "uae.safetensors")
            target = self._path / "tensors" / f"{name.replace(' ', '_')}.{suffix}.safetensors"
            target.parent.mkdir(exist_ok=True)
            _link(source, target)

    def _draw_attack(
        self,
        folder: Path,
        result: ArmResult,
        original: ArmResult,
        bench: Workbench,
        observer: Observer,
        title: str,
    ) -> None:
        extra, x = result.extra, bench.data.x_train
        assert extra is not None  # the caller's condition
        assert extra.success is not None
        title = f"{title}: {result.name}"
        rows = _image_rows(x[:_SHOWN], extra.x[:_SHOWN], original, result)
        figures.image_rows(folder / f"{result.name}_samples.png", rows, title)
        figures.largest_perturbations(
            folder / f"{result.name}_largest.png", x, extra.x, extra.success, f"{title}, largest ‖δ‖₂"
        )
        observer.attack(result.name, extra)
        observer.images(f"uae/{result.name}", extra.x[:_SHOWN])
        if bench.experiment.arm[result.name].similarity.unit == "nats":  # type: ignore[attr-defined]
            figures.attack_curves(
                folder / f"{result.name}_iterations.png",
                similarity_quartiles(extra),
                (extra.trace["f"] <= 0).double().mean(0),
                extra.trace["c"].mean(0),
                title,
            )


def _image_rows(x: Tensor, uae: Tensor, original: ArmResult, result: ArmResult) -> dict[str, Tensor]:
    delta, factor = figures.amplified(uae - x)
    with torch.no_grad():
        return {
            "original": x,
            "UAE": uae,
            f"δ × {factor:g}": delta,
            "Φ(x)": reconstruct(original.fitted.model, x),
            "Φ(UAE)": reconstruct(original.fitted.model, uae),
            "retrained\nΦ(x)": reconstruct(result.fitted.model, x),
        }


def _link(source: Path, target: Path) -> None:
    """Put `source` at `target`, never writing into what stands there: it may be another stage's own file."""
    part = target.with_suffix(".part")
    part.unlink(missing_ok=True)
    try:
        os.link(source, part)
    except OSError:
        shutil.copy2(source, part)
    part.replace(target)
    part.unlink(missing_ok=True)  # renaming does nothing where both are the same file already
