"""Two processes that train together come to what one comes to on the whole batch (gloo, CPU, float64)."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

# Run by each of two ranks, and by one process alone: fits, and writes the losses and all tensors
PROGRAM = """
import sys
from pathlib import Path
import torch
sys.path.insert(0, sys.argv[1])
from training.conftest import NETWORKS, OBJECTIVES
from training.test_contrastive_objective import network, objective, without_norms
from uae_cli.training import AdversarialViews, Trainer, lend_a_hand, ranks

kind, out, batch_size = sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
device = torch.device("cpu")
if ranks.join(device):
    lend_a_hand(device)
    sys.exit()
with ranks.leading():
    torch.manual_seed(0)
    x = torch.rand(30, 1, 8, 8)
    if kind.startswith("simclr"):
        changes = {
            "simclr": {},
            "simclr_micro": {"micro_batch": 4},
            "simclr_clae": {"adversary": AdversarialViews(epsilon=0.03, weight=1.0)},
        }
        # Batch normalisation takes its statistics from each part, and parts differ
        model = without_norms() if kind == "simclr_micro" else network()
        aim = objective(**changes[kind])
    else:
        model, aim = NETWORKS[kind](shape=(1, 8, 8)), OBJECTIVES[kind]
    plain = {"epochs": 1, "refit_epochs": 1, "keep": "best", "early_stopping": None}
    trainer = Trainer(objective=aim, batch_size=batch_size, **plain)
    history = trainer.fit(model.double(), x, epochs=2, seed=3, checkpoint=out.with_suffix(".pt"))
torch.save({"losses": torch.tensor(history.losses), **model.state_dict()}, out)
"""


def run(tmp_path: Path, kind: str, processes: int, batch_size: int) -> dict[str, torch.Tensor]:
    out = tmp_path / f"{kind}_{processes}.state"
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    alone = [sys.executable] if processes == 1 else [sys.executable, "-m", "torch.distributed.run"]
    together = [] if processes == 1 else ["--standalone", f"--nproc-per-node={processes}"]
    tests = str(Path(__file__).parents[1])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [*alone, *together, str(tmp_path / "program.py"), tests, kind, str(out), str(batch_size)]
    subprocess.run(command, check=True, env=environment, capture_output=True, timeout=120)
    state: dict[str, torch.Tensor] = torch.load(out, weights_only=True)
    return state


@pytest.mark.parametrize(
    ("kind", "batch_size"),
    [
        ("dense", 10),
        ("sparse", 8),
        ("conv", 7),
        ("adversarial", 10),
        ("simclr", 9),
        ("simclr_micro", 12),
        ("simclr_clae", 10),
    ],
)
def test_two_processes_give_what_one_gives_on_the_joint_batch(tmp_path, kind, batch_size):
    expected, found = (run(tmp_path, kind, count, batch_size) for count in (1, 2))
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-6, atol=1e-8, msg=name)


def test_torchruns_processes_make_one_run_with_the_results_of_one_process(tmp_path):
    command = ["-m", "uae_cli", "run", "experiment=digits_dense_ae", "scale=smoke", "arm=[replicate]"]
    launchers = {"one": [], "two": ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]}
    results = {}
    for name, launcher in launchers.items():
        words = [sys.executable, *launcher, *command, f"outputs={tmp_path / name}", "threads=1", "jobs=1"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=180, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("smoke scale), device") == 1, "told once"
        (table,) = (tmp_path / name).glob("runs/*/*/results.csv")
        frame = pd.read_csv(table).set_index(["arm", "metric"])["value"]
        results[name] = frame.drop(index="train_seconds", level="metric", errors="ignore")
    pd.testing.assert_series_equal(results["one"], results["two"], rtol=1e-4)
