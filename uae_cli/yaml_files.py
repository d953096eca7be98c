"""YAML that others may have written, read within limits: a few aliases can stand for gigabytes."""

from pathlib import Path
from typing import Any

import yaml

from uae_cli.errors import ConfigError
from uae_cli.text import one_line

_BYTES, _DEPTH, _NODES = 100_000, 50, 20_000
# What PyYAML raises for values that its own patterns let through, besides its own errors
_STUMBLES = (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError, OverflowError)


def read_yaml(path: Path) -> Any:
    """The content of a YAML file, of plain types only.

    Raises:
        ConfigError: it can't be read, is no YAML in UTF-8, or is larger, deeper or (with its aliases written
            out) longer than any config of ours.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_BYTES + 1)
        if len(content) > _BYTES:
            raise ConfigError(f"{path}: larger than {_BYTES // 1000} kB, as no config is; use another")
        text = content.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: can't be read ({one_line(error)}); save it as UTF-8 text") from error
    try:
        _check_extent(path, text)
        return yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        place = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{path}{place}: not YAML: {error.problem}") from error
    except _STUMBLES as error:
        raise ConfigError(f"{path}: not YAML: {one_line(error)}") from error


def _check_extent(path: Path, text: str) -> None:
    """See how deep the content is, and how many nodes it has with every alias written out."""
    sizes: dict[str, int] = {}
    counts, anchors = [0], [""]  # of the nodes around the next one
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        anchor = getattr(event, "anchor", None) or ""
        if isinstance(event, yaml.CollectionStartEvent):
            counts.append(1)
            anchors.append(anchor)
            sizes.pop(anchor, None)  # until it is whole, nothing in it may refer to it
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, count = anchors.pop(), counts.pop()
            sizes[anchor] = count
            counts[-1] += count
        elif isinstance(event, yaml.ScalarEvent):
            sizes[anchor] = 1
            counts[-1] += 1
        elif isinstance(event, yaml.AliasEvent):
            if anchor not in sizes:
                line = event.start_mark.line + 1
                raise ConfigError(f"{path}, line {line}: *{anchor} refers to nothing before it")
            counts[-1] += sizes[anchor]
        if len(counts) > _DEPTH or sum(counts) > _NODES:
            what = f"deeper than {_DEPTH} levels" if len(counts) > _DEPTH else f"more than {_NODES:,} values"
            raise ConfigError(f"{path}: {what}, which no config has; write it plainly")
