"""The programs in examples/ run."""

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


LIGHTNING_ITSELF = [  # calls what newer torch deprecates, and advises more workers
    pytest.mark.filterwarnings(f"ignore::{category}:lightning.*")
    for category in ("FutureWarning", "UserWarning")
]


@pytest.mark.parametrize("name", ["plain_torch", pytest.param("lightning_refresh", marks=LIGHTNING_ITSELF)])
def test_an_example_trains_on_uaes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    if name.startswith("lightning"):
        pytest.importorskip("lightning")
    runpy.run_path(str(EXAMPLES / f"{name}.py"))["main"](epochs=3, every=1)
    assert "of 1,797 samples have a UAE" in capsys.readouterr().out
