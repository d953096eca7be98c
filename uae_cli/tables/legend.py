"""What stands below a table: the meaning of its signs, and what it has no line for."""

from collections.abc import Sequence

from uae_cli.results.collect import Measured
from uae_cli.results.columns import METRICS, experiment_name
from uae_cli.tables.context import TOO_SMALL, as_in_paper, too_small
from uae_cli.tables.reported import reported
from uae_cli.tables.specs import TableSpec

_GAINS = {"error": "the error fell below", "points": "the accuracy rose above"}
FOREIGN = "†"
DRAWS = "*"


def heading(row: Measured) -> str:
    """What is said above one experiment: dataset, model, the experiment's own name, changed settings."""
    plain = experiment_name(row.dataset, row.model)
    parts = [row.dataset, row.model, row.experiment if row.experiment != plain else "", row.overrides]
    return " · ".join(part for part in parts if part)


def legend(spec: TableSpec, runs: Sequence[Sequence[Measured]]) -> tuple[str, ...]:
    """What the signs in these runs' blocks mean, a line each."""
    rows = [row for run in runs for row in run]
    lines = [TOO_SMALL] if any(map(too_small, rows)) else []
    if any(row.spread == "seeds" for row in rows):
        lines.append("Ours: mean ± standard deviation over seeds.")
    if compared := {METRICS[measure.metric].gains for measure in spec.measures if measure.gains}:
        told = [text for kind, text in _GAINS.items() if kind in compared]
        lines.append(
            f"Gain: how far {' or '.join(told)} that arm's; negative is worse. "
            "replicate: the same extra training, no new samples."
        )
    if spec.epochs and (uneven := {arm: None for run in runs for arm in _trained_otherwise(run)}):
        lines.append(
            f"{', '.join(uneven)}: trained for another number of epochs than replicate (see there), so the "
            "gain against it isn't of the samples alone."
        )
    if any(row.spread == "draws" for row in rows):
        draws = " or ".join(
            str(count) for count in sorted({row.draws for row in rows if row.spread == "draws"})
        )
        lines.append(f"{DRAWS} one seed: mean ± standard deviation over the {draws} noise draws of its run.")
    if any(not as_in_paper(row) and _has_paper(spec, row) for row in rows):
        lines.append(
            f"{FOREIGN} the paper's value is of the full dataset, at full scale, with the paper's settings; "
            "ours is not."
        )
    return tuple(lines)


def left_out(spec: TableSpec, rows: Sequence[Measured]) -> list[str]:
    """One line for the arms, of runs of this table's kind, that have no line in it: chains, a user's own."""
    arms: dict[tuple[str | int, ...], dict[str, None]] = {}
    for row in spec.left_out(rows):
        arms.setdefault(row.identity, {})[row.arm] = None
    first = {row.identity: row for row in reversed(rows)}
    told = [f"{', '.join(names)} ({heading(first[run])})" for run, names in arms.items()]
    if not told:
        return []
    return [
        f"Arms that this table has no line for: {'; '.join(told)}. They are in the results.csv of each run."
    ]


def _trained_otherwise(run: Sequence[Measured]) -> list[str]:
    """The arms, but for `original`, whose epochs aren't replicate's."""
    control = next((row.epochs for row in run if row.arm == "replicate"), None)
    if control is None:
        return []
    return [row.arm for row in run if row.arm not in ("original", "replicate") and row.epochs != control]


def _has_paper(spec: TableSpec, row: Measured) -> bool:
    shown = (measure.metric for measure in spec.measures)
    return any(reported(spec.number, row.dataset, row.model, row.arm, metric) for metric in shown)
