"""The numbers the paper reports, and what a complete dataset is."""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import pandas as pd

# A part of a dataset, and the dataset whose number in the paper stands beside it (marked as such).
FULL_NAMES = {
    "svhn_test10k": "svhn",
    "tiny_imagenet_15k": "tiny_imagenet",
    "isolet_subset": "isolet",
}

# By table and name in `reported.csv`: what our arms are called that the number stands beside.
_OUR_NAMES = {
    ("9", "gaussian"): ("gaussian_1e-2",),
    ("9", "flip_or_rotation"): ("flip", "rotation"),
    ("11", "gaussian"): ("gaussian_1e-2",),
    ("s6.15", "mine_uae_run1"): ("mine_uae",),
    ("s6.15", "mine_uae_run2"): ("mine_uae_round2",),
}

# Training and test samples of the complete sets.
FULL_SIZES = {
    "mnist": (60_000, 10_000),
    "fashion_mnist": (60_000, 10_000),
    "svhn": (73_257, 26_032),
    "cifar10": (50_000, 10_000),
    "tiny_imagenet": (100_000, 10_000),
    "isolet": (6_238, 1_559),
    "coil20": (1_152, 288),
    "mice_protein": (864, 216),
    "activity": (4_252, 1_492),
}

# Samples that the paper attacks where it compares attacks or models (§4.1, §6.16)
FULL_ATTACKED = 1_000


class Reported(NamedTuple):
    """One number of the paper, with its standard deviation where the paper gives one."""

    value: float
    std: float | None


def full_name(dataset: str) -> str:
    """Name the paper uses: that of the complete set for a partial one, else the name itself."""
    return FULL_NAMES.get(dataset, dataset)


def load() -> pd.DataFrame:
    """`reported.csv`: columns table, dataset, model, method, metric, unit, value, std (NaN: none given)."""
    return pd.read_csv(
        Path(__file__).with_name("reported.csv"),
        dtype={"table": str, "value": float, "std": float},
    )


def reported(table: str | None, dataset: str, model: str, arm: str, metric: str) -> Reported | None:
    """Look up the paper's number; None where it has none.

    A partial set is given the number of the complete one (see `full_name`); whoever shows it must say so.
    `table` None looks in every table, in the order of `reported.csv`.
    """
    return _numbers().get((table, full_name(dataset), model, arm, metric))


@cache
def reported_pairs(table: str) -> tuple[tuple[str, str], ...]:
    """List the (dataset, model) pairs of one table of the paper, in its order."""
    rows = load()
    rows = rows[rows["table"] == table]
    return tuple(dict.fromkeys(zip(rows["dataset"], rows["model"], strict=True)))


def our_names(table: str, method: str) -> tuple[str, ...]:
    """What our arms are called beside which a method of `reported.csv` stands; mostly the same."""
    return _OUR_NAMES.get((table, method), (method,))


@cache
def _numbers() -> dict[tuple[str | None, str, str, str, str], Reported]:
    numbers: dict[tuple[str | None, str, str, str, str], Reported] = {}
    for row in load().to_dict("records"):
        number = Reported(row["value"], None if pd.isna(row["std"]) else row["std"])
        for arm in {row["method"], *our_names(row["table"], row["method"])}:
            key = (row["dataset"], row["model"], arm, row["metric"])
            numbers[(row["table"], *key)] = number
            numbers.setdefault((None, *key), number)
    return numbers
