"""What is checked before a run begins."""

import pickle
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from uae_cli.datasets import Dataset, Digits
from uae_cli.errors import ConfigError, DataError
from uae_cli.experiment.check import Preparation, check_room
from uae_cli.experiment.compose import compose_jobs, register_resolvers


class Scrambler(nn.Module):
    """A user's own network, with a mistake."""

    def __init__(self, shape: tuple[int, ...], mistake: str) -> None:
        super().__init__()
        if mistake == "settings":
            raise TypeError("mistake: no such thing")
        self.layer = nn.Linear(shape[-1], shape[-1] // 2 if mistake == "shape" else shape[-1])
        self.mistake = mistake

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.flatten(1) if self.mistake == "forward" else x)


def config(*overrides: str) -> dict[str, Any]:
    register_resolvers()
    [job] = compose_jobs(["scale=smoke", *overrides], multirun=False, extra_dir=None)
    return job.config


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Count how often a dataset is read."""
    seen: list[str] = []
    load = Digits.load

    def counted(self: Digits, root: Path, *, download: bool) -> Dataset:
        seen.append(self.name)
        return load(self, root, download=download)

    monkeypatch.setattr(Digits, "load", counted)
    return seen


def test_checking_does_not_load_torchs_compiler() -> None:
    """Which takes a second; the first optimiser does it."""
    lines = (
        "import sys",
        "from uae_cli.experiment.check import Preparation",
        "from uae_cli.experiment.compose import compose_jobs, register_resolvers",
        "register_resolvers()",
        "[job] = compose_jobs(['scale=smoke'], multirun=False, extra_dir=None)",
        "Preparation().whole(job.config)",
        "assert 'torch._dynamo' not in sys.modules",
    )
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_sweep_reads_its_data_once(reads: list[str]) -> None:
    preparation = Preparation()
    sizes = [len(preparation.whole(config(f"data.train_size={n}")).data.x_train) for n in (8, 16, 8)]
    assert sizes == [8, 16, 8]
    assert reads == ["digits"]
    preparation.whole(config("dataset.name=other"))
    assert reads == ["digits", "other"]


def test_processes_are_not_sent_the_data(reads: list[str]) -> None:
    preparation = Preparation()
    preparation.whole(config())
    copy = pickle.loads(pickle.dumps(preparation))
    assert len(pickle.dumps(preparation)) < 1000
    assert len(copy.whole(config()).data.x_train) == 64
    assert reads == ["digits", "digits"]


@pytest.mark.parametrize(
    ("mistake", "line"),
    [
        ("settings", "model.network: mistake: no such thing"),
        ("shape", r"model.network: answers samples of shape \(1, 8, 8\) with \(1, 8, 4\)"),
        ("forward", "model.network: .*64"),
        ("nothing", "sampling = conv: Scrambler has no convolution layer .*; use sampling=random"),
    ],
)
def test_a_users_own_network(mistake: str, line: str) -> None:
    settings = config()
    settings["model"]["network"] = {
        "_target_": f"{__name__}.Scrambler", "_partial_": True, "mistake": mistake
    }  # fmt: skip
    with pytest.raises(ConfigError, match=f"^{line}"):
        Preparation().whole(settings)


def test_a_model_without_reconstructions() -> None:
    line = (
        r"similarity of l2_uae: compares reconstructions, but model.network answers samples of shape "
        r"\(1, 8, 8\) with \(\d+,\); leave l2_uae out"
    )
    with pytest.raises(ConfigError, match=f"^{line}"):
        Preparation().whole(config("experiment=digits_simclr", "arm=[replicate,l2_uae]"))


def test_features_need_be_no_maps_for_a_distance() -> None:
    """Only a mutual information needs several vectors a sample."""
    dense = ["model=dense_ae", "sampling=random", "arm=[replicate,feature_scattering]"]
    Preparation().whole(config(*dense))


def test_a_loss_that_does_not_suit_the_model() -> None:
    settings = config("model=dense_ae", "sampling=random")
    settings["model"]["trainer"]["objective"] = config("model=adversarial_ae", "sampling=random")["model"][
        "trainer"
    ]["objective"]
    with pytest.raises(ConfigError, match=r"^model.trainer.objective: DenseAutoencoder has no discriminator"):
        Preparation().whole(settings)


def test_checking_leaves_the_settings_as_they_are() -> None:
    """The model that a run will train starts from the same weights, however often it was tried."""
    ready = Preparation().whole(config())
    first, second = (
        ready.experiment.model.build(ready.data.shape, 0, classes=10).state_dict() for _ in range(2)
    )
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_disk_too_small_for_what_will_be_written_is_told_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ready = Preparation().whole(config(f"outputs={tmp_path / 'new'}"))
    check_room(ready)
    room = SimpleNamespace(free=10_000)
    monkeypatch.setattr("shutil.disk_usage", lambda _: room)
    with pytest.raises(ConfigError, match=r"new: takes about 0\.\d MiB, and 0\.0 MiB is free"):
        check_room(ready)
    (tmp_path / "new/stages").mkdir(parents=True)
    check_room(ready)
    assert "unless enough of it is there already" in caplog.text


def test_a_network_larger_than_memory_is_refused_before_it_is_made() -> None:
    line = r"^model.network: its weights take [\d.e+]+ GiB or more, .* make it smaller"
    with pytest.raises(ConfigError, match=line):
        Preparation().whole(
            config("model=dense_ae", "sampling=random", "model.network.latent_dim=100000000000")
        )


MATRICES = "similarity.sampling.matrices=true"


def test_more_projections_than_memory_are_told_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ("model=dense_ae", "sampling=random", "similarity.sampling.count=1000", MATRICES)
    needed = 4 * 64 * 1000 * Preparation().whole(config(*settings)).experiment.similarity.sampling.dimension
    monkeypatch.setattr("uae_cli.experiment.check.free_bytes", lambda _device: needed // 2)
    with pytest.raises(ConfigError, match=r"^similarity.sampling: count = 1000 .* use a count of 500 or"):
        Preparation().whole(config(*settings))


def test_a_scale_takes_what_there_is_and_a_user_gets_what_they_ask_for(tmp_path: Path) -> None:
    table = tmp_path / "few.csv"
    table.write_text("a,b\n" + "".join(f"{n},{n * n % 7}\n" for n in range(40)), encoding="utf-8")
    few = ("dataset=csv", f"dataset.path={table}", "model=dense_ae", "sampling=random")
    data = Preparation().whole(config(*few)).data
    assert (len(data.x_train), len(data.x_test)) == (32, 8)
    assert len(Preparation().whole(config("data.train_size=65")).data.x_train) == 65
    with pytest.raises(DataError, match=r"^data.train_size = 64: few.* only 32; use data.train_size=32"):
        Preparation().whole(config(*few, "dataset.name=few", "data.train_size=64"))


@pytest.mark.parametrize("setting", ["memory_budget=1e-6", "chunk_size=100000000"])
def test_too_little_memory_is_told_before_any_work(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("uae_cli.attacks.memory.free_bytes", lambda _device: 1000)
    with pytest.raises(ConfigError, match=r"one sample needs [\d.e-]+ GiB"):
        Preparation().whole(config(setting))
