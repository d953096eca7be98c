"""`uae compare`: run what is missing of some arms on several seeds and sizes, and say which help."""

import re
import shlex
import sys
import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import pandas as pd
from rich.console import Console

from uae_cli.compare.report import write_report
from uae_cli.compare.statistics import LEVEL, least_p, seeds_needed
from uae_cli.compare.verdicts import Cell, Comparison, compared
from uae_cli.errors import ConfigError, check_writable
from uae_cli.experiment import compose
from uae_cli.experiment.compose import compose_jobs, register_resolvers
from uae_cli.experiment.settings import PROTOCOLS, check_own_files, check_reads, check_without_torch
from uae_cli.paper.jobs import Job, Outcome, finished, outcomes, still_open
from uae_cli.results import METRICS, collect, gain, gain_name, readable
from uae_cli.run.command import check_jobs, hints
from uae_cli.tables import default_console
from uae_cli.text import duration, listed, nearest, plural

if TYPE_CHECKING:
    from uae_cli.experiment.check import Preparation

_REPLICATE, _ORIGINAL = "replicate", "original"
_NAMED = ("experiment", "dataset", "model")  # a group is called by what these come to
_MOST_NAMES = 3


@dataclass(frozen=True)
class Question:
    """What is asked, apart from the settings of the runs.

    Attributes:
        seeds: of every run.
        train_sizes: training samples; None: as many as the experiment takes.
        measure: metric of `results.csv`; empty: the first that the runs have.
        against: the arm that gains are against.
        margin: gains within ± this are of no practical size, in % or points.
    """

    seeds: Sequence[int]
    train_sizes: Sequence[int | None]
    measure: str
    against: str
    margin: float


@dataclass(frozen=True)
class Planned:
    """A cell before it is measured: its group for people, its size, and a job for every seed."""

    group: str
    size: int | None
    jobs: Sequence[Job]


def compare_command(arguments: Sequence[str], *, name: str | None, config_dir: str | None) -> int:
    """Run what is missing, compare, print and write; returns the exit status: 1 if a run failed.

    Args:
        arguments: the question's and Hydra's, `key=value`.
        name: of the folder of the report; None: that of the experiment.
        config_dir: the user's own folder of configs.

    Raises:
        UaeError: something is wrong with the question, the settings or the data; nothing has been run then.
    """
    register_resolvers()
    question, overrides = asked(arguments)
    if config_dir:
        check_own_files(Path(config_dir), overrides)
    cells = planned(question, overrides, config_dir)
    jobs = [job for cell in cells for job in cell.jobs]
    outputs = Path(jobs[0].config["outputs"])
    if name is not None and not re.fullmatch(r"\w[\w.+-]*", name):
        raise ConfigError(f"--name = {name}: must be letters, digits and . + - _, no sign first: a folder's")
    title = name or _name([str(job.config["name"]) for job in jobs])
    folder = outputs / "compare" / title
    _check_question(question, cells)
    console = default_console()
    print(_announcement(question, cells), file=sys.stderr, flush=True)
    left = still_open(jobs, finished(outputs))
    if left:
        _check(cells, Namespace(overrides=overrides, config_dir=config_dir))
    check_writable("--name", folder, "use another, or outputs=DIR, a folder of yours")
    failures = _run(left, console)
    found, rows = measured(cells, question, outputs)
    command = shlex.join(
        ["uae", "compare", *(["--config-dir", config_dir] if config_dir else []), *arguments]
    )
    write_report(found, folder, title=_title(found, title), command=command, facts=_facts(rows, question))
    print(f"Figure, table and page are in {folder}")
    if len(commits := _commits(rows)) > 1:
        note = f"runs made by several commits ({', '.join(commits)}); outputs=DIR makes all anew"
        print(f"uae: note: {note}", file=sys.stderr)
    for failure in failures:
        print(f"uae: failed: {failure.job.command}: {failure.problem}", file=sys.stderr)
    return int(bool(failures))


