"""`uae paper`: list every table and figure, run what is missing, write one page of it all."""

import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from uae_cli.errors import ConfigError
from uae_cli.experiment.compose import register_resolvers
from uae_cli.paper.estimate import Calibration
from uae_cli.paper.items import chosen, runs_of
from uae_cli.paper.jobs import PARTS, Job, finished, jobs_of
from uae_cli.paper.page import write_page
from uae_cli.paper.runner import Outcome, run_jobs
from uae_cli.paper.status import Status, statuses
from uae_cli.progress import Bars
from uae_cli.tables.grid import default_console, print_folded
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
    items, console = chosen(only), default_console()
    settings = [*settings, f"outputs={outputs}"]
    jobs = jobs_of(runs_of(items), scale=scale, seeds=_numbers(seeds), settings=settings, partial=partial)
    failures: list[Outcome] = []
    if run:
        done = finished(outputs)
        failures = _run(_open(jobs, done), console)
    done = finished(outputs)
    calibration = Calibration(outputs) if times else None
    found = statuses(items, jobs, done, calibration, Bars())
    _print(found, console, outputs, partial=partial, times=times)
    if not run and not all(status.complete for status in found):
        console.print(f"uae paper --run --scale {scale} makes what is missing and goes on where it stopped.")
    page = out or outputs / PAGE
    write_page(page, found, done, outputs, failures)
    console.print(f"The whole of it as one page: {page}", soft_wrap=True)
    return int(any(outcome.problem for outcome in failures))


def _numbers(seeds: str) -> list[int]:
    try:
        numbers = [int(part) for part in seeds.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 0:
        raise ConfigError(f"--seeds = {seeds}: must be whole numbers from 0 on, like 0,1,2")
    return list(dict.fromkeys(numbers))


def _open(jobs: Sequence[Job], done: dict[str, Path]) -> list[Job]:
    """What can be run and hasn't been; equal jobs of several tables once."""
    wanted = {job.identity: job for job in jobs if not job.missing and job.identity not in done}
    return list(wanted.values())


def _run(jobs: Sequence[Job], console: Console) -> list[Outcome]:
    def before(number: int, job: Job) -> None:
        console.print(f"[{number}/{len(jobs)}] {job.command}", markup=False, soft_wrap=True)

    def after(outcome: Outcome) -> None:
        told = f"  failed: {outcome.problem}" if outcome.problem else f"  {duration(outcome.seconds)}"
        console.print(told, style="bold red" if outcome.problem else "dim", markup=False, soft_wrap=True)

    started = time.monotonic()
    outcomes = run_jobs(jobs, before=before, after=after)
    if jobs:
        console.print(f"{plural(len(jobs), 'run')} in {duration(time.monotonic() - started)}")
    return [outcome for outcome in outcomes if outcome.problem]


def _print(
    found: Sequence[Status],
    console: Console,
    outputs: Path,
    *,
    partial: bool,
    times: bool,
) -> None:
    headings = ["", "what", "runs", *(["time left"] if times else []), "lacks"]
    lines = []
    for status in found:
        item = status.item
        made = f" ({', '.join(status.others)})" if status.others else ""
        line = [f"{item.kind} {item.number}", item.title, f"{status.done}/{len(status.jobs)}{made}"]
        if times:
            line.append(_time_left(status))
        lacks = [*status.missing_data, *(f"only {part}" for part in status.parts)]
        lines.append([*line, ", ".join(lacks) or "–"])
    print_folded(headings, lines, console)
    if any(status.others for status in found):
        console.print(
            "(commit): done, but by other code than is at hand. To make such a run anew, remove its folder "
            f"below {outputs} (results.csv in it names the commit), or name other --outputs.",
            soft_wrap=True,
        )
    if times:
        console.print("Times are estimated from one step of training and one iteration of attack here.")
    missing = {name for status in found for name in status.missing_data}
    if parts := [f"{PARTS[name]} for {name}" for name in sorted(missing) if name in PARTS and not partial]:
        console.print(f"--partial lets {', '.join(parts)} stand in, marked as such.")
    if missing:
        console.print(f"Missing data: {', '.join(sorted(missing))}; uae data says how to get them.")


def _time_left(status: Status) -> str:
    if status.complete:
        return "done"
    return "unknown" if status.seconds is None else f"~{duration(status.seconds)}"
