"""Every mistake: one line that names the setting and the way out, status 2, nothing left behind."""

import errno
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from calling import TINY, Called, Uae

Npz = Callable[..., Path]
DRAW = np.random.default_rng(0)


def assert_one_line(called: Called, folder: Path, *parts: str) -> None:
    assert called.status == 2
    assert called.out == ""
    [line] = called.mistake.splitlines()
    assert line.startswith("uae: ")
    for part in parts:
        assert part in line
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        # Nothing to measure, or nothing that can be
        (
            "evaluation=[] arm=[replicate]",
            ["evaluation = []", "nothing is measured", "evaluation=[reconstruction]"],
        ),
        (
            "experiment=digits_simclr evaluation=[reconstruction]",
            ["evaluation = reconstruction", "(1, 8, 8)", "(64,)", "use an autoencoder"],
        ),
        # Unknown choices
        (
            "experiment=digits_cnv_ae",
            ["experiment = digits_cnv_ae", "did you mean digits_conv_ae?", "svhn_conv_ae"],
        ),
        (
            "model=convae",
            ["model = convae", "did you mean conv_ae?", "concrete_ae, conv_ae, dense_ae"],
        ),
        ("dataset=mnst", ["dataset = mnst", "did you mean mnist?", "mnist, npz"]),
        ("scale=smok", ["scale = smok", "did you mean smoke?", "full, smoke, subset"]),
        ("sampling=foo", ["sampling = foo", "conv, none, random"]),
        ("attack=5", ["attack = 5", "minmax"]),
        ("arm=[replicate,mine]", ["arm = mine", "did you mean mine_uae or mine_uae_fresh?", "matched_noise"]),
        ("+_partial_=true", ["_partial_: no such setting"]),
        ("arm=[replicate,null]", ["arm=[replicate,null]: null is no choice"]),
        ("-m experiment=digits_conv_ae,foo", ["experiment = foo", "digits_conv_ae"]),
        # Unknown settings
        ("attack.alfa=0.1", ["attack.alfa: no such setting", "did you mean attack.alpha?", "beta"]),
        ("atack.alpha=0.1", ["atack.alpha: no such setting", "did you mean attack.alpha?"]),
        ("+attack.alfa=0.1", ["attack.alfa: no such setting", "did you mean attack.alpha?"]),
        ("+foo=1", ["foo: no such setting", "seed"]),
        ("model.trainer.epoch=3", ["model.trainer.epoch", "did you mean model.trainer.epochs?"]),
        ("arm.gaussian_1e-2.sigm=1", ["arm.gaussian_1e-2.sigm", "did you mean arm.gaussian_1e-2.sigma?"]),
        ("arm.mine_uae.similarity.steps=3", ["set similarity.steps"]),
        (
            "+model.trainer.objective.optimizer.rh=5",
            ["optimizer.rh: no such setting", "did you mean model.trainer.objective.optimizer.rho?"],
        ),
        ("--cfg job attack.alfa=1", ["did you mean attack.alpha?"]),
        # Wrong types
        ("attack.alpha=abc", ["attack.alpha = abc: must be a number", "default: 0.05"]),
        ("attack.alpha=null", ["attack.alpha = null: must be a number"]),
        ("attack.iterations=2.5", ["attack.iterations = 2.5: must be a whole number"]),
        ("seed=1.5", ["seed = 1.5: must be a whole number", "default: 0"]),
        ("data.download=maybe", ["data.download = maybe: must be true or false"]),
        ("threads=many", ["threads = many: must be a whole number, or 'auto'"]),
        ("attack.delta_start=foo", ["attack.delta_start = foo: must be 'zero' or 'glorot', or a number"]),
        ("attack.step=foo", ["attack.step = foo: must be 'gradient' or 'sign'"]),
        ("data.validation_share=1", ["data.validation_share = 1: must be", "less than 1"]),
        ("data.validation_share=1e-4", ["data.validation_share = 0.0001", "that is none", "or 0"]),
        ("protocol=robustness data.validation_share=0.1", ["doesn't read data.validation_share"]),
        ("name=a/b", ["name = a/b: must be letters, digits"]),
        ("name=..", ["name = ..: must be letters, digits", "no sign first"]),
        ("name=-rf", ["name = -rf: must be letters, digits"]),
        ("outputs=", ["outputs = '': must name a file or folder", "default: outputs"]),
        ("data.root=", ["data.root = '': must name a file or folder"]),
        ("data.root=null", ["data.root = null: must be a path"]),
        ("plugins=mine", ["plugins = mine: must be a list"]),
        ("~attack.step", ["attack.step: must be given"]),
        ("model.network.kernel=abc", ["model.network.kernel = abc: must be a whole number"]),
        ("model.network._target_=nowhere.Net plugins=[nowhere]", ["model.network", "nowhere"]),
        # Out of range
        ("attack.alpha=0", ["attack.alpha = 0: must be greater than 0"]),
        ("attack.alpha=-0.1", ["attack.alpha = -0.1: must be greater than 0"]),
        ("attack.alpha=nan", ["attack.alpha = nan: must be a finite number"]),
        ("attack.beta=0", ["attack.beta = 0: must be greater than 0"]),
        ("attack.beta=1.5", ["attack.beta = 1.5: must be at most 1", "default: 0.1"]),
        ("attack.epsilon=0", ["attack.epsilon = 0: must be greater than 0"]),
        ("attack.iterations=0", ["attack.iterations = 0: must be at least 1"]),
        (
            "sampling=random similarity.sampling.count=1",
            ["similarity.sampling.count = 1: must be at least 2"],
        ),
        (
            "model.network.channels=[1,8]",
            ["sampling = conv", "1 feature map", "at least 2", "sampling=random"],
        ),
        ("model.network.kernel=4", ["model.network.kernel = 4: must be odd"]),
        ("model.trainer.epochs=-1", ["model.trainer.epochs = -1: must be at least 1"]),
        ("model.trainer.refit_epochs=-1", ["model.trainer.refit_epochs = -1: must be at least 1"]),
        (
            "model.trainer.objective.optimizer.lr=-1",
            ["optimizer.lr = -1: invalid learning rate", "default: 1.0"],
        ),
        ("model.trainer.objective.optimizer.lr=abc", ["optimizer.lr = abc: must be a number"]),
        ("similarity.steps=0", ["similarity.steps = 0: must be at least 1"]),
        ("arm.gaussian_1e-2.sigma=0", ["arm.gaussian_1e-2.sigma = 0: must be greater than 0"]),
        ("augmentation.draws=0", ["augmentation.draws = 0: must be at least 1", "default: 1"]),
        ("seed=-1", ["seed = -1: must be at least 0"]),
        ("-m attack.alpha=0.01,0", ["attack.alpha = 0: must be greater than 0"]),
        ("attack.alpha=0.01 -m seed=0,abc", ["seed = abc: must be a whole number"]),
        ("-m seed=0-3", ["seed = 0-3: must be one number", "range(0,4)"]),
        ("model.network.channels=32", ["model.network.channels = 32: must be a list, as in [1,2]"]),
        ("experiment=mine_alone", ["experiment = mine_alone: no such choice", "--config-dir DIR"]),
        # At odds with each other
        ("model=dense_ae", ["sampling = conv", "no convolution", "sampling=random"]),
        ("similarity.sampling.layer=foo", ["similarity.sampling.layer = foo", "encoder.1"]),
        ("arm=[mine_uae]", ["replicate is missing", "arm=[replicate,mine_uae]"]),
        ("arm=[replicate,matched_noise]", ["mine_uae", "arm=[replicate,mine_uae,matched_noise]"]),
        ("data.train_size=100000", ["data.train_size = 100000", "1437"]),
        # The machine
        ("precision=half", ["precision = half", "float32", "bfloat16"]),
        ("memory_budget=0", ["memory_budget = 0", "greater than 0"]),
        ("arm.matched_noise.of=matched_noise", ["arm.matched_noise.of = matched_noise", "mine_uae"]),
        ("device=nonsense", ["device = nonsense", "auto, cpu, cuda"]),
        ("device=mps", ["device = mps", "cpu"]),
        (
            "dataset=mnist data.download=false",
            ["train-images-idx3-ubyte", "data/MNIST/raw", "data.download=true"],
        ),
        ("dataset=npz dataset.path=gone.npz", ["gone.npz", "x_train, y_train, x_test, y_test"]),
        ("--config-dir gone", ["--config-dir = gone: no such folder"]),
        ("--config-dir / hydra.searchpath=[]", ["hydra.searchpath: not beside --config-dir"]),
        # What isn't setting=value
        ("attack.alpha", ["attack.alpha: can't be read as setting=value"]),
        ("attack.alpha=[1", ["attack.alpha=[1: can't be read"]),
        ("=3", ["=3", "name"]),
        ("attack.alpha=0.01,0.05", ["attack.alpha = 0.01,0.05: several values", "-m"]),
        ("--multirn", ["--multirn", "uae run --help"]),
        ("--device cpu", ["--device", "without dashes", "uae run --help"]),
        ("--config-name foo", ["--config-name = foo", "--config-dir"]),
    ],
)
def test_settings(uae: Uae, tmp_path: Path, arguments: str, parts: list[str]) -> None:
    given = arguments.split()
    rest = [setting for setting in TINY if setting.split("=")[0] not in arguments]
    if "arm=" in arguments or "attack.alfa" in arguments:
        rest = ["scale=smoke"]
    assert_one_line(uae("run", *given, *rest), tmp_path, *parts)


