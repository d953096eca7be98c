"""The programs in examples/ run."""

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.parametrize("name", ["plain_torch", "lightning_refresh"])
def test_an_example_trains_on_uaes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    if name.startswith("lightning"):
        pytest.importorskip("lightning")
    runpy.run_path(str(EXAMPLES / f"{name}.py"))["main"](epochs=3, every=1)
    assert "of 1,797 samples have a UAE" in capsys.readouterr().out
