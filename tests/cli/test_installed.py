"""The wheel, not the checkout: installed elsewhere, called from an unrelated folder."""

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from calling import TINY
from safetensors.torch import load_file

from uae_cli.experiment.compose import conf_dir

Start = Callable[..., "subprocess.Popen[str]"]
# Two chunks of a second or so, to be interrupted between them
LONG = (
    *(setting for setting in TINY if not setting.startswith(("attack", "data.train"))),
    "data.train_size=4", "attack.iterations=300", "chunk_size=2", "arm=[replicate,mine_uae]",
)  # fmt: skip


def wait_for(path: Path, pattern: str, process: "subprocess.Popen[str]") -> Path:
    """The first file below `path` that matches, once it is there."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if found := next(path.glob(pattern), None):
            return found
        time.sleep(0.01)
    raise AssertionError(f"no {pattern}: {process.communicate()}")


def test_the_wheel_has_every_config(installed: Path) -> None:
    ours = {path.relative_to(conf_dir()) for path in conf_dir().rglob("*.yaml")}
    shipped = installed / "uae_cli" / "conf"
    assert {path.relative_to(shipped) for path in shipped.rglob("*.yaml")} == ours
    assert {path.name for path in installed.iterdir()} - {"uae_cli", "bin"} == {"uae-0.1.0.dist-info"}
    assert (installed / "uae_cli" / "py.typed").is_file()
    assert (installed / "uae-0.1.0.dist-info" / "licenses" / "LICENSE").is_file()


def test_a_run_from_anywhere(start: Start, tmp_path: Path) -> None:
    process = start("run", *TINY, "arm=[replicate,mine_uae]")
    out, err = process.communicate(timeout=180)
    assert process.returncode == 0, err
    [record] = tmp_path.glob("outputs/runs/digits_conv_ae/*/results.json")
    assert json.loads(record.read_text())["commit"] is None
    assert "mine_uae" in out
    assert "Warning" not in err
    assert "\x1b" not in out + err  # no bars, no colours: not a terminal
    assert [path.name for path in tmp_path.iterdir()] == ["outputs"]


def test_a_mistake_costs_one_line(start: Start, tmp_path: Path) -> None:
    process = start("run", "attack.beta=2")
    out, err = process.communicate(timeout=180)
    assert (process.returncode, out) == (2, "")
    begins, refused = err.splitlines()  # the first before torch is imported, in a pipe too
    assert begins == "digits_conv_ae (full scale), device auto"
    assert refused == "uae: attack.beta = 2: must be at most 1 (default: 0.1)"
    assert list(tmp_path.iterdir()) == []


def test_a_killed_run_goes_on(start: Start, tmp_path: Path) -> None:
    killed = start("run", *LONG)
    part = wait_for(tmp_path, "outputs/stages/.partial/attack-*/*.safetensors", killed)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not list(tmp_path.glob("outputs/stages/attack-*"))
    done = load_file(part)

    again = start("run", *LONG)
    _, err = again.communicate(timeout=180)
    assert again.returncode == 0, err
    [record] = tmp_path.glob("outputs/runs/digits_conv_ae/*/results.json")
    reused = {stage["stage"]: stage["reused"] for stage in json.loads(record.read_text())["stages"]}
    assert reused["fit original"]
    assert not reused["attack mine_uae"]
    assert not reused["fit mine_uae"]
    [result] = tmp_path.glob("outputs/stages/attack-*/*.safetensors")
    whole = load_file(result)
    first = len(done["index"])
    assert whole["index"].tolist() == [0, 1, 2, 3]
    assert f"going on after {first} of 4 samples" in err
    del done["seconds"]
    for name, values in done.items():
        torch.testing.assert_close(whole[name][:first], values, rtol=0, atol=0, equal_nan=True, msg=name)
    assert not list(tmp_path.glob("outputs/stages/.partial/*/*"))


NET = """
from uae_cli.models import ConvAutoencoder

def make():
    return ConvAutoencoder(shape=(1, 8, 8), channels=[8, 8], kernel=5)
"""


@pytest.mark.parametrize(("stop", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize(
    ("command", "at_work"),
    [
        ("attack own_net:make --data x.npy --out uaes attack.iterations=100000 threads=1", "uaes"),
        ("bench attack threads=1", "outputs/stages/fit-*"),
    ],
    ids=["attack", "bench"],
)
def test_every_command_ends_with_the_signals_status(
    command: str, at_work: str, stop: signal.Signals, status: int, start: Start, tmp_path: Path
) -> None:
    (tmp_path / "own_net.py").write_text(NET)
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((40, 1, 8, 8), np.float32))
    process = start(*command.split())
    wait_for(tmp_path, at_work, process)
    time.sleep(0.5)
    process.send_signal(stop)
    _, err = process.communicate(timeout=180)
    assert process.returncode == status
    assert err.splitlines()[-1].startswith("uae: interrupted; ")
    assert "Traceback" not in err


@pytest.mark.parametrize(("stop", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_is_one_line(stop: signal.Signals, status: int, start: Start, tmp_path: Path) -> None:
    process = start("run", *LONG, "attack.iterations=100000")
    wait_for(tmp_path, "outputs/stages/.partial/attack-*", process)
    time.sleep(0.5)
    process.send_signal(stop)
    _, err = process.communicate(timeout=180)
    assert process.returncode == status
    assert err.splitlines()[-1] == (
        "uae: interrupted; the same command goes on after the last saved epoch or iteration"
    )
    assert "Traceback" not in err
    assert not list(tmp_path.glob("outputs/runs/*/*"))
