"""What a run leaves behind: all of it, and right."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from calling import TINY, Called, Uae
from omegaconf import OmegaConf
from PIL import Image
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.nn import functional as F

from uae_cli.datasets import Digits
from uae_cli.experiment.schema import from_config

FIGURES = {
    "training_loss.png",
    "mine_uae_samples.png", "mine_uae_largest.png", "mine_uae_iterations.png",
    "l2_uae_samples.png", "l2_uae_largest.png", "criterion_only_samples.png", "criterion_only_largest.png",
}  # fmt: skip
ARMS = (
    "original", "replicate", "mine_uae", "l2_uae", "criterion_only",
    "gaussian_1e-2", "gaussian_1e-3", "matched_noise",
)  # fmt: skip


@pytest.fixture
def finished(uae: Uae) -> Called:
    called = uae("run", *TINY, "attack.iterations=3", "model.trainer.epochs=2")
    assert called.status == 0, called.err
    return called


@pytest.fixture
def folder(finished: Called, tmp_path: Path) -> Path:
    [folder] = (tmp_path / "outputs" / "runs" / "digits_conv_ae").iterdir()
    return folder


def test_the_record(folder: Path, finished: Called) -> None:
    record = json.loads((folder / "results.json").read_text())
    assert record["command"].startswith("uae run scale=smoke threads=1 ")
    assert record["uae"]
    assert record["commit"] is None or len(record["commit"].removesuffix("+changes")) == 40
    assert {"torch", "torchvision", "numpy"} <= set(record["machine"]["packages"])
    assert record["machine"]["cpu"].startswith("CPU ")
    assert record["machine"]["threads"] == 1
    stages = [stage["stage"] for stage in record["stages"]]
    assert stages == [
        "fit original", "fit replicate", "attack mine_uae", "fit mine_uae", "attack l2_uae", "fit l2_uae",
        "attack criterion_only", "fit criterion_only", "fit gaussian_1e-2", "fit gaussian_1e-3",
        "fit matched_noise",
    ]  # fmt: skip
    assert all(stage["seconds"] > 0 and stage["peak_bytes"] > 2**25 for stage in record["stages"])
    assert pd.read_csv(folder / "results.csv")["seconds"].unique() == pytest.approx([record["seconds"]])
    assert record["seconds"] > sum(stage["seconds"] for stage in record["stages"])
    log = (folder / "run.log").read_text()
    assert "8 training samples from scikit-learn" in log
    assert all(stage in log for stage in stages)
    assert "fit original is fit-" in log
    assert "fit-" not in finished.err
    assert "\nfit original: " in finished.err
    assert "finished in" in log
    assert "Warning" not in finished.err
    assert str(folder.relative_to(Path.cwd())) in finished.out


def test_the_config_makes_the_same_experiment(folder: Path) -> None:
    config = OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"))
    assert isinstance(config, dict)
    experiment = from_config(config)
    assert experiment.attack.iterations == 3
    assert experiment.attack.alpha == 0.05
    assert "${" not in (folder / "config.yaml").read_text()


def test_the_table_is_what_the_tensors_give(folder: Path) -> None:
    rows = pd.read_csv(folder / "results.csv").set_index(["arm", "metric"])["value"]
    assert set(rows.index.get_level_values("arm")) == set(ARMS)
    data = Digits(name="digits").load(folder, download=False).first(8, 4)
    config = OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"))
    assert isinstance(config, dict)
    settings = from_config(config).model
    models = {}
    for arm in ARMS:
        model = models[arm] = settings.build(data.shape, 0, classes=10)
        model.load_state_dict(load_file(folder / "tensors" / f"{arm}.model.safetensors"))
        for split, x in (("test", data.x_test), ("train", data.x_train)):
            with torch.no_grad():
                error = float(F.mse_loss(model(x), x))
            assert rows[arm, f"{split}_mse"] == pytest.approx(error, rel=1e-5)
    for arm in ("mine_uae", "l2_uae"):
        saved = load_file(folder / "tensors" / f"{arm}.uae.safetensors")
        x, found = data.x_train[saved["index"]], saved["x"]
        assert saved["index"].tolist() == list(range(8))
        with torch.no_grad():
            outputs = models["original"](found), models["original"](x)
        f = [(x - output).square().flatten(1).sum(1) for output in outputs]
        success = (f[0] <= f[1]) & (found != x).flatten(1).any(1)
        assert rows[arm, "asr"] == pytest.approx(100 * success.double().mean().item())
        assert torch.equal(saved["success"], success)
        assert rows[arm, "perturbation_l2"] == pytest.approx((found - x).flatten(1).norm(dim=1).mean().item())


def test_the_curves_and_pictures(folder: Path) -> None:
    assert {file.name for file in (folder / "figures").iterdir()} == FIGURES
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    assert {"original", "uae/mine_uae", "uae/l2_uae"} <= set(events.Tags()["images"])
    assert [event.step for event in events.Scalars("training_loss/original")] == [1, 2]
    saved = load_file(folder / "tensors" / "mine_uae.uae.safetensors")
    for quantity in ("c", "f", "similarity"):
        curve = [event.value for event in events.Scalars(f"attack_{quantity}/mine_uae")]
        assert curve == pytest.approx(saved[f"trace_{quantity}"].mean(0).tolist(), rel=1e-5)


def test_one_folder_per_run(uae: Uae, tmp_path: Path) -> None:
    settings = [*TINY, "arm=replicate"]
    assert [uae("run", *settings).status for _ in range(3)] == [0, 0, 0]
    assert len(list((tmp_path / "outputs" / "runs" / "digits_conv_ae").iterdir())) == 3


def test_a_folder_of_images_is_run_and_its_files_are_named(uae: Uae, tmp_path: Path) -> None:
    """None of whose sides the convolutions' poolings divide."""
    for i in range(15):
        file = tmp_path / "imgs" / "ab"[i % 2] / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (7, 5), 16 * i).save(file)
    own = ("~experiment", "dataset=folder", "dataset.path=imgs", "arm=[replicate]", "data.test_size=2")
    called = uae("run", *(setting for setting in TINY if "test_size" not in setting), *own)
    assert called.status == 0, called.err
    [folder] = (tmp_path / "outputs" / "runs" / "folder_conv_ae").iterdir()
    split = pd.read_csv(folder / "split.csv")
    assert split.split.tolist() == ["train"] * 8 + ["test"] * 2
    assert all((tmp_path / "imgs" / name).is_file() for name in split.file)
    names = sorted(path.relative_to(tmp_path / "imgs").as_posix() for path in tmp_path.glob("imgs/*/*.png"))
    assert [names[row] for row in split.row] == split.file.tolist()
