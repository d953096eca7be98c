"""`uae paper`: every table and figure, run what is missing, one page of all; `uae figure`: where one lies."""

import shlex
import shutil
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from rich.console import Console
from rich.text import Text

from uae_cli.errors import ConfigError, told_if_unwritable
from uae_cli.experiment.compose import register_resolvers
from uae_cli.paper.jobs import PARTS, Job, Jobs, Outcome, finished, outcomes, still_open
from uae_cli.paper.page import copy_name, drawn, how, write_page
from uae_cli.paper.status import Status, statuses
from uae_cli.progress import Bars
from uae_cli.results import finished_runs
from uae_cli.tables import Entry, chosen, default_console, find_figure, print_folded
from uae_cli.text import duration, plural

PAGE = "paper.html"


def paper_command(
    *,
    run: bool,
    times: bool,
    scale: str,
    only: str | None,
    seeds: str,
    partial: bool,
    settings: Sequence[str],
    outputs: Path,
    out: Path | None,
) -> int:
    """List the paper's tables and figures; with `run`, make what is missing first; or estimate its `times`.

    Returns the exit status: 1 if a run failed.

    Raises:
        ConfigError: an option can't be read, or the page can't be written.
    """
    register_resolvers()
    entries, console = chosen(only), default_console()
    jobs = _jobs(entries, Jobs(outputs, settings, partial=partial), scale, _numbers(seeds), console)
    failures: list[Outcome] = []
    if run:
        failures = _run(still_open(jobs, finished(outputs)), console)
    calibration = None
    if times:
        from uae_cli.paper.estimate import Calibration

        calibration = Calibration(outputs)
    done = finished(outputs)
    found = statuses(entries, jobs, done, calibration)
    _print(found, console, outputs, times=times)
    _print_lacks(found, console, partial=partial)
    if not run and not all(status.complete for status in found):
        console.print(f"uae paper --run --scale {scale} makes what is missing and goes on where it stopped.")
    page = out or outputs / PAGE
    write_page(page, found, done, outputs, failures)
    console.print(f"The whole of it as one page: {page}", soft_wrap=True)
    return int(bool(failures))


def figure_command(number: str, outputs: Path, out: Path | None) -> int:
    """Say where figure `number` lies, for every finished run that shows it, or copy it to the folder `out`.

    Returns the exit status, 0.

    Raises:
        ConfigError: no such figure, no finished run that shows it, or `out` can't be written.
    """
    figure = find_figure(number)
    names = {*figure.experiments}
    names |= {name.replace(whole, part, 1) for name in names for whole, part in PARTS.items()}
    runs = [run for run in finished_runs(outputs) if run.experiment in names]
    files = [(run, file) for run in runs for file in drawn(figure, run)]
    if not files:
        commands = " or ".join(" ".join(("uae run", *run)) for run in figure.runs)
        where = "" if outputs == Path("outputs") else f" --outputs {shlex.quote(str(outputs))}"
        raise ConfigError(
            f"no finished run below {outputs} shows figure {number}; start one: {commands}, or all that "
            f"it needs: uae paper --run --only {figure.key}{where}"
        )
    console = default_console()
    console.print(f"Figure {number}: {figure.short}")
    for run, file in files:
        place = file
        if out is not None:
            place = out / copy_name(figure, run, file.name.removeprefix(copy_name(figure, run, "")))
            with told_if_unwritable(f"--out = {out}", "name another folder"):
                out.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, place)
        told = f"{run.experiment}, seed {run.seed}{how(run)}: {place}"
        console.print(Text(told), soft_wrap=True)
    return 0


def _jobs(
    entries: Sequence[Entry], jobs: Jobs, scale: str, seeds: Sequence[int], console: Console
) -> list[Job]:
    """Every job that these need, each once, in the order in which they come; told, for it takes seconds."""
    runs = list(dict.fromkeys(run for entry in entries for run in entry.runs))
    total = len(runs) * len(seeds)
    console.print(f"Looking for {plural(total, 'run')} and the data of each …", style="dim")
    found = []
    with Bars().bar("settings", total) as advance:
        for job in jobs.of(runs, scale, seeds):
            found.append(job)
            advance(1)
    return found


def _numbers(seeds: str) -> list[int]:
    try:
        numbers = [int(part) for part in seeds.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 0:
        raise ConfigError(f"--seeds = {seeds}: must be whole numbers from 0 on, like 0,1,2")
    return list(dict.fromkeys(numbers))


def _run(jobs: Sequence[Job], console: Console) -> list[Outcome]:
    """Make them; those that fail are passed over, and returned."""
    started, failures, numbers = time.monotonic(), [], count(1)

    def show(job: Job) -> None:
        console.print(f"[{next(numbers)}/{len(jobs)}] {job.command}", markup=False, soft_wrap=True)

    for outcome in outcomes(jobs, show):
        told = f"  failed: {outcome.problem}" if outcome.problem else f"  {duration(outcome.seconds)}"
        console.print(told, style="bold red" if outcome.problem else "dim", markup=False, soft_wrap=True)
        failures += [outcome] if outcome.problem else []
    if jobs:
        console.print(f"{plural(len(jobs), 'run')} in {duration(time.monotonic() - started)}")
    return failures


def _print(found: Sequence[Status], console: Console, outputs: Path, *, times: bool) -> None:
    headings = ["", "what", "runs", *(["time left"] if times else []), "lacks"]
    lines = []
    for status in found:
        entry, lacks = status.entry, [*status.missing_data, *(f"only {part}" for part in status.parts)]
        made = f" ({', '.join(status.others)})" if status.others else ""
        line = [f"{entry.kind} {entry.number}", entry.short, f"{status.done}/{len(status.jobs)}{made}"]
        lines.append([*line, *([_time_left(status)] if times else []), ", ".join(lacks) or "–"])
    print_folded(headings, lines, console)
    if any(status.others for status in found):
        console.print(
            "(commit): done, but by other code than is at hand. To make such a run anew, remove its folder "
            f"below {outputs} (results.csv in it names the commit), or name other --outputs.",
            soft_wrap=True,
        )
    if times:
        console.print("Times are estimated from one step of training and one iteration of attack here.")


def _print_lacks(found: Sequence[Status], console: Console, *, partial: bool) -> None:
    missing = {name for status in found for name in status.missing_data}
    if parts := [f"{PARTS[name]} for {name}" for name in sorted(missing) if name in PARTS and not partial]:
        console.print(f"--partial lets {', '.join(parts)} stand in, marked as such.")
    if missing:
        console.print(f"Missing data: {', '.join(sorted(missing))}; uae data says how to get them.")


def _time_left(status: Status) -> str:
    if status.complete:
        return "done"
    return "unknown" if status.seconds is None else f"~{duration(status.seconds)}"
