"""`scripts/faults.py`, a few faults of each kind."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "faults.py"


@pytest.mark.skipif(sys.platform != "linux", reason="it forks, mounts and sets limits as Linux does")
def test_nothing_is_lost_silent_or_told_by_a_traceback() -> None:
    done = subprocess.run([sys.executable, str(SCRIPT), "--small"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 silent, 0 lost, 0 traceback, 0 hang." in done.stdout
