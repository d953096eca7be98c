"""The help teaches, and what it says is true."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from calling import Uae

from uae_cli.experiment.compose import compose_jobs, conf_dir, register_resolvers

NOT_FOR_USERS = {"adversary", "hydra", "scale_for_criterion", "scale_for_protocol", "scale_for_source"}


@pytest.mark.parametrize("columns", [40, 100, 300])
def test_run_help_lists_every_choice(uae: Uae, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    called = uae("run", "--help")
    assert (called.status, called.err) == (0, "")
    section = called.out.split("CHOICES")[1].split("arm=[replicate,mine_uae])\n")[1].split("\n\n")[0]
    assert max(len(line) for line in section.splitlines()) <= min(columns, 100)
    shown = dict(line.split(": ") for line in section.replace("\n  ", " ").splitlines())
    groups = [path for path in conf_dir().iterdir() if path.is_dir() and path.name not in NOT_FOR_USERS]
    assert shown == {
        group.name: ", ".join(sorted(file.stem for file in group.glob("*.yaml"))) for group in groups
    }


def test_run_help_has_no_long_lines(uae: Uae) -> None:
    assert not [line for line in uae("run", "--help").out.splitlines() if len(line) > 100]


def test_run_help_lists_a_users_own_files(uae: Uae, tmp_path: Path) -> None:
    for group in ("arm", "experiment"):
        (tmp_path / group).mkdir()
        (tmp_path / group / "of_mine.yaml").write_text("# @package _global_\n")
    text = uae("run", "--help", "--config-dir", str(tmp_path)).out
    assert text.count("of_mine") == 2


def test_the_settings_it_explains_exist(uae: Uae) -> None:
    register_resolvers()
    text = uae("run", "--help").out
    section = text.split("COMMON SETTINGS")[1].split("YOUR OWN EXPERIMENT")[0]
    named = re.findall(r"^  ([a-z][\w.]+)", section, flags=re.MULTILINE)
    assert {"seed", "attack.alpha", "data.root", "outputs"} <= set(named)
    [job] = compose_jobs(["sampling=random"], multirun=False, extra_dir=None)
    for setting in named:
        node = job.config
        for part in setting.split("."):
            assert part in node, setting
            node = node[part]


def test_its_examples_compose(uae: Uae) -> None:
    register_resolvers()
    section = uae("run", "--help").out.split("EXAMPLES")[1].split("CHOICES")[0]
    examples = re.findall(r"^  uae run(.*?)(?:   |(?<=') |$)", section, flags=re.MULTILINE)
    assert len(examples) >= 6
    for example in examples:
        words = example.replace("'", "").split()
        assert compose_jobs([w for w in words if w != "-m"], multirun="-m" in words, extra_dir=None)


@pytest.mark.parametrize("command", ["", "table", "data"])
def test_other_helps(uae: Uae, capsys: pytest.CaptureFixture[str], command: str) -> None:
    with pytest.raises(SystemExit) as done:
        uae(*command.split(), "--help")
    assert done.value.code == 0
    out = capsys.readouterr().out
    assert f"  uae {command or 'run'}" in out
    assert not [line for line in out.splitlines() if len(line) > 110]


def test_no_command_at_all(uae: Uae) -> None:
    called = uae()
    assert called.status == 0
    assert "uae run --help" in called.out


def test_a_reader_that_leaves_early_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "uae_cli", "doctor"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")
