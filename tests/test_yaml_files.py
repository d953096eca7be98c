"""YAML is read within limits."""

from pathlib import Path

import pytest

from uae_cli.errors import ConfigError
from uae_cli.yaml_files import read_yaml

BOMB = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10))


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (BOMB.encode(), "more than 20,000 values"),
        (b"[" * 10_000, "deeper than 50 levels"),
        (b"\n".join(b" " * n + b"a:" for n in range(400)), "deeper than 50 levels"),
        (b"a: &a [*a]", r"line 1: \*a refers to nothing before it"),
        ("a: b".encode("utf-16"), "UTF-8"),
        ("a: Zürich".encode("latin-1"), "UTF-8"),
        (b"# " + b"x" * 200_000, "larger than 100 kB"),
        (b"a: 1\n b: [", "line 2: not YAML"),
        (b"a: !!python/object/apply:os.system [id]", "not YAML: could not determine a constructor"),
        (b"a: " + b"9" * 5000, "not YAML"),
        (b"a: 2001-99-99", "not YAML"),
        (b"a: !!int ''", "not YAML"),
    ],
)
def test_refused_in_one_line(tmp_path: Path, content: bytes, line: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=line) as caught:
        read_yaml(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(ConfigError, match="can't be read"):
            read_yaml(path)


def test_aliases_within_limits_are_followed(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("a: &a {b: 1}\nc: *a\nd: [*a, *a]\n")
    assert read_yaml(path) == {"a": {"b": 1}, "c": {"b": 1}, "d": [{"b": 1}, {"b": 1}]}
