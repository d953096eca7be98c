from collections.abc import Callable
from pathlib import Path

from uae_cli.tables.command import table_command
from uae_cli.tables.contents import TABLES

SIMCLR = {
    "experiment": "cifar10_simclr",
    "dataset": "cifar10",
    "model": "simclr",
    "n_train": 50_000,
    "n_test": 10_000,
}


def test_ours_stands_beside_the_papers_and_success_on_new_views_beside_success(
    outputs: Path, finish: Callable[..., Path]
) -> None:
    rows = [
        {"arm": "mine_uae", "metric": "test_accuracy", "value": 92.0},
        {"arm": "mine_uae", "metric": "test_accuracy_gain_vs_original", "value": 1.25},
        {"arm": "mine_uae", "metric": "test_contrastive_loss", "value": 5.25},
        {"arm": "mine_uae", "metric": "asr", "value": 99.0},
        {"arm": "mine_uae", "metric": "asr_fresh", "value": 71.5},
        {"arm": "clae", "metric": "test_accuracy", "value": 91.0},
    ]
    finish("a", *(SIMCLR | row for row in rows))
    out = outputs.parent / "table.csv"
    assert table_command("7", outputs, "text", out) == 0
    text = out.read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith("mine_uae"))
    for number in ("92.00", "92.88", "+1.2", "5.25000", "0.26755", "99.00", "100", "71.50"):
        assert number in line
    assert any(line.startswith("clae") for line in text.splitlines())
    assert "not yet run in full" not in text
    assert TABLES["7"].example == "digits_simclr"
