"""What MkDocs doesn't read from docs/: the configuration reference, made of `conf/` and the classes it names.

`mkdocs.yml` names this file as a hook; `python scripts/docs_pages.py` prints the reference.
"""

import csv
import inspect
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import annotated_types
import yaml
from hydra.utils import get_object
from pydantic.fields import FieldInfo

from uae_cli.experiment.compose import conf_dir
from uae_cli.experiment.schema import Augmentation, Experiment
from uae_cli.experiment.settings import DataSettings, Scale
from uae_cli.text import shown

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"
BENCH = RESULTS / "bench_attack_cpu.csv"
BENCH_MARK, TABLES_MARK = "<!-- bench_attack_cpu.csv -->", "<!-- the tables of results/ -->"
# Chosen by other files, never by a user
_INNER = ("adversary", "hydra", "scale_for_criterion", "scale_for_protocol", "scale_for_source")
_PLAIN = {int: "whole number", float: "number", str: "text", bool: "`true` or `false`", Path: "path"}
_SIGNS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
_FORMULA = re.compile(r'<(?:span|div) class="arithmatex">(.*?)</(?:span|div)>', re.DOTALL)
_HEAD = "| setting | default | takes | |\n| --- | --- | --- | --- |"


def on_files(files: Any, config: Any) -> Any:
    """MkDocs's hook: adds what isn't in docs/."""
    from mkdocs.structure.files import File

    files.append(File.generated(config, "configuration.md", content=configuration()))
    for picture in RESULTS.glob("*.png"):
        files.append(File.generated(config, picture.name, abs_src_path=str(picture)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """MkDocs's hook: puts what was measured where a page asks for it."""
    for mark, make in ((BENCH_MARK, bench), (TABLES_MARK, tables)):
        if mark in markdown:
            markdown = markdown.replace(mark, make())
    return markdown


def on_page_content(html: str, **_: Any) -> str:
    """MkDocs's hook: turns formulas into MathML, which browsers show by themselves, without a network."""
    return _FORMULA.sub(lambda hit: mathml(unescape(hit[1])), html)


def mathml(formula: str) -> str:
    r"""A formula in `\( \)` or `\[ \]` as MathML; a displayed one with its `\tag` beside it."""
    from latex2mathml.converter import convert

    displayed, text = formula.startswith(r"\["), formula[2:-2]
    if not displayed:
        return str(convert(text))
    text, _, number = text.partition(r"\tag")
    beside = f"<span>({number.strip().strip('{}')})</span>" if number else ""
    return f'<div class="formula">{convert(text, display="block")}{beside}</div>'


def bench() -> str:
    """The benchmark's rows as a table."""
    lines = [
        "| model | setting | marginals | samples | T | s a sample | × floor |",
        "| --- | --- | --- | --: | --: | --: | --: |",
    ]
    with BENCH.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            numbers = f"{float(row['seconds_per_sample']):.2g} | {float(row['ratio']):.3g}"
            told = [row[name] for name in ("model", "setting", "marginals", "samples", "iterations")]
            lines.append(f"| {' | '.join(told)} | {numbers} |")
    return "\n".join(lines)


def tables() -> str:
    """Every table of `results/`, as `uae table` wrote it."""
    return "\n\n".join(file.read_text(encoding="utf-8") for file in sorted(RESULTS.glob("table*.md")))


def configuration() -> str:
    """The reference: the run's own settings, then every group with its choices."""
    page = ["# Configuration reference", "", _INTRODUCTION, "## The run", ""]
    whole = yaml.safe_load((conf_dir() / "config.yaml").read_text(encoding="utf-8"))
    for place, settings in (
        ("", Experiment),
        ("data", DataSettings),
        ("scale", Scale),
        ("augmentation", Augmentation),
    ):
        defaults = whole.get(place, {}) if place else whole
        names = [
            name
            for name in _types(settings)
            if place or (name in defaults and not isinstance(defaults[name], dict))
        ]
        rows = [
            _row(f"{place}.{name}".lstrip("."), defaults.get(name, "…"), settings, name) for name in names
        ]
        page += [f"### `{place}`" if place else "### Plain settings", "", _HEAD, *rows, ""]
    for group in sorted(path for path in conf_dir().iterdir() if path.is_dir() and path.name not in _INNER):
        page += [f"## `{group.name}`", ""]
        for file in sorted(group.glob("*.yaml")):
            page += _choice(group.name, file)
    return "\n".join(page)


_INTRODUCTION = """\
Made from the files in `conf/` and from the classes that they name: a choice is `GROUP=CHOICE` on the command
line, a setting `NAME=VALUE`. `uae run --cfg job` prints all of an experiment's, with their values. `${…}`
takes the value of another setting.
"""


def _choice(group: str, file: Path) -> Iterator[str]:
    text = file.read_text(encoding="utf-8")
    head = [line.removeprefix("#").strip() for line in re.match(r"(#.*\n)*", text)[0].splitlines()]
    package = next((line.split()[1] for line in head if line.startswith("@package")), group)
    told = [line for line in head if not line.startswith("@package")]
    yield f"### `{group}={file.stem}`"
    yield ""
    if group == "experiment":
        command, *told = told
        yield f"`{command}`\n"
    yield ("  \n" if group == "experiment" else "\n").join(told) + "\n"
    settings = yaml.safe_load(text) or {}
    chosen = [_default(group, entry) for entry in settings.pop("defaults", ()) if entry != "_self_"]
    if chosen:
        yield f"Chooses {', '.join(chosen)}.\n"
    place = "" if package == "_global_" else package
    rows = list(
        _rows(settings, place, None, dict(re.findall(r"^ *(\w+):[^#\n]*# *(.+)$", text, re.MULTILINE)))
    )
    if rows:
        yield from (_HEAD, *rows, "")


def _default(group: str, entry: dict[str, Any] | str) -> str:
    [(name, choice)] = entry.items() if isinstance(entry, dict) else [(group, entry.partition("@")[0])]
    name = name.removeprefix("override ").lstrip("/").partition("@")[0]
    return f"`{name}={str(choice).replace(' ', '').replace(chr(39), '')}`"


def _rows(node: dict[str, Any], place: str, above: type | None, comments: dict[str, str]) -> Iterator[str]:
    owner = get_object(node["_target_"]) if "_target_" in node else above
    for name, value in node.items():
        full = f"{place}.{name}".lstrip(".")
        if name == "_target_":
            yield f"| `{full}` | `{value}` | class | {_cell(_summary(owner))} |"
        elif isinstance(value, dict) and value:
            yield from _rows(value, full, None, comments)
        elif not name.startswith("_"):
            yield _row(full, value, owner, name, comments.get(name, ""))


def _row(full: str, value: Any, owner: Any, name: str, comment: str = "") -> str:
    kind = _types(owner).get(name) if owner else None
    text = _described(owner).get(name, comment) if owner else comment
    return f"| `{full}` | `{shown(value)}` | {_cell(_takes(kind)) if kind else ''} | {_cell(text)} |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _types(owner: Any) -> dict[str, Any]:
    """What each setting takes: a class's own fields, or its constructor's arguments."""
    fields = getattr(owner, "__dataclass_fields__", None)
    hints = get_type_hints(
        owner if fields is not None else getattr(owner, "__init__", owner), include_extras=True
    )
    return {name: hint for name, hint in hints.items() if fields is None or name in fields}


def _described(owner: Any) -> dict[str, str]:
    """The lines of `Attributes:` or `Args:` in the docstrings of a class and those above it."""
    found: dict[str, str] = {}
    for cls in reversed(inspect.getmro(owner) if inspect.isclass(owner) else ()):
        for section in re.findall(
            r"^(?:Attributes|Args):\n((?:    .*\n?|\n)+)", inspect.cleandoc(cls.__doc__ or ""), re.M
        ):
            found |= dict(re.findall(r"^    (\w+): ((?:.*\n?)(?:     +.*\n?)*)", section, re.MULTILINE))
    return found


def _summary(owner: Any) -> str:
    ours = getattr(owner, "__module__", "").startswith("uae_cli")
    return inspect.cleandoc(owner.__doc__ or "").split("\n\n")[0] if ours else ""


def _takes(kind: Any) -> str:
    """A type as a user would say it: `Annotated[float, Field(gt=0)]` is a number > 0."""
    origin, parts = get_origin(kind), get_args(kind)
    if hasattr(kind, "__metadata__"):
        bounds = [
            bound
            for one in kind.__metadata__
            for bound in (one.metadata if isinstance(one, FieldInfo) else ())
        ]
        said = [
            f"{sign} {getattr(bound, name)}"
            for bound in bounds
            for name, sign in _SIGNS.items()
            if isinstance(bound, annotated_types.BaseMetadata) and hasattr(bound, name)
        ]
        return f"{_takes(parts[0])} {', '.join(said)}".strip()
    if origin is Literal:
        return " or ".join(f"`{shown(value)}`" for value in parts)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(_takes(part) for part in parts))
    if origin in (list, tuple, set):
        return f"list of {_takes(parts[0])}"
    if origin is dict:
        return f"{_takes(parts[1])}, by name"
    if kind is NoneType:
        return "`null`"
    return _PLAIN.get(kind, getattr(kind, "__name__", str(kind)))


if __name__ == "__main__":
    print(configuration())
