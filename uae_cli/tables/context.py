"""What stands beside a result wherever it is shown: how it was measured, and what it lacks of the paper's."""

from collections.abc import Sequence

from uae_cli.results.collect import Measured
from uae_cli.tables.reported import FULL_ATTACKED, FULL_NAMES, FULL_SIZES, full_name
from uae_cli.text import plural

# Beside a run that `too_small` says so of
TOO_SMALL = "Smoke scale is too small to judge any arm by: it only shows that everything runs."


def shortfalls(row: Measured) -> tuple[str, ...]:
    """Say why this result is less than a full one: scale, a partial dataset, fewer samples; empty if full."""
    found = []
    if row.scale != "full":
        found.append(f"{row.scale} scale")
    if row.dataset in FULL_NAMES:
        found.append(f"a part of {full_name(row.dataset)}")
    for split, there, full in _sizes(row):
        if there < full:
            found.append(f"{there:,} of {full:,} {split} samples")
    return (*found, *_asked_for_fewer(row))


def as_in_paper(row: Measured) -> bool:
    """Whether the paper's number was measured the same way: full data and scale, no setting changed."""
    return not shortfalls(row) and not row.overrides


def too_small(row: Measured) -> bool:
    """Whether its numbers only show that the code runs, so that no arm may be judged by them."""
    return row.scale == "smoke"


def facts(run: Sequence[Measured]) -> tuple[str, ...]:
    """Say how one experiment was measured: its scale, its samples, its device, when, and by what code."""
    first = run[0]
    devices = ", ".join(dict.fromkeys(name for row in run for name in row.device.split(", ")))
    samples = f"{first.n_train:,} training and {first.n_test:,} test samples"
    attacked = [f"{plural(first.attacked, 'sample')} attacked"] if first.attacked else []
    made = [first.dates, f"commit {first.commits}" if first.commits else ""]
    return (f"{first.scale} scale", samples, *attacked, devices, *filter(None, made))


def _sizes(row: Measured) -> list[tuple[str, int, int]]:
    full_train, full_test = FULL_SIZES.get(full_name(row.dataset), (0, 0))
    sizes = [("training", row.n_train, full_train), ("test", row.n_test, full_test)]
    return [*sizes, ("attacked", row.attacked, FULL_ATTACKED)] if row.attacked and full_train else sizes


def _asked_for_fewer(row: Measured) -> list[str]:
    """For a dataset whose full size isn't known here: what its settings say."""
    if full_name(row.dataset) in FULL_SIZES:
        return []
    sizes = {"data.train_size": f"{row.n_train:,} training", "data.test_size": f"{row.n_test:,} test"}
    sizes |= {"data.attack_size": f"{row.attacked:,} attacked"} if row.attacked else {}
    asked = {word.partition("=")[0] for word in row.overrides.split()}
    return [f"only {size} samples" for setting, size in sizes.items() if setting in asked]
