"""What becomes of an unfinished run's folder, and what identifies a finished one."""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from uae_cli.claim import Claim
from uae_cli.datasets import Digits
from uae_cli.errors import DataError
from uae_cli.experiment.check import Preparation, Prepared
from uae_cli.experiment.compose import compose_jobs, register_resolvers
from uae_cli.hashing import job_identity
from uae_cli.results import CLAIM, RESULTS_FILE
from uae_cli.run.job import link_file, run
from uae_cli.run.rows import settings_hash

DATA = Digits(name="digits").load(Path(), download=False)


def config(*overrides: str) -> dict[str, object]:
    register_resolvers()
    [job] = compose_jobs(["scale=smoke", *overrides], multirun=False, extra_dir=None)
    return job.config


def start(settings: dict[str, object], folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "mine.txt").write_text("a user's")
    with pytest.raises(DataError, match="only 1437"):
        run(settings, folder, overrides=[])


def test_an_unfinished_run_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "name" / "time"
    start(config("data.train_size=9999", f"outputs={tmp_path}"), folder)
    assert not folder.exists()
    assert folder.parent.is_dir()


def test_a_folder_of_the_users_is_not(tmp_path: Path) -> None:
    start(config("data.train_size=9999", f"outputs={tmp_path}/outputs"), tmp_path / "elsewhere")
    assert (tmp_path / "elsewhere" / "mine.txt").exists()


def test_what_killed_runs_left_is_removed_by_the_next(tmp_path: Path, dead: Callable[[Path], None]) -> None:
    below = tmp_path / "runs" / "digits_conv_ae"
    names = ("killed", "finished", "live", "failed", "failed long ago", "elsewhere", "young", "never begun")
    folders = {name: below / f"2025-01-01_10-00-00-{i:06x}" for i, name in enumerate(names)}
    folders["job"] = tmp_path / "multirun" / "digits_conv_ae" / "2025-01-01_10-00-00-1a2b3c" / "10"
    folders["elsewhere"] = tmp_path / "runs" / "mine" / "notes"
    for folder in folders.values():
        (folder / "tensorboard").mkdir(parents=True)
        (folder / "run.log").touch()
    minutes_ago = time.time() - 300
    for name in ("failed", "failed long ago"):
        (folders[name] / "config.yaml").touch()
        os.utime(folders[name] / "config.yaml", (minutes_ago, minutes_ago))
    for path in (folders["never begun"], *folders["never begun"].rglob("*")):
        os.utime(path, (minutes_ago, minutes_ago))
    for name in ("killed", "finished", "job", "elsewhere"):
        dead(folders[name] / CLAIM)
    (folders["finished"] / RESULTS_FILE).touch()
    claim = Claim(folders["live"] / CLAIM)
    assert claim.take()
    for path in (folders["failed long ago"], *folders["failed long ago"].rglob("*")):
        os.utime(path, (1.0, 1.0))
    folder = below / "2025-01-01_10-00-00-aaaaaa"
    start(config("data.train_size=9999", f"outputs={tmp_path}"), folder)
    claim.release()
    assert {name for name, folder in folders.items() if folder.exists()} == {
        "finished",
        "live",
        "young",
        "failed",
        "elsewhere",
    }


def test_a_run_that_goes_on_has_a_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, seen = tmp_path / "runs" / "name", []
    folder.mkdir(parents=True)

    class Watching(Preparation):
        def whole(self, config: dict[str, Any]) -> Prepared:
            seen.append(Claim(folder / CLAIM).holder)
            raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        run(config(f"outputs={tmp_path}"), folder, overrides=[], preparation=Watching())
    assert seen[0] is not None
    assert seen[0].runs
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "same",
    ["seed=3", "device=cpu", "threads=2", "jobs=2", "chunk_size=7", "outputs=x", "data.root=y", "name=other"],
)
def test_settings_that_change_no_result(same: str) -> None:
    assert settings_hash(config(same), DATA) == settings_hash(config(), DATA)


def test_samples_set_aside_by_another_seed_are_no_other_experiment() -> None:
    first, second = (
        settings_hash(config("data.validation_share=0.2", f"seed={seed}"), DATA.set_aside(0.2, seed))
        for seed in (0, 1)
    )
    assert first == second != settings_hash(config(), DATA)


def test_no_share_set_aside_is_no_setting() -> None:
    """Runs made before there was one are still those that their configs stand for."""
    plain = config()
    old = {**plain, "data": {k: v for k, v in plain["data"].items() if k != "validation_share"}}
    assert job_identity(old) == job_identity(plain) != job_identity(config("data.validation_share=0.2"))


def test_other_content_of_an_own_file_is_another_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    weights, module = tmp_path / "w.safetensors", tmp_path / "an_own_module.py"
    own = {**config(), "model": {"weights": str(weights), "network": {"_target_": "an_own_module.Net"}}}
    found = set()
    for file, text in (
        (weights, "1"),
        (weights, "2"),
        (module, "class Net: ..."),
        (module, "class Net: x = 1"),
    ):
        file.write_text(text)
        found.add(job_identity(own))
    assert len(found) == 4


@pytest.mark.parametrize("other", ["attack.alpha=0.02", "data.train_size=32", "model.trainer.epochs=2"])
def test_settings_that_do(other: str) -> None:
    assert settings_hash(config(other), DATA) != settings_hash(config(), DATA)


def test_other_samples_under_one_name_are_another_experiment() -> None:
    changed = replace(DATA, x_train=1 - DATA.x_train)
    assert settings_hash(config(), changed) != settings_hash(config(), DATA)


def test_fits_that_did_not_converge_are_told_beside_results(tmp_path: Path) -> None:
    settings = ("sampling=random", "arm=[replicate]", "model.network.selected=5", "data.train_size=16")
    folder = tmp_path / "runs" / "name"
    folder.mkdir(parents=True)
    job = config(
        "~experiment", "model=concrete_ae", "model.trainer.tries=1", f"outputs={tmp_path}", *settings
    )
    run(job, folder, overrides=[])
    notes = set(pd.read_csv(folder / "results.csv")["note"])
    assert notes == {"NOT CONVERGED, even in the last try: original, replicate."}


def test_a_second_run_into_one_folder_leaves_the_first_ones_stage_alone(tmp_path: Path) -> None:
    first, second, target = tmp_path / "first", tmp_path / "second", tmp_path / "model.safetensors"
    first.write_text("seed 0")
    second.write_text("seed 1")
    link_file(first, target)
    link_file(second, target)
    assert (first.read_text(), target.read_text()) == ("seed 0", "seed 1")
    link_file(second, target)
    assert [file.name for file in sorted(tmp_path.iterdir())] == ["first", "model.safetensors", "second"]