@pytest.mark.parametrize("precision", ["tf32", "bfloat16"])
def test_half_precision_on_a_cpu_is_refused(uae: Uae, tmp_path: Path, precision: str) -> None:
    outcome = uae("run", "device=cpu", f"precision={precision}")
    assert_one_line(outcome, tmp_path, f"precision = {precision}", "CUDA", "precision=float32")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is CUDA here")
def test_cuda_where_there_is_none(uae: Uae, tmp_path: Path) -> None:
    assert_one_line(uae("run", "device=cuda"), tmp_path, "device = cuda", "0 CUDA devices", "device=cpu")


@pytest.mark.parametrize(
    ("samples", "parts"),
    [
        (DRAW.random((8, 8, 8)) * 1.5, ["own.npz", "scale them to [0, 1]"]),
        (np.where(DRAW.random((8, 8, 8)) < 0.1, np.nan, 0.5), ["own.npz", "NaN"]),
        (DRAW.random((8, 12)), ["model = conv_ae", "needs images", "model=dense_ae"]),
        (DRAW.random((4, 8, 8)), ["data.train_size = 8", "only 4"]),
    ],
)
def test_data(uae: Uae, npz: Npz, tmp_path: Path, samples: np.ndarray, parts: list[str]) -> None:
    path = npz(samples.astype(np.float32))
    assert_one_line(uae("run", "dataset=npz", f"dataset.path={path}", *TINY), tmp_path, *parts)


