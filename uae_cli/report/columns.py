"""What a finished run leaves in its `results.csv`: the columns, the arms and the metrics."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields

import pandas as pd

RESULTS_FILE = "results.csv"

ARMS = (
    "original",
    "replicate",
    "mine_uae",
    "l2_uae",
    "gaussian_1e-2",
    "gaussian_1e-3",
    "matched_noise",
)

UNITS = {
    "test_mse": "",
    "train_mse": "",
    "asr": "%",
    "test_mse_gain_vs_original": "%",
    "test_mse_gain_vs_replicate": "%",
    "train_mse_gain_vs_original": "%",
    "train_mse_gain_vs_replicate": "%",
    "mi": "nats",
    "perturbation_l2": "",
    "seconds_per_sample": "s",
}


@dataclass(frozen=True, kw_only=True)
class ResultRow:
    """One number of one run: one arm, one metric, one seed.

    `value` is the mean over `draws` repetitions inside the run, `std` their standard deviation (None for
    one draw). `unit` is that of `UNITS`. Gains are in percent and positive when the error fell:
    100 · (1 − arm / reference). `n_train` and `n_test` count the samples of the dataset, the same for
    every arm. `settings` is a hash of everything but the seed that determines the result; `overrides`
    says the same for people ('attack.alpha=0.05'), empty for the plain experiment. `started` is an ISO
    time, `note` the dataset's note.
    """

    experiment: str
    dataset: str
    model: str
    arm: str
    seed: int
    metric: str
    value: float
    std: float | None = None
    draws: int = 1
    unit: str
    scale: str
    n_train: int
    n_test: int
    epochs: int
    device: str
    settings: str
    overrides: str
    started: str
    note: str = ""


COLUMNS = tuple(field.name for field in fields(ResultRow))
NUMBERS = ("seed", "value", "std", "draws", "n_train", "n_test", "epochs")


def to_frame(rows: Iterable[ResultRow]) -> pd.DataFrame:
    """Rows as a table with exactly `COLUMNS`, ready for `to_csv(path, index=False)`."""
    return pd.DataFrame([asdict(row) for row in rows], columns=list(COLUMNS))


def experiment_name(dataset: str, model: str) -> str:
    """Name of the plain experiment of a dataset and a model, as in `uae run experiment=NAME`."""
    return f"{dataset}_{model}"
