"""What finished runs leave: the columns of `results.csv`, and all runs collected."""

from uae_cli.results.collect import (
    IDENTITY,
    FinishedRun,
    MeanResult,
    collect,
    finished_runs,
    latest,
    over_seeds,
    read_rows,
    read_run,
    readable,
    unread,
)
from uae_cli.results.columns import (
    ARMS,
    METRICS,
    RESULTS_FILE,
    ResultRow,
    experiment_name,
    gain,
    gain_name,
    to_frame,
    unit_of,
)

__all__ = [
    "ARMS",
    "IDENTITY",
    "METRICS",
    "RESULTS_FILE",
    "FinishedRun",
    "MeanResult",
    "ResultRow",
    "collect",
    "experiment_name",
    "finished_runs",
    "gain",
    "gain_name",
    "latest",
    "over_seeds",
    "read_rows",
    "read_run",
    "readable",
    "to_frame",
    "unit_of",
    "unread",
]