def test_corrupt_data(uae: Uae, npz: Npz, tmp_path: Path) -> None:
    path = npz(DRAW.random((8, 8, 8)).astype(np.float32))
    content = bytearray(path.read_bytes())
    content[700] ^= 0xFF
    path.write_bytes(content)
    called = uae("run", "dataset=npz", f"dataset.path={path}", *TINY)
    assert_one_line(called, tmp_path, "own.npz", "x_train", "checksum", "replace")


@pytest.mark.parametrize("setting", ["outputs", "hydra.run.dir"])
def test_results_that_cannot_be_written(uae: Uae, npz: Npz, tmp_path: Path, setting: str) -> None:
    file = npz(DRAW.random((8, 8, 8)).astype(np.float32))
    called = uae("run", f"{setting}={file}/below/it", *TINY)
    assert called.status == 2
    [line] = called.mistake.splitlines()
    assert setting in line
    assert "cannot be written" in line
    assert not list(tmp_path.rglob("results.csv"))
    assert not list(tmp_path.rglob(".hydra"))


def test_a_disk_that_is_full_before_the_run_begins(
    uae: Uae, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("hydra.core.utils._save_config", full)
    called = uae("run", *TINY)
    assert called.status == 2
    assert called.mistake.startswith("uae: ")
    assert "no space is left" in called.mistake
    assert len(called.mistake.splitlines()) == 1
    assert not list(tmp_path.rglob("results.csv"))


@pytest.mark.parametrize(
    ("file", "content", "parts"),
    [
        ("experiment/own.yaml", "attack: {alpha: 0.1}", ["# @package _global_"]),
        (
            "experiment/own.yaml",
            "# @package _global_\nattack: {alfa: 0.1}",
            ["attack.alfa", "did you mean attack.alpha?"],
        ),
        ("experiment/own.yaml", "# @package _global_\nattack:\n  - [", ["own.yaml, line 3", "not YAML"]),
        (
            "experiment/own.yaml",
            "# @package _global_\ndefaults:\n  - override /model: dens_ae",
            ["model = dens_ae", "did you mean dense_ae?"],
        ),
        (
            "experiment/own.yaml",
            "# @package _global_\ndefaults:\n  - override /modell: dense_ae",
            ["experiment/own.yaml", "/modell", "did you mean model?"],
        ),
        (
            "model/conv_ae.yaml",
            "name: of_mine",
            ["model/conv_ae.yaml: uae has a file of this name", "give yours another"],
        ),
        ("experiment/owns.yaml", "# @package _global_", ["experiment = own:", "did you mean owns?"]),
        (
            "experiment/own.yaml",
            "# @package _global_\nscale: smoke",
            ["experiment/own.yaml: scale: smoke: has no effect", "- override /scale: smoke"],
        ),
        (
            "experiment/own.yaml",
            "defaults:\n  - override /evaluation: [reconstruction]",
            ["experiment/own.yaml", "make its first line # @package _global_"],
        ),
    ],
)
def test_own_files(
    uae: Uae,
    tmp_path_factory: pytest.TempPathFactory,
    tmp_path: Path,
    file: str,
    content: str,
    parts: list[str],
) -> None:
    folder = tmp_path_factory.mktemp("own")
    (folder / file).parent.mkdir()
    (folder / file).write_text(content)
    called = uae("run", "--config-dir", str(folder), "experiment=own", *TINY[:2])
    assert_one_line(called, tmp_path, *parts)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["nonsense"], ["nonsense: no such command", "run", "table", "data"]),
        (["tabel", "4"], ["tabel", "did you mean table?"]),
        (["table", "99"], ["99", "4, 5, 6"]),
        (["table", "4"], ["no finished runs below outputs", "uae run experiment="]),
        (["table"], ["number", "uae table --help"]),
        (["table", "4", "outputs=x"], ["outputs=x", "--name VALUE", "uae table --help"]),
        (["table", "4", "--format", "word"], ["word", "latex"]),
        (["data", "--foo"], ["--foo", "--help"]),
    ],
)
def test_other_commands(uae: Uae, tmp_path: Path, arguments: list[str], parts: list[str]) -> None:
    assert_one_line(uae(*arguments), tmp_path, *parts)
