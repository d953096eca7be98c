"""One self-contained HTML page of every table and figure."""

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from uae_cli import __version__
from uae_cli.errors import told_if_unwritable
from uae_cli.paper.jobs import Outcome
from uae_cli.paper.plot import LEFT, ROW, TOP, WIDTH, Panel, panels
from uae_cli.paper.status import Status
from uae_cli.paper.summary import summary
from uae_cli.results import FinishedRun, MeanResult, collect, over_seeds, readable, unread
from uae_cli.tables import (
    NOTHING,
    Block,
    Document,
    Figure,
    Table,
    best,
    command,
    document,
    experiments,
    lacking,
    latex,
    reported_pairs,
    tidy,
)
from uae_cli.text import duration, plural

TEMPLATE = "page.html.j2"
_PNG_WIDTH = slice(16, 20)  # bytes of a PNG
_SHRINKS_TO_A_PHONE = 700  # pixels: small print of a wider figure would be lost


@dataclass(frozen=True)
class Picture:
    """A figure of one run: what it shows, its PNG as a data address, whether a phone must not shrink it."""

    caption: str
    source: str
    wide: bool


@dataclass(frozen=True)
class Shown:
    """One experiment of a table.

    Attributes:
        block: as in every format.
        order: its columns, the gain against replicate first, those that hold nothing left out.
        best: the arms to mark.
        panels: its gains as dots.
        record: what the table doesn't say of its runs, by name.
        lacks: what it lacks of a full run that not all of its table's experiments lack.
    """

    block: Block
    order: Sequence[int]
    best: set[str]
    panels: Sequence[Panel]
    record: Mapping[str, str]
    lacks: Sequence[str]


@dataclass(frozen=True)
class Section:
    """One table or figure of the page.

    `done` of `total` rows of the paper's (a figure: runs) are there in full; `lacks` is what all of the
    table's experiments lack of a full run; `copies` are its texts by format.
    """

    status: Status
    done: int
    total: int
    table: Document | None = None
    shown: Sequence[Shown] = ()
    lacks: Sequence[str] = ()
    copies: Mapping[str, str] = field(default_factory=dict)
    pictures: Sequence[Picture] = ()


