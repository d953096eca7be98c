"""Files that are written whole or not at all."""

import os
from pathlib import Path

import pytest

from uae_cli.hashing import write_json, write_whole


def test_a_file_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_whole(path, lambda part: (part.write_text("1"), path.write_text("0")))
    assert path.read_text() == "1"
    write_json(path, {"b": [2]})
    assert path.read_text() == '{\n "b": [\n  2\n ]\n}'
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_what_was_there_and_no_part(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")

    def fail(part: Path) -> None:
        part.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_whole(path, fail)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_an_interrupted_attempt_left_is_never_written_into(tmp_path: Path) -> None:
    other, path = tmp_path / "other", tmp_path / "a"
    other.write_text("another's own")
    os.link(other, tmp_path / "a.part")
    write_whole(path, lambda part: part.write_text("new"))
    assert (other.read_text(), path.read_text()) == ("another's own", "new")
    write_whole(path, lambda part: os.link(path, part))
    assert sorted(tmp_path.iterdir()) == [path, other]
