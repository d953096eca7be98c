"""What stands beside a result wherever it is shown: how it was measured, what it lacks, what signs mean."""

import math
import shlex
from collections.abc import Sequence

from uae_cli.results import ARMS, METRICS, MeanResult, experiment_name, gain_name
from uae_cli.tables.reported import FULL_ATTACKED, FULL_NAMES, FULL_SIZES, full_name, reported
from uae_cli.tables.spec import Table
from uae_cli.text import duration, plural

Lines = Sequence[MeanResult]  # of one experiment

BEST = "◄"
FOREIGN = "†"
DRAWS = "*"
TOO_SMALL = "Smoke scale is too small to judge any arm by: it only shows that everything runs."
INFORMATION = (
    "MI: in nats, estimated anew on the finished samples, on vectors that the networks have not seen; 0 or "
    "less says nothing. In-attack value: what the attack goes by, of the very vectors that its networks "
    "learn, and no estimate; the paper's MI is such a value. "
    "ln K, of K vectors a sample, is about the most that they can show."
)
# Overrides that change no arm's numbers, or are told among the facts
_NO_CHANGE = (
    "arm=",
    "arm.",
    "augmentation.draws=",
    "data.train_size=",
    "data.test_size=",
    "data.attack_size=",
)
_GAINS = {"error": "the error fell below", "points": "the accuracy rose above"}


def heading(row: MeanResult) -> str:
    """What is said above one experiment: dataset, model, the experiment's own name, changed settings."""
    plain = experiment_name(row.dataset, row.model)
    parts = [row.dataset, row.model, row.experiment if row.experiment != plain else "", changed(row)]
    return " · ".join(part for part in parts if part)


def changed(row: MeanResult) -> str:
    """Settings that were changed and bear on every arm; not the choice of arms, draws and samples."""
    return " ".join(word for word in row.overrides.split() if not word.startswith(_NO_CHANGE))


def command(row: MeanResult, sweep: str = "") -> str:
    """The command line that makes these rows; `sweep` gives the settings that it goes through."""
    named = row.overrides.startswith(("experiment=", "~experiment")) or " experiment=" in row.overrides
    words = [] if named else [f"experiment={row.experiment}"]
    words += [
        f"scale={row.scale}",
        *row.overrides.split(),
        *sweep.split(),
        f"seed={row.seed_numbers.replace(', ', ',')}",
    ]
    return shlex.join(["uae", "run", *(["-m"] if row.seeds > 1 or sweep else []), *words])


def shortfalls(row: MeanResult) -> tuple[str, ...]:
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


def as_in_paper(row: MeanResult) -> bool:
    """Whether the paper's number was measured the same way: full data and scale, no setting changed."""
    return not shortfalls(row) and not changed(row)


def too_small(row: MeanResult) -> bool:
    """Whether its numbers only show that the code runs, so that no arm may be judged by them."""
    return row.scale == "smoke"


def facts(run: Lines) -> tuple[str, ...]:
    """Say how one experiment was measured: scale, samples, device, wall time, when, and by what code."""
    first = run[0]
    devices = ", ".join(dict.fromkeys(name for row in run for name in row.device.split(", ")))
    samples = f"{first.n_train:,} training and {first.n_test:,} test samples"
    attacked = [f"{plural(first.n_attacked, 'sample')} attacked"] if first.n_attacked else []
    seconds = [row.seconds for row in run if row.seconds is not None]
    took = f"{duration(max(seconds))} a seed" if seconds else ""
    made = [took, first.dates, f"commit {first.commits}" if first.commits else ""]
    return (f"{first.scale} scale", samples, *attacked, devices, *filter(None, made))


def legend(table: Table, runs: Sequence[Lines]) -> tuple[str, ...]:
    """What the signs in a table's blocks mean, a line each."""
    rows = [row for run in runs for row in run]
    lines = [TOO_SMALL] if any(map(too_small, rows)) else []
    if any(row.spread == "seeds" for row in rows):
        lines.append("Ours: mean ± standard deviation over seeds.")
    if any(row.interval for row in rows):
        lines.append(
            "95 % interval: Student's t over the seeds, of the gain against replicate of the same seed."
        )
    if compared := {METRICS[measure.metric].gains for measure in table.measures if measure.gains}:
        told = [text for kind, text in _GAINS.items() if kind in compared]
        lines.append(
            f"Gain: how far {' or '.join(told)} that arm's; negative is worse. "
            "replicate: the same extra training, no new samples."
        )
    if "mi_held_out" in table.metrics and rows:
        lines.append(INFORMATION)
    if table.epochs and (uneven := {arm: None for run in runs for arm in _trained_otherwise(run)}):
        lines.append(
            f"{', '.join(uneven)}: trained for another number of epochs than replicate (see there), so the "
            "gain against it isn't of the samples alone."
        )
    if draws := sorted({row.draws for row in rows if row.spread == "draws"}):
        counts = " or ".join(map(str, draws))
        lines.append(f"{DRAWS} one seed: mean ± standard deviation over the {counts} noise draws of its run.")
    if any(not as_in_paper(row) and _has_paper(table, row) for row in rows):
        lines.append(_foreign("dataset"))
    return tuple(lines)


def left_out(table: Table, rows: Lines) -> list[str]:
    """One line for the arms, of runs of this table's kind, that have no line in it: chains, a user's own."""
    arms: dict[tuple[str | int, ...], dict[str, None]] = {}
    for row in table.left_out(rows):
        arms.setdefault(row.identity, {})[row.arm] = None
    first = {row.identity: row for row in reversed(rows)}
    told = [f"{', '.join(names)} ({heading(first[run])})" for run, names in arms.items()]
    if not told:
        return []
    return [
        f"Arms that this table has no line for: {'; '.join(told)}. They are in the results.csv of each run."
    ]


