"""`uae data`: which datasets are at hand, whether they are intact, and how to get the others."""

import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console
from rich.filesize import decimal
from rich.progress import track
from rich.table import Table
from rich.text import Text

from uae_cli.datasets.base import Availability, Loader
from uae_cli.datasets.own_arrays import NpzDataset
from uae_cli.errors import ConfigError

_PIPED_WIDTH = 100
# These stand for whatever file a user names, so there is nothing to look for.
_USERS_OWN = {"npz", "csv"}
# How a loader says that it can be fetched; downloads are allowed by default, so a command says more
_FETCHING = "run with data.download=true"
_COLOURS = {"present": "cyan", "verified": "green", "missing": "yellow", "corrupt": "bold red"}


def data_command(root: Path, verify: bool, conf_dir: Path) -> int:
    """Print a table of every dataset in `conf_dir/dataset` and of the user's own `*.npz` in `root`.

    With `verify`, checksums are compared too. Returns the exit status: 1 if something present is
    corrupt, else 0.

    Raises:
        ConfigError: a YAML file of `conf_dir/dataset` can't be turned into a loader.
    """
    console = Console()
    if not console.is_terminal:
        console = Console(width=_PIPED_WIDTH)
    loaders = [*_configured(conf_dir), *_own(root, conf_dir)]
    rows = [
        (loader.name, loader.check(root, verify=verify))
        for loader in track(
            loaders,
            "Comparing checksums" if verify else "Looking",
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
    ]
    table = _table()
    for name, found in rows:
        table.add_row(*_cells(name, _with_command(name, found, root, conf_dir), root, verify=verify))
    console.print(table)
    console.print(Text(f"\nData root: {root} (set it with UAE_DATA=DIR or data.root=DIR)"), soft_wrap=True)
    return int(any(found.problem for _, found in rows))


def _configured(conf_dir: Path) -> Iterator[Loader]:
    for file in sorted((conf_dir / "dataset").glob("*.yaml")):
        if file.stem in _USERS_OWN:
            continue
        try:
            yield instantiate(OmegaConf.load(file))
        except (InstantiationException, OmegaConfBaseException) as error:
            reason = " ".join(str(error).split())
            raise ConfigError(
                f"{file}: no dataset can be built from it ({reason}); mend or remove it"
            ) from None


def _own(root: Path, conf_dir: Path) -> Iterator[Loader]:
    known = {file.stem for file in (conf_dir / "dataset").glob("*.yaml")} - _USERS_OWN
    for file in sorted(root.glob("*.npz")):
        if file.stem not in known:
            yield NpzDataset(name=file.stem, source=f"your own: dataset=npz dataset.name={file.stem}")


def _with_command(name: str, found: Availability, root: Path, conf_dir: Path) -> Availability:
    """The remedy with a command in it that fetches this dataset to this root; else where it comes from."""
    place = "" if root == default_root() else f" data.root={shlex.quote(str(root))}"
    fetching = f"get it with `uae run experiment={_user_of(name, conf_dir)} scale=smoke{place}`"
    remedy = found.remedy.replace(_FETCHING, fetching)
    if not found.present and remedy == found.remedy and remedy:
        remedy = f"nothing fetches it: {remedy}"
    return replace(found, remedy=remedy)


def default_root() -> Path:
    """Where datasets are looked for unless a setting says otherwise."""
    return Path(os.environ.get("UAE_DATA", "data"))


def _user_of(dataset: str, conf_dir: Path) -> str:
    """An experiment of this dataset, if there is one the plain one (`DATASET_MODEL`)."""
    files = sorted((conf_dir / "experiment").glob("*.yaml"))
    chosen = re.compile(rf"^  - override /dataset: {re.escape(dataset)}$", flags=re.MULTILINE)
    users = [file.stem for file in files if chosen.search(file.read_text(encoding="utf-8"))]
    return min(users, key=lambda name: not name.startswith(f"{dataset}_"), default=f"NAME dataset={dataset}")


def _table() -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("Name", no_wrap=True)
    table.add_column("State", no_wrap=True)
    table.add_column("Size", no_wrap=True, justify="right")
    table.add_column("File · source, note", ratio=1, overflow="fold")
    return table


def _cells(name: str, found: Availability, root: Path, *, verify: bool) -> tuple[Text, ...]:
    state = _state(found, verify=verify)
    size = decimal(found.size_bytes) if found.size_bytes else "–"
    # Text, not markup: a path may hold [brackets].
    about = _about(found, root)
    for line in (found.problem, found.remedy, found.note):
        if line:
            about.append("\n" + line, style="italic")
    return Text(name), Text(state, style=_COLOURS[state]), Text(size), about


def _state(found: Availability, *, verify: bool) -> str:
    if found.problem:
        return "corrupt"
    if not found.present:
        return "missing"
    return "verified" if verify else "present"


def _about(found: Availability, root: Path) -> Text:
    """File and source; no file where the remedy names it (missing) or it comes installed."""
    path = found.path
    if path is None or not found.present:
        return Text(found.source, style="dim")
    where = Text(str(path.relative_to(root) if path.is_relative_to(root) and path != root else path))
    return where if found.source == str(path) else where.append(f" · {found.source}", style="dim")