def asked(arguments: Sequence[str]) -> tuple[Question, list[str]]:
    """The question, and the settings of the runs.

    Raises:
        ConfigError: a part of the question can't be read.
    """
    own = {"seeds": "10", "train_sizes": "", "measure": "", "against": _REPLICATE, "margin": "1"}
    overrides = []
    for argument in arguments:
        key, _, value = argument.partition("=")
        if key in own:
            own[key] = value
        elif key == "seed":
            raise ConfigError(
                f"{argument}: uae compare takes seeds=10, which are 0 to 9, or seeds=0,1,2 by their numbers"
            )
        elif key == "arm":
            overrides.append(f"arm={_with_control(value)}")
        else:
            overrides.append(argument)
    sizes: list[int | None] = [None]
    if own["train_sizes"]:
        sizes = [*_whole_numbers("train_sizes", own["train_sizes"], 1)]
    if own["train_sizes"] and (double := [o for o in overrides if o.startswith("data.train_size=")]):
        raise ConfigError(f"{double[0]}: beside train_sizes={own['train_sizes']}; use one of them")
    question = Question(_seeds(own["seeds"]), sizes, own["measure"], own["against"], _margin(own["margin"]))
    return question, overrides


def _with_control(value: str) -> str:
    """The arms in brackets, `replicate` among them: without it no gain means anything."""
    whole = value if value.startswith("[") else f"[{value}]"
    if _REPLICATE in re.split(r"[\[\],\s]+", whole):
        return whole
    return f"[{_REPLICATE},{whole[1:]}"


def _seeds(text: str) -> list[int]:
    numbers = _whole_numbers("seeds", text, 0)
    seeds = numbers if "," in text else list(range(numbers[0]))
    if len(seeds) < 2:
        raise ConfigError(
            f"seeds = {text}: of one seed nothing can be told from chance; use seeds=10 (6 are the fewest "
            f"that can show an effect at p < {LEVEL:g})"
        )
    return seeds


def _whole_numbers(name: str, text: str, least: int) -> list[int]:
    parts = text.strip("[]").split(",")
    if not all(part.strip().isdigit() and int(part) >= least for part in parts):
        example = "10, or 0,1,2" if name == "seeds" else "500,1000,5000"
        raise ConfigError(f"{name} = {text}: must be whole numbers from {least} on, as in {name}={example}")
    return sorted({int(part) for part in parts})


def _margin(text: str) -> float:
    try:
        margin = float(text)
    except ValueError:
        margin = -1
    if not 0 < margin < 100:
        raise ConfigError(f"margin = {text}: must be a number of percent or points above 0, as in margin=1")
    return margin


def planned(question: Question, overrides: Sequence[str], config_dir: str | None) -> list[Planned]:
    """Every cell, in the order of what is swept over, its sizes from small to large.

    Raises:
        ConfigError: a setting is unknown, or at odds with another; or no arm is compared.
    """
    first, second = question.seeds[:2]
    wanted = [f"data.train_size={size}" for size in question.train_sizes if size is not None]
    cells = []
    for size in wanted or [""]:
        settings = [*overrides, *([size] if size else [])]
        composed, other = (
            compose_jobs([*settings, f"seed={seed}"], multirun=True, extra_dir=config_dir)
            for seed in (first, second)
        )
        check_reads(overrides, [job.config for job in composed])
        for job, again in zip(composed, other, strict=True):
            with hints(Namespace(overrides=[*overrides], config_dir=config_dir), job.config):
                check_without_torch(job.config)
            _check_arms(job.config, question.against)
            number = int(size.partition("=")[2]) if size else None
            seeds = _of_all_seeds(job, again, question.seeds, config_dir)
            cells.append(Planned("", number, seeds))
    names = _group_names([cell.jobs[0] for cell in cells])
    cells = [Planned(name, cell.size, cell.jobs) for name, cell in zip(names, cells, strict=True)]
    order = list(dict.fromkeys(names))
    return sorted(cells, key=lambda cell: (order.index(cell.group), cell.size or 0))


def _of_all_seeds(
    job: compose.Job, again: compose.Job, seeds: Sequence[int], config_dir: str | None
) -> list[Job]:
    """A job of every seed, of two that are composed: composing one takes a seventh of a second."""
    own = ["--config-dir", config_dir] if config_dir else []
    plain = [override for override in job.overrides if not override.startswith("seed=")]
    alike = {**job.config, "seed": again.config["seed"]} == again.config
    found = []
    for seed in seeds:
        settings = [*plain, f"seed={seed}"]
        config = {**job.config, "seed": seed}
        if not alike:  # a config of the user's own refers to the seed
            [composed] = compose_jobs(settings, multirun=False, extra_dir=config_dir)
            config = composed.config
        found.append(Job((), (*own, *settings), config))
    return found


