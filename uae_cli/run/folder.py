"""What a run leaves behind: tables, figures, curves, models, samples, and where they came from."""

import os
import shutil
from pathlib import Path
from typing import Any

import pandas as pd

from uae_cli.datasets import Dataset
from uae_cli.hashing import write_json, write_whole
from uae_cli.protocols import Result
from uae_cli.results.columns import RESULTS_FILE, ResultRow, to_frame
from uae_cli.run.rows import Provenance
from uae_cli.stages import Stages, TensorBoard


class RunFolder:
    """The folder of one run; `results.csv` is written last, so its presence means the run finished.

    Args:
        path: the folder, which exists.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def draw(self, result: Result, provenance: Provenance, tensorboard: TensorBoard) -> None:
        """Figures, and what TensorBoard shows beside the curves."""
        folder = self._path / "figures"
        folder.mkdir(exist_ok=True)
        title = f"{provenance.experiment}, seed {provenance.seed}"
        if provenance.scale != "full":
            title += f", scale {provenance.scale}"
        result.draw(folder, title, tensorboard)

    def write(self, result: Result, rows: list[ResultRow], stages: Stages, record: dict[str, Any]) -> None:
        """Tensors and tables.

        Args:
            result: of the protocol.
            rows: the table.
            stages: what the run worked with.
            record: what else `results.json` says of the run.
        """
        self._link_stages(stages)
        self._write_split(stages.data)
        record = {
            **record,
            "source": stages.data.source,
            "stages": stages.store.costs,
            "results": [vars(row) for row in rows],
            "draws": {line.arm: line.draws for line in result.lines},
        }
        write_json(self._path / "results.json", record)
        write_whole(self._path / RESULTS_FILE, lambda part: to_frame(rows).to_csv(part, index=False))

    def _write_split(self, data: Dataset) -> None:
        """Which rows of the source are training and test samples, where the split is not the source's own."""
        parts = {"train": data.train_rows, "test": data.test_rows}
        frames = [
            pd.DataFrame({"row": rows.tolist(), "split": name})
            for name, rows in parts.items()
            if rows is not None
        ]
        if frames:
            pd.concat(frames).to_csv(self._path / "split.csv", index=False)

    def _link_stages(self, stages: Stages) -> None:
        """Models and samples, shared with the stage store where the file system allows links."""
        folder = self._path / "tensors"
        folder.mkdir(exist_ok=True)
        for label, stage in stages.store.stages.items():
            _, _, name = label.partition(" ")
            name = name.replace(" ", "_").replace("/", "_")
            for source in stage.folder.glob("*.safetensors"):
                _link(source, folder / f"{name}.{source.name}")


def _link(source: Path, target: Path) -> None:
    """Put `source` at `target`, never writing into what stands there: it may be another stage's own file."""

    def link(part: Path) -> None:
        try:
            os.link(source, part)
        except OSError:
            shutil.copy2(source, part)

    write_whole(target, link)
