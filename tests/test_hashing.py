"""Files that are written whole or not at all."""

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from uae_cli.hashing import seal, write_checked, write_json, write_whole


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


@pytest.mark.parametrize("way", ["whole", "checked", "sealed"])
def test_who_may_read_other_files_may_read_tensors_too(way: str, tmp_path: Path) -> None:
    def save(path: Path) -> None:
        save_file({"x": torch.zeros(2)}, path)

    other = tmp_path / "other"
    other.touch()
    folder = tmp_path / "made"
    folder.mkdir()
    if way == "sealed":
        save(folder / "x.safetensors")
        seal(folder)
    else:
        {"whole": write_whole, "checked": write_checked}[way](folder / "x.safetensors", save)
    assert {file.stat().st_mode for file in folder.iterdir()} == {other.stat().st_mode}
