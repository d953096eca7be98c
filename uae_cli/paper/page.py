"""One self-contained HTML page of every table and figure."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from uae_cli import __version__
from uae_cli.errors import ConfigError
from uae_cli.paper.figures import how
from uae_cli.paper.runner import Outcome
from uae_cli.paper.status import Status
from uae_cli.results.attacked import attacked_of
from uae_cli.results.collect import collect, measured, readable
from uae_cli.tables.build import Document, document
from uae_cli.tables.specs import SPECS

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
class Section:
    """One table or figure of the page."""

    status: Status
    table: Document | None
    pictures: Sequence[Picture]


def write_page(
    path: Path,
    found: Sequence[Status],
    finished: Mapping[str, Path],
    outputs: Path,
    failures: Sequence[Outcome],
) -> None:
    """Write the page.

    Args:
        path: of the page.
        found: the state of every table and figure.
        finished: folders of finished runs, by job identity.
        outputs: the folder of all runs, whose tables are shown.
        failures: runs that failed just now.

    Raises:
        ConfigError: `path` can't be written.
    """
    rows = measured(collect(outputs))
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
        machines=_machines(list(finished.values())),
        failures=failures,
        version=__version__,
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"--out = {path}: cannot be written ({error.strerror}); choose another file"
        ) from error


def _section(status: Status, finished: Mapping[str, Path], rows: Sequence[Any]) -> Section:
    item = status.item
    if item.kind == "table":
        spec = SPECS[item.number]
        return Section(status, document(spec, rows) if spec.rows(rows) else None, ())
    pictures = [
        _picture(file, job.config)
        for job in status.jobs
        if job.identity in finished
        for pattern in item.files
        for file in sorted((finished[job.identity] / "figures").glob(pattern))
    ]
    return Section(status, None, pictures)


def _picture(file: Path, config: dict[str, Any]) -> Picture:
    beside = how(config["scale"]["name"], attacked_of(config))
    caption = f"{config['name']}, {file.stem.replace('_', ' ')}, seed {config['seed']}{beside}"
    content = file.read_bytes()
    width = int.from_bytes(content[_PNG_WIDTH])
    source = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    return Picture(caption, source, wide=width > _SHRINKS_TO_A_PHONE)


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