def _check_arms(config: Mapping[str, Any], against: str) -> None:
    if PROTOCOLS.get(config["protocol"].get("_target_"), "augmentation") != "augmentation":
        raise ConfigError(
            f"experiment = {config['name']}: uae compare retrains models on arms (protocol=augmentation), "
            "which this experiment doesn't; choose another, or uae run -m"
        )
    arms = [*config["arm"], *(["chain"] if config["augmentation"]["chain"] else [])]
    if _REPLICATE not in arms:
        raise ConfigError(
            f"arm: replicate, the control, is missing; use 'arm=[{','.join([_REPLICATE, *arms])}]'"
        )
    if not set(arms) - {_REPLICATE}:
        raise ConfigError("arm = [replicate]: no arm to compare; use 'arm=[exact_uae,gaussian_1e-2]'")
    if against not in (*arms, _ORIGINAL):
        raise ConfigError(f"against = {against}: that arm doesn't run; {nearest(against, arms)}")


def _group_names(jobs: Sequence[Job]) -> list[str]:
    """Data and model of each, and what else differs among them."""
    settings = [dict(o.lstrip("+~").split("=", 1) for o in job.arguments if "=" in o) for job in jobs]
    skipped = {*_NAMED, "seed", "data.train_size"}
    swept = [key for key in settings[0] if key not in skipped and len({s.get(key) for s in settings}) > 1]
    names = []
    for job, own in zip(jobs, settings, strict=True):
        plain = f"{job.config['dataset']['name']} · {job.config['model']['name']}"
        names.append(", ".join([plain, *(f"{key}={own[key]}" for key in swept if key in own)]))
    return names


def _name(experiments: Sequence[str]) -> str:
    names = list(dict.fromkeys(experiments))
    more = f"+{len(names) - _MOST_NAMES}_more" if len(names) > _MOST_NAMES else ""
    return "+".join(names[:_MOST_NAMES]) + more


def _check_question(question: Question, cells: Sequence[Planned]) -> None:
    usable = [name for name, metric in METRICS.items() if metric.gains]
    if question.measure and question.measure not in usable:
        raise ConfigError(
            f"measure = {question.measure}: no error or accuracy of results.csv; "
            f"{nearest(question.measure, usable)}"
        )
    share = cells[0].jobs[0].config["data"]["validation_share"]
    if question.measure.startswith("validation_") and not share:
        raise ConfigError(f"measure = {question.measure}: needs data.validation_share=0.2, say")


def _announcement(question: Question, cells: Sequence[Planned]) -> str:
    names = list(dict.fromkeys(cell.group for cell in cells))
    arms = len(set(cells[0].jobs[0].config["arm"]) - {question.against})
    seeds = len(question.seeds)
    text = f"{listed(names)}: {plural(len(cells), 'cell')} of {plural(seeds, 'seed')}, {plural(arms, 'arm')}"
    if least_p(seeds, arms) >= LEVEL:
        text += (
            f". Note: with so few seeds p can't fall below {least_p(seeds, arms):.2g}: nothing is shown to "
            f"help or harm; it takes seeds={seeds_needed(arms)} or more"
        )
    return text


def _check(cells: Sequence[Planned], options: Namespace) -> None:
    """See whether every cell can run, and has samples enough, before the first one does."""
    from uae_cli.experiment.check import Preparation  # takes torch along

    preparation = Preparation()
    for cell in cells:
        _check_size(cell, preparation)
    configs = [cell.jobs[0].config for cell in cells]
    check_jobs([compose.Job(each, Path(each["outputs"]), []) for each in configs], preparation, options)


def _check_size(cell: Planned, preparation: "Preparation") -> None:
    if cell.size is None:
        return
    there = len(preparation.dataset(cell.jobs[0].config).x_train)
    if cell.size > there:
        raise ConfigError(
            f"train_sizes: {cell.size:,} is more than {cell.group} has, {there:,} training samples; "
            f"use {there} or fewer"
        )


