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
from rich.table import Table
from rich.text import Text

from uae_cli.datasets.base import Availability, Loader
from uae_cli.datasets.download import DOWNLOAD
from uae_cli.datasets.own_arrays import NpzDataset
from uae_cli.errors import ConfigError
from uae_cli.progress import said_if_slow
from uae_cli.text import one_line

_PIPED_WIDTH = 100
# These stand for whatever file a user names, so there is nothing to look for.
_USERS_OWN = {"npz", "csv", "folder", "torchvision", "hub"}
_COLOURS = {"present": "cyan", "verified": "green", "missing": "yellow", "corrupt": "bold red"}


def data_command(root: Path, verify: bool, conf_dir: Path) -> int:
    """Print every dataset in `conf_dir/dataset` and the user's own `*.npz` in `root`, each when it is known.

    With `verify`, numbers are read and checksums compared too, which takes its time; else only files are
    looked for. Returns the exit status: 1 if something present is corrupt, else 0.

    Raises:
        ConfigError: a YAML file of `conf_dir/dataset` can't be turned into a loader.
    """
    console = Console()
    if not console.is_terminal:
        console = Console(width=_PIPED_WIDTH)
    loaders = [*_configured(conf_dir), *_own(root, conf_dir)]
    widest = max([len("Name"), *(len(loader.name) for loader in loaders)])
    console.print(_line(widest))
    corrupt = False
    for loader in loaders:
        doing = f"{'comparing checksums of' if verify else 'looking for'} {loader.name}"
        with console.status(doing) if console.is_terminal else said_if_slow(f"{doing} …"):
            found = loader.check(root, verify=verify)
        corrupt |= bool(found.problem)
        told = _with_command(loader.name, found, root, conf_dir)
        console.print(_line(widest, _cells(loader.name, told, root, verify=verify)))
    console.print(Text(f"\nData root: {root} (set it with UAE_DATA=DIR or data.root=DIR)"), soft_wrap=True)
    return int(corrupt)


def at_hand(root: Path, conf_dir: Path) -> dict[str, bool]:
    """Every dataset's name, and whether its files are in `root`; they are looked for, not read."""
    loaders = (*_configured(conf_dir), *_own(root, conf_dir))
    return {loader.name: loader.check(root, verify=False).present for loader in loaders}


def _configured(conf_dir: Path) -> Iterator[Loader]:
    for file in sorted((conf_dir / "dataset").glob("*.yaml")):
        if file.stem in _USERS_OWN:
            continue
        try:
            yield instantiate(OmegaConf.load(file))
        except (InstantiationException, OmegaConfBaseException) as error:
            raise ConfigError(
                f"{file}: no dataset can be built from it ({one_line(error)}); mend or remove it"
            ) from None


def _own(root: Path, conf_dir: Path) -> Iterator[Loader]:
    known = {file.stem for file in (conf_dir / "dataset").glob("*.yaml")} - _USERS_OWN
    for file in sorted(root.glob("*.npz")):
        if file.stem not in known:
            yield NpzDataset(name=file.stem, source=f"your own: dataset=npz dataset.name={file.stem}")


def _with_command(name: str, found: Availability, root: Path, conf_dir: Path) -> Availability:
    """The remedy with a command in it that fetches this dataset to this root; else that nothing does.

    Downloads are allowed by default, so that a command says more than the setting.
    """
    place = "" if root == default_root() else f" data.root={shlex.quote(str(root))}"
    fetching = f"get it with `uae run experiment={_user_of(name, conf_dir)} scale=smoke{place}`"
    remedy = found.remedy.replace(DOWNLOAD, fetching)
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


def _line(widest: int, cells: tuple[Text, ...] = ()) -> Table:
    """A row, or without cells the headings: a table of its own, so that none waits for the next."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold", show_header=not cells)
    table.add_column("Name", no_wrap=True, width=widest)
    table.add_column("State", no_wrap=True, width=8)
    table.add_column("Size", no_wrap=True, justify="right", width=8)
    table.add_column("File · source, note", ratio=1, overflow="fold")
    if cells:
        table.add_row(*cells)
    return table


def _cells(name: str, found: Availability, root: Path, *, verify: bool) -> tuple[Text, ...]:
    state = "corrupt" if found.problem else "verified" if verify and not found.unknown else "present"
    size = decimal(found.size_bytes) if found.size_bytes else "–"
    # Text, not markup: a path may hold [brackets].
    about, path = Text(), found.path
    if not found.present:
        state = "missing"
    elif path:
        about.append(str(path.relative_to(root) if path.is_relative_to(root) and path != root else path))
    if not found.present or found.source != str(path):
        about.append(f"{' · ' if about else ''}{found.source}", style="dim")
    names = ", ".join(found.unknown)
    unknown = (
        f"Not verified, checked by content alone: no checksum is known of this {names}." if names else ""
    )
    for line in (found.problem, found.remedy, found.note, unknown):
        if line:
            about.append("\n" + line, style="italic")
    return Text(name), Text(state, style=_COLOURS[state]), Text(size), about
