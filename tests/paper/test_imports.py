"""Commands that only read what runs left don't wait for torch, which takes seconds to import."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys
from uae_cli.cli import main
main(sys.argv[1:])
print("imported:", *sorted({"torch", "torchvision", "sklearn", "matplotlib"} & set(sys.modules)))
"""


@pytest.mark.parametrize(
    "command", [["table", "4"], ["figure", "5"], ["paper", "--only", "f5"], ["data"], ["runs"]]
)
def test_torch_is_not_imported(command: list[str], tmp_path: Path) -> None:
    call = [sys.executable, "-c", SCRIPT, *command]
    done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "imported:"
