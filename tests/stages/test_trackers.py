"""Trackers are told what TensorBoard is told, and what came out; one that fails ends no run."""

import logging
import sys
import warnings
from pathlib import Path

import pytest

from uae_cli.errors import ConfigError
from uae_cli.experiment.compose import compose_jobs, register_resolvers
from uae_cli.hashing import job_identity
from uae_cli.run.job import run
from uae_cli.stages import Tracked, Trackio


def finished(tmp_path: Path, *overrides: str) -> Path:
    register_resolvers()
    small = ["experiment=digits_dense_ae", "scale=smoke", "arm=[replicate]", "threads=1", "jobs=1"]
    [job] = compose_jobs([*small, f"outputs={tmp_path}", *overrides], multirun=False, extra_dir=None)
    folder = tmp_path / "runs" / "digits_dense_ae" / "now"
    folder.mkdir(parents=True)
    run(job.config, folder, overrides=[])
    return folder


def test_mlflow_keeps_settings_curves_results_and_files(tmp_path):
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("alembic")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SQLAlchemy's to MLflow
        finished(tmp_path, "tracker=mlflow", "seed=3", "model.trainer.refit_epochs=3")
        client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
        [kept] = client.search_runs([client.get_experiment_by_name("uae").experiment_id])
        curve = client.get_metric_history(kept.info.run_id, "training_loss/replicate")
    assert kept.info.status == "FINISHED"
    assert kept.data.params["attack.alpha"]
    assert kept.data.tags["seed"] == "3"
    assert kept.data.metrics["test_mse/original"] > 0
    assert [point.step for point in curve] == [1, 2, 3]


def test_wandb_writes_offline_what_can_be_sent_later(tmp_path):
    pytest.importorskip("wandb")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        finished(tmp_path, "tracker=wandb")
    [kept] = (tmp_path / "wandb").glob("offline-run-*/run-*.wandb")
    assert b"training_loss/replicate" in kept.read_bytes()


def test_a_run_that_stops_is_marked_as_failed(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("alembic")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("uae_cli.run.job.result_rows", interrupted)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(KeyboardInterrupt):
            finished(tmp_path, "tracker=mlflow")
        client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
        [kept] = client.search_runs([client.get_experiment_by_name("uae").experiment_id])
        curve = client.get_metric_history(kept.info.run_id, "training_loss/replicate")
    assert kept.info.status == "FAILED"
    assert curve


def test_a_tracker_that_fails_is_told_once_and_left(caplog):
    def begin():
        raise OSError("no route to host")

    tracked = Tracked("mlflow", begin)
    with caplog.at_level(logging.WARNING):
        tracked.point("loss", 1.0, 1)
        tracked.finish({}, [])
        tracked.__exit__(KeyboardInterrupt)
    assert [line for line in caplog.messages if "this run is no longer told to it" in line] == caplog.messages


def test_a_package_that_is_missing_is_named_with_the_way_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "trackio", None)
    with pytest.raises(ConfigError, match=r"tracker = trackio: can't be imported .*pip install trackio"):
        Trackio(project="uae")


def test_a_tracker_changes_nothing_that_a_run_is_known_by(tmp_path):
    register_resolvers()
    [plain] = compose_jobs([], multirun=False, extra_dir=None)
    [tracked] = compose_jobs(["tracker=trackio"], multirun=False, extra_dir=None)
    assert job_identity(plain.config) == job_identity(tracked.config)
