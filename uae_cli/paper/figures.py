"""`uae figure N`: the paper's figure from all finished runs that show it."""

import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from rich.text import Text

from uae_cli.errors import ConfigError
from uae_cli.paper.items import ITEMS, Item
from uae_cli.paper.jobs import PARTS, finished
from uae_cli.results.attacked import CONFIG_FILE, attacked_of
from uae_cli.tables.grid import default_console
from uae_cli.text import nearest, plural


@dataclass(frozen=True)
class Drawn:
    """A figure that a run has drawn."""

    experiment: str
    scale: str
    seed: int
    attacked: int
    path: Path

    @property
    def file_name(self) -> str:
        """A name of its own."""
        return f"{self.experiment}_{self.scale}_seed{self.seed}_{self.path.name}"


def figure_command(number: str, outputs: Path, out: Path | None) -> int:
    """Say where figure `number` lies, for every finished run that shows it, or copy it to the folder `out`.

    Returns the exit status, 0.

    Raises:
        ConfigError: no such figure, no finished run that shows it, or `out` can't be written.
    """
    item = _find(number)
    drawn = _drawn(item, outputs)
    if not drawn:
        commands = " or ".join(" ".join(("uae run", *run)) for run in item.runs)
        where = "" if outputs == Path("outputs") else f" --outputs {shlex.quote(str(outputs))}"
        raise ConfigError(
            f"no finished run below {outputs} shows figure {item.number}; start one: {commands}, or all that "
            f"it needs: uae paper --run --only {item.key}{where}"
        )
    console = default_console()
    console.print(f"Figure {item.number}: {item.title}")
    for one in drawn:
        place = one.path if out is None else _copied(one, item, out)
        told = f"{one.experiment}, seed {one.seed}{how(one.scale, one.attacked)}: {place}"
        console.print(Text(told), soft_wrap=True)
    return 0


def how(scale: str, attacked: int) -> str:
    """What stands beside a figure: how many samples were attacked (0: all), and what is less than full."""
    samples = f", {plural(attacked, 'sample')} attacked" if attacked else ""
    return samples + ("" if scale == "full" else f" ({scale} scale: less than full)")


def _find(number: str) -> Item:
    figures = {item.number: item for item in ITEMS if item.kind == "figure"}
    if number not in figures:
        raise ConfigError(f"figure {number}: the paper has no such figure; {nearest(number, figures)}")
    return figures[number]


def _drawn(item: Item, outputs: Path) -> list[Drawn]:
    names = {run[0].removeprefix("experiment=") for run in item.runs}
    names |= {name.replace(whole, part, 1) for name in names for whole, part in PARTS.items()}
    drawn = []
    for folder in finished(outputs).values():
        config: Any = OmegaConf.to_container(OmegaConf.load(folder / CONFIG_FILE))
        if config["name"] in names:
            drawn += [
                Drawn(config["name"], config["scale"]["name"], config["seed"], attacked_of(config), file)
                for pattern in item.files
                for file in sorted((folder / "figures").glob(pattern))
            ]
    return drawn


def _copied(one: Drawn, item: Item, out: Path) -> Path:
    target = out / f"figure{item.number}_{one.file_name}"
    try:
        out.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(one.path, target)
    except OSError as error:
        raise ConfigError(
            f"--out = {out}: cannot be written ({error.strerror}); name another folder"
        ) from error
    return target
