"""The Slurm script: a job that is told to stop lets uae end, and is queued again; any other isn't."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "scripts" / "table4.sbatch"
WORKS = "trap 'sleep 0.3; exit {}' TERM; touch ready; while :; do sleep 0.1; done"  # takes a moment to end


@pytest.mark.parametrize(
    ("uae", "told", "status", "queued"),
    [
        ("sleep 0.1", False, 0, ""),
        ("sleep 0.1; exit 2", False, 2, ""),
        (WORKS.format(143), True, 143, "requeue 7\n"),
        (WORKS.format(0), True, 0, ""),
    ],
    ids=["ends", "fails", "is stopped", "has just ended"],
)  # fmt: skip
def test_a_job_that_is_stopped_is_queued_again(
    uae: str, told: bool, status: int, queued: str, tmp_path: Path
) -> None:
    calls = tmp_path / "calls"
    for name, text in (
        (".venv/bin/uae", f'echo "$@" > asked; {uae}'),
        ("bin/scontrol", f'echo "$@" > {calls}'),
    ):
        file = tmp_path / name
        file.parent.mkdir(parents=True)
        file.write_text(f"#!/usr/bin/env bash\n{text}\n")
        file.chmod(0o755)
    environment = os.environ | {
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "SLURM_ARRAY_TASK_ID": "6",
        "SLURM_JOB_ID": "7",
    }
    with subprocess.Popen(["bash", SCRIPT], cwd=tmp_path, env=environment) as job:
        until = time.monotonic() + 60
        while told and not (tmp_path / "ready").exists():
            assert time.monotonic() < until
            time.sleep(0.02)
        if told:
            job.send_signal(signal.SIGTERM)
        assert job.wait(60) == status
    assert (tmp_path / "asked").read_text() == "run -m experiment=svhn_conv_ae seed=0,1,2 device=cuda\n"
    assert (calls.read_text() if calls.exists() else "") == queued


def test_slurm_tells_the_job_before_its_time_is_up_and_may_queue_it_again() -> None:
    options = [line.split(maxsplit=1)[1] for line in SCRIPT.read_text().splitlines() if "#SBATCH" in line]
    assert {"--requeue", "--signal=B:TERM@60"} <= set(options)