def below_run(run: Lines, main: str | None) -> list[tuple[str, str]]:
    """What stands below the table at the end of a run, line by line with its style; `main` is compared."""
    first = run[0]
    seeds = " or ".join(plural(count, "seed") for count in sorted({row.seeds for row in run}))
    lines = [(" · ".join((*facts(run), seeds)), "dim")]
    if first.note:
        lines.append((f"{first.dataset}: {first.note}", "yellow"))
    if main:
        if not as_in_paper(first) and any(
            reported(None, row.dataset, row.model, row.arm, main) for row in run
        ):
            lines.append((_foreign(full_name(first.dataset)), "dim"))
        lines.append((_signs(run, main), "dim"))
    if too_small(first):
        return [*lines, (TOO_SMALL, "")]
    judged = [_verdict(run, arm, main) for arm in arms_of(run) if main and arm.endswith("_uae")]
    return lines + [(sentence, "") for sentence in judged if sentence]


def arms_of(run: Lines) -> list[str]:
    """The arms that are there, those of `ARMS` first."""
    there = dict.fromkeys(row.arm for row in run)
    return [arm for arm in ARMS if arm in there] + [arm for arm in there if arm not in ARMS]


def told_heading(metric: str) -> str:
    """A metric's name in a sentence or on one line."""
    return METRICS[metric].heading.replace("\n", " ") or metric


def _foreign(dataset: str) -> str:
    return (
        f"{FOREIGN} the paper's value is of the full {dataset}, at full scale, with the paper's settings; "
        "ours is not."
    )


def _verdict(run: Lines, arm: str, main: str) -> str:
    """Say in a sentence what one arm gained; a gain that isn't one is told as such.

    Empty if one of its two gains was not measured.
    """
    gains = {row.metric: row for row in run if row.arm == arm}
    against_original = gains.get(gain_name(main, "original"))
    against_replicate = gains.get(gain_name(main, "replicate"))
    if against_original is None or against_replicate is None:
        return ""
    told = f"{_told(against_original)} original's, {_told(against_replicate)} replicate's"
    short = " (of a run that is less than full)" if shortfalls(run[0]) else ""
    return f"{arm}{short}: {told_heading(main)} {told}{_judged(against_replicate)}."


def _told(row: MeanResult) -> str:
    over = "" if row.spread != "seeds" else f" (± {row.std:.1f} {row.unit} over {row.seeds} seeds)"
    if not math.isfinite(row.mean):
        return f"{row.mean} {row.unit} beside"
    if _none(row):
        return f"equal{over} to"
    lower = METRICS[row.metric.partition("_gain_vs_")[0]].gains == "error"
    side = "below" if lower == (row.mean > 0) else "above"
    return f"{abs(row.mean):.1f} {row.unit}{over} {side}"


def _none(row: MeanResult) -> bool:
    """Whether a gain is none with the decimals that are shown."""
    return round(row.mean, 1) == 0


def _judged(row: MeanResult) -> str:
    """Judge a gain against replicate: none, too small to tell from the seeds' spread, or (empty) a gain."""
    if not row.mean > 0 or _none(row):
        return ": no better than the same extra training without new samples"
    if row.spread != "seeds" or row.std is None:
        return ": of one seed, which can't tell a gain from chance (seed=0,1,2 with -m shows the spread)"
    return ": the latter is within the spread over seeds" if row.mean <= row.std else ""


def _signs(run: Lines, main: str) -> str:
    lower = METRICS[main].gains == "error"
    signs = [f"{BEST} {'lowest' if lower else 'highest'} {told_heading(main)}."]
    spreads = {row.spread for row in run if row.metric == main}
    if "seeds" in spreads:
        signs.append("±: standard deviation over seeds.")
    if "draws" in spreads:
        signs.append("±: standard deviation over the noise draws of this seed.")
    moved = "fell below" if lower else "rose above"
    signs.append(f"Gain: how far {told_heading(main)} {moved} that arm's; negative is worse.")
    if any(row.arm.startswith("replicate_x") for row in run):
        signs.append("Arms of more samples have a replicate of their own size (replicate_x3, …) as theirs.")
    return " ".join(signs)


def _trained_otherwise(run: Lines) -> list[str]:
    """The arms, but for `original`, whose epochs aren't replicate's."""
    control = next((row.epochs for row in run if row.arm == "replicate"), None)
    if control is None:
        return []
    return [row.arm for row in run if row.arm not in ("original", "replicate") and row.epochs != control]


def _has_paper(table: Table, row: MeanResult) -> bool:
    shown = (measure.metric for measure in table.measures)
    return any(reported(table.number, row.dataset, row.model, row.arm, metric) for metric in shown)


def _sizes(row: MeanResult) -> list[tuple[str, int, int]]:
    full_train, full_test = FULL_SIZES.get(full_name(row.dataset), (0, 0))
    sizes = [("training", row.n_train, full_train), ("test", row.n_test, full_test)]
    return [*sizes, ("attacked", row.n_attacked, FULL_ATTACKED)] if row.n_attacked and full_train else sizes


def _asked_for_fewer(row: MeanResult) -> list[str]:
    """For a dataset whose full size isn't known here: what its settings say."""
    if full_name(row.dataset) in FULL_SIZES:
        return []
    sizes = {"data.train_size": f"{row.n_train:,} training", "data.test_size": f"{row.n_test:,} test"}
    sizes |= {"data.attack_size": f"{row.n_attacked:,} attacked"} if row.n_attacked else {}
    asked = {word.partition("=")[0] for word in row.overrides.split()}
    return [f"only {size} samples" for setting, size in sizes.items() if setting in asked]
