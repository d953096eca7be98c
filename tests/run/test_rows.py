from pathlib import Path

import pytest

from uae_cli.experiment.compose import compose_jobs, register_resolvers
from uae_cli.experiment.settings import attacks_some
from uae_cli.hashing import job_identity
from uae_cli.results import read_run
from uae_cli.run.job import run


@pytest.mark.parametrize(
    ("experiment", "n_attacked"),
    [("digits_conv_ae", 0), ("digits_classifier_attack", 3)],
)
def test_a_run_writes_down_its_job_and_how_many_samples_it_attacked(
    experiment: str, n_attacked: int, tmp_path: Path
) -> None:
    register_resolvers()
    small = ["threads=1", "data.train_size=400", "data.test_size=100", "model.trainer.epochs=3"]
    small += ["model.trainer.refit_epochs=1", "data.attack_size=3", "attack.iterations=2"]
    overrides = [f"experiment={experiment}", "scale=smoke", *small, f"outputs={tmp_path / 'outputs'}"]
    [job] = compose_jobs(overrides, multirun=False, extra_dir=None)
    folder = tmp_path / "run"
    folder.mkdir()
    run(job.config, folder, overrides=overrides)
    rows = read_run(folder)
    assert set(rows["n_attacked"]) == {n_attacked}
    assert set(rows["job"]) == {job_identity(job.config)}


def test_every_row_counts_the_passes_of_its_arm(tmp_path: Path) -> None:
    register_resolvers()
    overrides = ["experiment=digits_conv_ae", "scale=smoke", "threads=1", "data.train_size=10", "seed=1"]
    overrides += ["arm=[replicate,mine_uae]", "attack.iterations=3", f"outputs={tmp_path / 'outputs'}"]
    overrides += ["model.trainer.epochs=2", "model.trainer.refit_epochs=4"]
    [job] = compose_jobs(overrides, multirun=False, extra_dir=None)
    (folder := tmp_path / "run").mkdir()
    run(job.config, folder, overrides=overrides)
    rows = read_run(folder).drop_duplicates("arm").set_index("arm")
    assert rows["training_passes"].to_dict() == {"original": 20, "replicate": 80, "mine_uae": 80}
    assert rows["attack_passes"].to_dict() == {"original": 0, "replicate": 0, "mine_uae": 30}


def test_a_protocol_of_the_users_own_is_not_known_to_attack_some_only() -> None:
    for target, told in (("uae_cli.protocols.AttackProtocol", True), ("my.Protocol", False)):
        assert attacks_some({"protocol": {"_target_": target}}) == told
