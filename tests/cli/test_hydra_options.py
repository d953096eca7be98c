"""Hydra's own options: tab completion in a real shell, the settings shown, and what doesn't go together."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from calling import Uae
from test_bad_input import assert_one_line


@pytest.fixture
def bash(tmp_path: Path) -> "subprocess.CompletedProcess[str]":
    """A shell that has evaluated what `install=bash` prints; then <TAB> after each line of `asked`."""
    command = tmp_path / "bin" / "uae"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m uae_cli "$@"\n')
    command.chmod(0o755)
    script = """
    eval "$(uae run -sc install=bash)"
    complete -p uae
    ask() {
        COMP_LINE="$1"; COMP_POINT=${#COMP_LINE}; words=($COMP_LINE); COMP_CWORD=$((${#words[@]} - 1))
        COMPREPLY=(); hydra_bash_completion; echo "$1> ${COMPREPLY[*]}"
    }
    ask "uae run experiment=mnist_s"
    ask "uae run seed=1 attack.al"
    ask "uae be"
    ask "uae run nonsense=[ attack.al"
    """
    environment = os.environ | {"PATH": f"{command.parent}:{os.environ['PATH']}"}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    return subprocess.run(
        ["bash", "--norc", "-c", script], env=environment, capture_output=True, text=True, timeout=120
    )


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash here")
def test_tab_in_a_real_bash(bash: "subprocess.CompletedProcess[str]") -> None:
    assert bash.stderr == ""
    registered, *answers = bash.stdout.splitlines()
    assert registered.endswith("-F hydra_bash_completion uae")
    assert answers == [
        "uae run experiment=mnist_s> experiment=mnist_simclr experiment=mnist_sparse_ae",
        "uae run seed=1 attack.al> attack.alpha=",
        "uae be> bench",
        "uae run nonsense=[ attack.al> ",
    ]


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("uae run experiment=digits_c", "experiment=digits_classifier_attack experiment=digits_conv_ae"),
        ("uae run -m seed=0,1 experiment=digits_d", "experiment=digits_dense_ae"),
        ("uae bench attack model=dens", "model=dense_ae"),
        ("uae paper --run crit", "criterion= criterion."),
        ("uae pa", "paper"),
        ("uae table scal", ""),
    ],
)
def test_what_the_shell_is_answered(
    uae: Uae, monkeypatch: pytest.MonkeyPatch, line: str, answer: str
) -> None:
    for shell in ("bash", "zsh", "fish"):
        monkeypatch.setenv("COMP_LINE", line)
        called = uae("-sc", f"query={shell}")
        assert (called.status, called.err) == (0, "")
        assert {*called.out.split()} == {*answer.split()}


def test_every_command_is_offered(uae: Uae, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMP_LINE", "uae ")
    commands = ["run", "compare", "attack", "table", "figure", "runs", "data", "bench", "paper", "doctor"]
    assert uae("-sc", "query=bash").out.split() == commands


def test_scripts_of_other_shells(uae: Uae) -> None:
    zsh = uae("run", "-sc", "install=zsh").out
    assert zsh.startswith("autoload -U +X bashcompinit && bashcompinit\n")
    assert uae("-sc", "install=zsh").out == zsh
    assert zsh.endswith("-F hydra_bash_completion uae\n")
    fish = uae("run", "-sc", "install=fish").out
    assert "complete -c uae -x -a '(hydra_fish_completion)'" in fish
    assert 'eval "$cmd -sc query=fish"' in fish
    assert "complete -e -c uae" in uae("run", "-sc", "uninstall=fish").out


def test_hydras_help_names_commands_that_work(uae: Uae) -> None:
    told = uae("run", "--hydra-help").out
    assert 'eval "$(uae run -sc install=bash)"' in told
    assert "uae run -sc install=fish | source" in told


def test_the_composed_config_can_be_shown(uae: Uae) -> None:
    called = uae("run", "--cfg", "job", "--resolve", "attack.alpha=0.02", "experiment=mnist_dense_ae")
    assert called.status == 0
    assert "name: mnist_dense_ae\n" in called.out
    assert "alpha: 0.02\n" in called.out
    assert uae("run", "--cfg", "job", "-p", "attack").out.startswith("# @package attack\n")
    assert "Config search path" in uae("run", "--info", "searchpath").out


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ("-m --cfg job seed=0,1", ["--multirun and --cfg", "leave out -m"]),
        ("-m --info all", ["--multirun and --info", "leave out -m"]),
        ("-r -m seed=0", ["--run and --multirun"]),
        ("--cfg job --info all", ["--cfg and --info"]),
        ("--cfg job hydra.sweeper.params={seed:0}", ["hydra.sweeper.params", "-m seed=0,1"]),
        ("--cfg job -p modl", ["--package = modl: no such section; did you mean model?"]),
        ("--resolve", ["--resolve: goes with --cfg job"]),
        ("-p model", ["--package: goes with --cfg job"]),
        ("--experimental-rerun old", ["--experimental-rerun = old", "results.json"]),
        ("--shell-completion", ["--shell-completion:", 'eval "$(uae run -sc install=bash)"']),
        ("-sc install=word", ["--shell-completion install=word:"]),
        ("-m hydra/launcher=submitit_slurm seed=0,1", ["pip install hydra-submitit-launcher"]),
        ("-m hydra/sweeper=optuna seed=0,1", ["pip install hydra-optuna-sweeper"]),
        ("hydra.launcher.jobs=2", ["hydra.launcher.jobs: no such setting of Hydra's", "--cfg hydra"]),
        ("hydra/launcher=jobli", ["hydra/launcher = jobli: no such choice"]),
    ],
)
def test_what_hydra_would_answer_with_a_traceback(
    uae: Uae, tmp_path: Path, arguments: str, parts: list[str]
) -> None:
    assert_one_line(uae("run", *arguments.split()), tmp_path, *parts)


def test_a_mistake_is_told_before_torch_is_loaded(tmp_path: Path) -> None:
    lines = """
    import sys
    from uae_cli.cli import main
    for words in ("seed=banana", "scale=smok", "data.train_size=0", "augmentation.draws=0", "threads=x"):
        assert main(["run", words]) == 2
    heavy = {"torch", "pandas", "matplotlib", "sklearn", "numpy"} & {*sys.modules}
    assert not heavy, heavy
    """
    script = tmp_path / "mistakes.py"
    script.write_text("\n".join(line[4:] for line in lines.splitlines()))
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == 5
