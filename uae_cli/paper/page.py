"""One self-contained HTML page of every table and figure."""

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from uae_cli import __version__
from uae_cli.errors import told_if_unwritable
from uae_cli.paper.jobs import Outcome
from uae_cli.paper.status import Status
from uae_cli.results import FinishedRun, MeanResult, collect, over_seeds, readable
from uae_cli.tables import Figure, Table, document
from uae_cli.text import plural

TEMPLATE = "page.html.j2"
_PNG_WIDTH = slice(16, 20)  # bytes of a PNG
_SHRINKS_TO_A_PHONE = 700  # pixels: small print of a wider figure would be lost


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
        machines=_machines([run.folder for run in finished.values()]),
        failures=failures,
        version=__version__,
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )
    with told_if_unwritable(f"--out = {path}", "choose another file"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def drawn(figure: Figure, folder: Path) -> list[Path]:
    """The files of a run that show a figure."""
    return sorted((folder / "figures").glob(figure.file))


def how(run: FinishedRun) -> str:
    """What stands beside a figure: how many samples were attacked (0: all), and what is less than full."""
    samples = f", {plural(run.n_attacked, 'sample')} attacked" if run.n_attacked else ""
    return samples + ("" if run.scale == "full" else f" ({run.scale} scale: less than full)")


def _section(
    status: Status, finished: Mapping[str, FinishedRun], rows: Sequence[MeanResult]
) -> dict[str, object]:
    """One table or figure of the page, as its template takes it."""
    table, pictures, entry = None, list[dict[str, object]](), status.entry
    if isinstance(entry, Table):
        table = document(entry, rows) if entry.rows(rows) else None
    else:
        runs = [finished[job.identity] for job in status.jobs if job.identity in finished]
        pictures = [_picture(file, run) for run in runs for file in drawn(entry, run.folder)]
    return {"status": status, "table": table, "pictures": pictures}


def _picture(file: Path, run: FinishedRun) -> dict[str, object]:
    """What a figure of one run shows, its PNG as a data address, whether a phone must not shrink it."""
    content = file.read_bytes()
    return {
        "caption": f"{run.experiment}, {file.stem.replace('_', ' ')}, seed {run.seed}{how(run)}",
        "source": f"data:image/png;base64,{base64.b64encode(content).decode()}",
        "wide": int.from_bytes(content[_PNG_WIDTH]) > _SHRINKS_TO_A_PHONE,
    }


def _machines(folders: Sequence[Path]) -> list[dict[str, str]]:
    """Hardware and versions of the runs, each combination once, with the commits and days they ran at."""
    machines: dict[str, dict[str, set[str]]] = {}
    for folder in (folder for folder in folders if (folder / "results.json").exists()):
        record = json.loads((folder / "results.json").read_text(encoding="utf-8"))
        machine = record["machine"]
        packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
        text = (
            f"{machine['device']}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
            f"Python {machine['python']}, {packages}"
        )
        kept = machines.setdefault(text, {"commits": set(), "days": set()})
        kept["commits"].add(readable(record["commit"] or "") or "not from a checkout")
        kept["days"].add(str(record["started"])[:10])
    return [
        {"text": text, "commits": ", ".join(sorted(kept["commits"])), "days": ", ".join(sorted(kept["days"]))}
        for text, kept in machines.items()
    ]
