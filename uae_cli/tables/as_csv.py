"""A table as tidy CSV."""

from collections.abc import Sequence

import pandas as pd

from uae_cli.results.collect import Measured
from uae_cli.tables.build import experiments
from uae_cli.tables.context import shortfalls
from uae_cli.tables.reported import full_name, reported
from uae_cli.tables.specs import TableSpec


def tidy(spec: TableSpec, rows: Sequence[Measured]) -> str:
    """CSV, one line per experiment, arm and metric, the paper's number beside ours.

    Columns: table, experiment, dataset, model, overrides, scale, n_train, n_test, attacked (0: all
    training samples), arm, metric, unit, mean, std, spread (what std is over: seeds, draws or nothing),
    seeds, draws, paper, paper_std, paper_dataset (the full set's name beside a partial one), epochs, device,
    settings, shortfalls, note.
    """
    lines = [_tidy_row(spec, row) for run in experiments(spec, rows) for row in run]
    return pd.DataFrame(lines).to_csv(index=False)


def _tidy_row(spec: TableSpec, row: Measured) -> dict[str, object]:
    number = reported(spec.number, row.dataset, row.model, row.arm, row.metric)
    return {
        "table": spec.number,
        **{key: getattr(row, key) for key in ("experiment", "dataset", "model", "overrides")},
        **{key: getattr(row, key) for key in ("scale", "n_train", "n_test", "attacked")},
        **{key: getattr(row, key) for key in ("arm", "metric", "unit")},
        **{key: getattr(row, key) for key in ("mean", "std", "spread", "seeds", "draws")},
        "paper": number.value if number else None,
        "paper_std": number.std if number else None,
        "paper_dataset": full_name(row.dataset) if number else "",
        **{key: getattr(row, key) for key in ("epochs", "device", "settings")},
        "shortfalls": "; ".join(shortfalls(row)),
        "note": row.note,
    }
