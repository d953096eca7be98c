"""What a finished run leaves in its `results.csv`: the columns, the arms and the metrics."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Literal

import pandas as pd

RESULTS_FILE = "results.csv"

ARMS = (
    "original",
    "replicate",
    "mine_uae",
    "exact_uae",
    "l2_uae",
    "criterion_only",
    "gaussian_1e-2",
    "gaussian_1e-3",
    "matched_noise",
)


@dataclass(frozen=True)
class Metric:
    """One measured quantity.

    Attributes:
        unit: "" for a pure number.
        gains: how an arm's value is held against a reference arm's: "error" in percent of it,
            "points" as a difference; positive is better. None: not compared.
        heading: in tables; may hold one line break.
    """

    unit: str = ""
    gains: Literal["error", "points"] | None = None
    heading: str = ""


METRICS = {
    "test_mse": Metric(gains="error", heading="test MSE"),
    "train_mse": Metric(gains="error", heading="train\nMSE"),
    "test_accuracy": Metric("%", gains="points", heading="accuracy\n%"),
    "test_contrastive_loss": Metric(gains="error", heading="contrastive\nloss"),
    "knn_accuracy": Metric("%", gains="points", heading="k-NN\n%"),
    "distinct_features": Metric(heading="distinct\nfeatures"),
    "validation_mse": Metric(gains="error", heading="validation\nMSE"),
    "validation_accuracy": Metric("%", gains="points", heading="validation\n%"),
    "validation_contrastive_loss": Metric(gains="error", heading="validation\nloss"),
    "asr": Metric("%", heading="ASR\n%"),
    "asr_fresh": Metric("%", heading="ASR %\nanew"),
    "mi_held_out": Metric("nats", heading="MI\nnats"),
    "mi_ln_k": Metric("nats", heading="ln K\nof MI"),
    "in_attack_value": Metric("nats", heading="in-attack\nnats"),
    "in_attack_ln_k": Metric("nats", heading="ln K\nin attack"),
    "fid": Metric(heading="FID"),
    "kid": Metric(heading="KID"),
    "fid_own": Metric(heading="FID\nown"),
    "kid_own": Metric(heading="KID\nown"),
    "perturbation_l2": Metric(heading="mean\n‖δ‖₂"),
    "seconds_per_sample": Metric("s", heading="s per\nsample"),
}


def gain_name(metric: str, reference: str) -> str:
    """Name of the metric that holds the gain against `reference`."""
    return f"{metric}_gain_vs_{reference}"


def gain(metric: str, value: float, base: float) -> float:
    """What `value` gains over `base`: percent of an error's base, points otherwise; positive is better."""
    return 100 * (1 - value / base) if METRICS[metric].gains == "error" else value - base


def unit_of(metric: str) -> str:
    """Unit of a metric or of a gain."""
    if metric in METRICS:
        return METRICS[metric].unit
    base, _, _ = metric.partition("_gain_vs_")
    return "%" if METRICS[base].gains == "error" else "points"


@dataclass(frozen=True, kw_only=True)
class ResultRow:
    """One number of one run: one arm, one metric, one seed.

    `value` is the mean over `draws` repetitions inside the run, `std` their standard deviation (None
    for one draw). `unit` is that of `unit_of`. Gains are positive where an arm is better, see `gain`.
    `n_train` and `n_test` count the samples of the dataset, the same for every arm. `settings` is a
    hash of everything but the seed that determines the result, of which the first eight digits leave the
    attack's solver out; `overrides` says the same for people ('attack.alpha=0.05'), empty for the plain
    experiment. `started` is an ISO time, `note` the dataset's note, `commit` the checkout's, `attack` the
    solver's settings ('alpha=0.01 beta=0.1 …'), `job` the identity of the config (`hashing.job_identity`).
    `n_attacked` counts the samples attacked where that is a setting of its own, and is 0 where all training
    samples are. `seconds` is the wall time of the whole run, less by what earlier runs had left to it.
    `attack_passes` and `training_passes` count forward and backward passes of one sample through the model:
    of the attacks that made the arm's samples, and of the training of its own model alone, not of those that
    it attacked. None: an older run.
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
    attack: str = ""
    commit: str = ""
    job: str = ""
    n_attacked: int = 0
    seconds: float | None = None
    attack_passes: int | None = None
    training_passes: int | None = None


COLUMNS = tuple(field.name for field in fields(ResultRow))
# What the files of older runs lack
LATER = {
    "attack": "",
    "commit": "",
    "job": "",
    "n_attacked": "0",
    "seconds": "",
    "attack_passes": "",
    "training_passes": "",
}
RENAMED = {"mi": "in_attack_value", "mi_reestimated": "mi_held_out"}  # metrics, likewise
WHOLE = ("seed", "draws", "n_train", "n_test", "epochs", "n_attacked")
NUMBERS = (*WHOLE, "value", "std", "seconds", "attack_passes", "training_passes")


def to_frame(rows: Iterable[ResultRow]) -> pd.DataFrame:
    """Rows as a table with exactly `COLUMNS`, ready for `to_csv(path, index=False)`."""
    return pd.DataFrame([asdict(row) for row in rows], columns=list(COLUMNS))


def experiment_name(dataset: str, model: str) -> str:
    """Name of the plain experiment of a dataset and a model, as in `uae run experiment=NAME`."""
    return f"{dataset}_{model}"
