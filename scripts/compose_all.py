"""Composes every experiment at every scale and checks what needs no torch: under a Hydra to come, for one.

Needs hydra-core, omegaconf and pydantic only: `python scripts/compose_all.py` in an environment of its own.
"""

import sys
from pathlib import Path

import hydra

sys.path.insert(0, str(Path(__file__).parents[1]))

from uae_cli.cli import main
from uae_cli.experiment.compose import compose_jobs, conf_dir, register_resolvers
from uae_cli.experiment.settings import check_without_torch


def compose_all() -> int:
    """Compose, check, and count the jobs."""
    register_resolvers()
    experiments = sorted(file.stem for file in (conf_dir() / "experiment").glob("*.yaml"))
    overrides = [f"experiment={','.join(experiments)}", "scale=smoke,subset,full"]
    jobs = compose_jobs(overrides, multirun=True, extra_dir=None)
    for job in jobs:
        check_without_torch(job.config)
    assert len(jobs) == 3 * len(experiments)
    assert main(["run", "--help"]) == main(["run", "--cfg", "job", "--resolve", "seed=1"]) == 0
    assert main(["run", "seed=banana"]) == main(["run", "-m", "scale=smok,full"]) == 2
    assert "torch" not in sys.modules
    return len(jobs)


if __name__ == "__main__":
    print(f"hydra-core {hydra.__version__}: {compose_all()} jobs composed")