def _run(jobs: Sequence[Job], console: Console) -> list[Outcome]:
    """Make them, side by side where several processes fit; those that fail are passed over, and returned."""
    started, failures, numbers = time.monotonic(), list[Outcome](), count(1)
    weight = {job.identity: job.config["data"]["train_size"] or 1 for job in jobs}  # of what a run takes
    made, whole = 0, sum(weight.values())
    for outcome in outcomes(jobs, lambda _: None, whole_jobs=True):
        done = next(numbers)
        made += weight[outcome.job.identity]
        left = (time.monotonic() - started) * (whole - made) / made
        job = outcome.job
        size = job.config["data"]["train_size"]
        told = f"[{done}/{len(jobs)}] {job.config['name']}, {f'{size:,} samples, ' if size else ''}"
        told += f"seed {job.config['seed']}: "
        told += f"failed: {outcome.problem}" if outcome.problem else duration(outcome.seconds)
        told += f"; about {duration(left)} left" if done < len(jobs) else ""
        console.print(told, style="bold red" if outcome.problem else "dim", markup=False, soft_wrap=True)
        failures += [outcome] if outcome.problem else []
    return failures


def measured(cells: Sequence[Planned], question: Question, outputs: Path) -> tuple[Comparison, pd.DataFrame]:
    """What the finished runs of these cells say, and their rows.

    Raises:
        ConfigError: no run has finished, or none has the measure.
    """
    rows = collect(outputs)
    rows = rows[rows["job"].isin({job.identity for cell in cells for job in cell.jobs})]
    if rows.empty:
        raise ConfigError("compare: none of the runs has finished; what stopped them stands above")
    measure = question.measure or _first_measure(rows)
    if measure not in set(rows["metric"]):
        there = [name for name in METRICS if METRICS[name].gains and name in set(rows["metric"])]
        raise ConfigError(f"measure = {measure}: these runs don't have it; {nearest(measure, there)}")
    found = []
    for cell in cells:
        own = rows[rows["job"].isin({job.identity for job in cell.jobs})]
        if not own.empty:
            found.append(_cell(cell.group, own, measure, question.against))
    return compared(found, measure, question.against, question.margin), rows


def _first_measure(rows: pd.DataFrame) -> str:
    """What settings may be chosen by, where samples were set aside for that; else what is told of models."""
    there = [name for name in METRICS if METRICS[name].gains and name in set(rows["metric"])]
    chosen = [name for name in there if name.startswith("validation_")] or [
        name for name in there if name != "train_mse"
    ]
    if not chosen:
        raise ConfigError("compare: the runs have no error or accuracy; use evaluation=[reconstruction]")
    return chosen[0]


def _cell(group: str, rows: pd.DataFrame, measure: str, against: str) -> Cell:
    def by_arm(metric: str) -> dict[str, dict[int, float]]:
        own = rows[rows["metric"] == metric]
        return {
            str(arm): dict(zip(part["seed"].astype(int), part["value"].astype(float), strict=True))
            for arm, part in own.groupby("arm", sort=False)
        }

    values = by_arm(measure)
    if against == _REPLICATE:  # which an arm of more copies has a larger one of
        gains = by_arm(gain_name(measure, _REPLICATE))
    else:
        base = values.get(against, {})
        gains = {
            arm: {seed: gain(measure, value, base[seed]) for seed, value in own.items() if seed in base}
            for arm, own in values.items()
        }
    controls = re.compile(r"original|replicate(_x\d+)?")
    kept = {arm: own for arm, own in gains.items() if arm != against and not controls.fullmatch(arm)}
    return Cell(group, int(rows["n_train"].iloc[0]), values, kept)


def _title(found: Comparison, name: str) -> str:
    return f"{name}: what each arm gains against {found.against}"


def _commits(rows: pd.DataFrame) -> list[str]:
    return sorted({readable(commit) for commit in rows["commit"] if commit})


def _facts(rows: pd.DataFrame, question: Question) -> list[str]:
    commits = _commits(rows)
    dates = sorted({str(started)[:10] for started in rows["started"]})
    seconds = rows.drop_duplicates("job")["seconds"].dropna()
    facts = [f"seeds {listed(question.seeds, 20)}", *dict.fromkeys(rows["device"]), *dates]
    facts += [f"commit {', '.join(commits)}"] if commits else []
    facts += [f"{fmean(seconds):.0f} s a run"] if len(seconds) else []
    return facts + [note for note in dict.fromkeys(rows["note"]) if note]
