from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from uae_cli.results.columns import RESULTS_FILE, ResultRow, to_frame, unit_of

PLAIN: dict[str, Any] = {
    "experiment": "mnist_conv_ae",
    "dataset": "mnist",
    "model": "conv_ae",
    "arm": "mine_uae",
    "seed": 0,
    "metric": "test_mse",
    "value": 0.004,
    "scale": "full",
    "n_train": 60_000,
    "n_test": 10_000,
    "epochs": 30,
    "device": "Testing device",
    "settings": "12e34567",
    "overrides": "",
    "started": "2025-01-01T10:00:00+00:00",
}


def result(**changes: Any) -> ResultRow:
    row = {**PLAIN, **changes}
    return ResultRow(**{"unit": unit_of(row["metric"]), **row})


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    return tmp_path / "outputs"


@pytest.fixture
def finish(outputs: Path) -> Callable[..., Path]:
    """Leave a finished run at a path below outputs; each dict says how a row differs from the plain one."""

    def write(where: str, *rows: dict[str, Any]) -> Path:
        path = outputs / where / RESULTS_FILE
        path.parent.mkdir(parents=True)
        to_frame(result(**row) for row in rows).to_csv(path, index=False)
        return path

    return write


@pytest.fixture
def frame_of() -> Callable[..., pd.DataFrame]:
    """Make the rows of one run; each dict says how a row differs from the plain one."""
    return lambda *rows: to_frame(result(**row) for row in rows)