def write_page(
    path: Path,
    found: Sequence[Status],
    finished: Mapping[str, FinishedRun],
    outputs: Path,
    failures: Sequence[Outcome],
) -> None:
    """Write the page.

    Args:
        path: of the page.
        found: the state of every table and figure.
        finished: runs, by job identity.
        outputs: the folder of all runs, whose tables are shown.
        failures: runs that failed just now.

    Raises:
        ConfigError: `path` can't be written.
    """
    rows = over_seeds(collect(outputs))
    sections = [_section(status, finished, rows) for status in found]
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template(TEMPLATE).render(
        sections=sections,
        summary=summary(rows),
        plot={"width": WIDTH, "left": LEFT, "row": ROW, "top": TOP},
        machines=_machines(finished.values()),
        failures=failures,
        unread=unread(outputs),
        version=__version__,
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )
    with told_if_unwritable(f"--out = {path}", "choose another file"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def drawn(figure: Figure, run: FinishedRun) -> list[Path]:
    """The files of a run that show a figure: its own, or copies beside a file of its rows."""
    copies = run.folder.glob(copy_name(figure, run, figure.file))
    return sorted([*(run.folder / "figures").glob(figure.file), *copies])


def copy_name(figure: Figure, run: FinishedRun, name: str) -> str:
    """What a copy of a run's file is called that tells it from other runs' and figures'."""
    return f"figure{figure.number}_{run.experiment}_{run.scale}_seed{run.seed}_{name}"


def how(run: FinishedRun) -> str:
    """What stands beside a figure: how many samples were attacked (0: all), and what is less than full."""
    samples = f", {plural(run.n_attacked, 'sample')} attacked" if run.n_attacked else ""
    return samples + ("" if run.scale == "full" else f" ({run.scale} scale: less than full)")


def _section(status: Status, finished: Mapping[str, FinishedRun], rows: Sequence[MeanResult]) -> Section:
    entry = status.entry
    if isinstance(entry, Table):
        return _table_section(status, entry, rows)
    runs = [finished[job.identity] for job in status.jobs if job.identity in finished]
    pictures = [_picture(entry, file, run) for run in runs for file in drawn(entry, run)]
    return Section(status, status.done, len(status.jobs), pictures=pictures)


def _table_section(status: Status, table: Table, rows: Sequence[MeanResult]) -> Section:
    runs, pairs = experiments(table, rows), reported_pairs(table.number)
    done = len(pairs) - len(lacking(table, runs))
    if not runs:
        return Section(status, done, len(pairs))
    doc = document(table, rows)
    lacks = [text for text in doc.blocks[0].shortfalls if all(text in b.shortfalls for b in doc.blocks)]
    shown = [_shown(table, run, block, lacks) for run, block in zip(runs, doc.blocks, strict=True)]
    copies = {"LaTeX": latex(doc), "CSV": tidy(table, rows)}
    return Section(status, done, len(pairs), doc, shown, lacks, copies)


def _shown(table: Table, run: Sequence[MeanResult], block: Block, lacks: Sequence[str]) -> Shown:
    there = [column for column, cells in enumerate(zip(*block.lines, strict=True)) if set(cells) != {NOTHING}]
    key = [column for column in there if block.headings[column].endswith("\nreplicate")][:1]
    key += [
        column for column in there if key and column == key[0] + 1 and "interval" in block.headings[column]
    ]
    measure = next((measure for measure in table.measures if measure.gains), None)
    return Shown(
        block,
        [0, *key, *(column for column in there[1:] if column not in key)],
        best(run, measure.metric) if measure and block.judged else set(),
        panels(table, run) if block.judged else [],
        _record(table, run[0]),
        [text for text in block.shortfalls if text not in lacks],
    )


def _record(table: Table, first: MeanResult) -> dict[str, str]:
    return {
        "command": command(first, table.sweep.overrides if table.sweep else ""),
        "seeds": first.seed_numbers,
        "commit": first.commits,
        "date": first.dates,
        "device": first.device,
        "wall time": f"{duration(first.seconds)} a seed" if first.seconds else "",
        "epochs": first.epochs,
        "attack": "" if table.sweep else first.attack,
        "settings": first.settings,
    }


def _picture(figure: Figure, file: Path, run: FinishedRun) -> Picture:
    name = file.stem.removeprefix(copy_name(figure, run, ""))
    caption = f"{run.experiment}, {name.replace('_', ' ')}, seed {run.seed}{how(run)}"
    content = file.read_bytes()
    width = int.from_bytes(content[_PNG_WIDTH])
    source = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    return Picture(caption, source, wide=width > _SHRINKS_TO_A_PHONE)


def _machines(runs: Iterable[FinishedRun]) -> list[dict[str, str]]:
    """Hardware and versions of the runs, each combination once, with the commits and days they ran at.

    A run of which only its rows are left, or whose record can't be read, is told by its device.
    """
    machines: dict[str, dict[str, set[str]]] = {}
    for run in runs:
        try:
            text = _machine(run.folder / "results.json")
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            text = run.device
        kept = machines.setdefault(text, {"commits": set(), "days": set()})
        kept["commits"].add(readable(run.commit) or "not from a checkout")
        kept["days"].add(run.started[:10])
    return [
        {"text": text, "commits": ", ".join(sorted(kept["commits"])), "days": ", ".join(sorted(kept["days"]))}
        for text, kept in machines.items()
    ]


def _machine(record: Path) -> str:
    machine = json.loads(record.read_text(encoding="utf-8"))["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    return (
        f"{machine['device']}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
        f"Python {machine['python']}, {packages}"
    )
