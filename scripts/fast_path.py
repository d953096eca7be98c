"""Does the fast attack find what a plain one finds? Digits, three seeds, ASR, MI and test error of both.

    .venv/bin/python scripts/fast_path.py results/fast_path_digits.csv

Fast is what `uae run` does: MINE by the compiled kernel, in reduced coordinates. Plain is the same bound with
weights on the whole feature maps, by torch operations: similarity.compiled=false and reduced=false.
"""

import argparse
import tempfile
from pathlib import Path

import pandas as pd

from uae_cli.experiment.compose import compose_jobs, register_resolvers
from uae_cli.run.job import run

WAYS = {"fast": [], "plain": ["+similarity.compiled=false", "+similarity.reduced=false"]}
METRICS = ("asr", "in_attack_value", "test_mse")


def measured(way: str, seed: int, outputs: Path) -> pd.DataFrame:
    """What MINE-UAE's arm measured in one run."""
    overrides = [f"seed={seed}", f"outputs={outputs}", "arm=[replicate,mine_uae]", "threads=1", *WAYS[way]]
    [job] = compose_jobs(overrides, multirun=False, extra_dir=None)
    folder = outputs / f"{way}{seed}"
    folder.mkdir()
    run(job.config, folder, overrides=overrides)
    rows = pd.read_csv(folder / "results.csv").query("arm == 'mine_uae' and metric in @METRICS")
    return rows[["metric", "unit", "value", "seed", "device", "commit"]].assign(way=way)


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean, deviation and number of seeds."""
    groups = rows.groupby(["metric", "unit", "way", "device"], dropna=False)
    columns = {"mean": ("value", "mean"), "std": ("value", "std"), "seeds": ("seed", "count")}
    return groups.agg(**columns, commit=("commit", "first")).reset_index()


def main() -> None:
    """Run both ways over the seeds; write a row per way and metric: mean, deviation, seeds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="CSV to write")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    register_resolvers()
    parts = []
    with tempfile.TemporaryDirectory() as outputs:
        for way in WAYS:
            parts += [measured(way, seed, Path(outputs)) for seed in options.seeds]
            table = summary(pd.concat(parts))
            table.to_csv(options.out, index=False)
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
