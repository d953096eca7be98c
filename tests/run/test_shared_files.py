"""What a run folder shares with the stage store."""

from pathlib import Path

from uae_cli.run.job import _link


def test_a_second_run_into_one_folder_leaves_the_first_ones_stage_alone(tmp_path: Path) -> None:
    first, second, target = tmp_path / "first", tmp_path / "second", tmp_path / "model.safetensors"
    first.write_text("seed 0")
    second.write_text("seed 1")
    _link(first, target)
    _link(second, target)
    assert (first.read_text(), target.read_text()) == ("seed 0", "seed 1")
    _link(second, target)
    assert [file.name for file in sorted(tmp_path.iterdir())] == ["first", "model.safetensors", "second"]
