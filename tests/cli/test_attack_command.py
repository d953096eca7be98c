"""`uae attack`: a model and samples of a user's own, from files to a folder."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from calling import Called, Uae
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

SOURCE = """
import torch
from torch import nn
from uae_cli.models import ConvAutoencoder

LIST = [1]

class MyAE(nn.Module):
    def __init__(self, shape, width=16):
        super().__init__()
        self.inner = ConvAutoencoder(shape=shape, channels=[width, 8], kernel=5)

    def forward(self, x):
        return {"recon_x": self.inner(x), "twice": 2 * x}

class Picky(nn.Module):
    def __init__(self, depth, *, width):
        super().__init__()

def make():
    return MyAE((1, 8, 8))

def cut():
    return lambda x: x[..., 1:]

def nothing():
    return None

def loss(x, output):
    return (x - output).abs().flatten(1).sum(1)

def mean(x, output):
    return (x - output).abs().mean()

def rounded(x, output):
    return (x - output.round()).detach().flatten(1).sum(1)
"""
COMMON = (
    "--out",
    "uaes",
    "--output",
    "recon_x",
    "--similarity",
    "nothing",
    "device=cpu",
    "attack.iterations=10",
)


@pytest.fixture
def attack(uae: Uae, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Called]:
    """Call `uae attack` where the user's own module `my_pkg` is."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "my_pkg", raising=False)
    (tmp_path / "my_pkg.py").write_text(SOURCE)
    return lambda *arguments: uae("attack", *arguments)


@pytest.fixture
def images(tmp_path: Path, digits: Tensor) -> Path:
    """Twelve digits as grey PNGs, in two folders."""
    for number, image in enumerate(digits[:12]):
        path = tmp_path / "imgs" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((255 * image[0]).round().to(torch.uint8).numpy()).save(path)
    return tmp_path / "imgs"


@pytest.fixture
def weights(tmp_path: Path, trained_ae: nn.Module) -> Path:
    state = {f"inner.{name}": value for name, value in trained_ae.state_dict().items()}
    torch.save(state, tmp_path / "my_ae.pt")
    save_file(state, tmp_path / "my_ae.safetensors")
    return tmp_path / "my_ae.pt"


def test_a_folder_of_images_becomes_a_folder_of_uaes(
    attack: Callable[..., Called], images: Path, weights: Path, tmp_path: Path
) -> None:
    called = attack("my_pkg:MyAE", "--weights", str(weights), "--data", str(images), *COMMON)
    assert called.status == 0, called.err
    table = pd.read_csv(tmp_path / "uaes" / "uaes.csv")
    assert sorted(table["file"]) == sorted(f"{'ab'[n % 2]}/{n}.png" for n in range(12))
    found = int(table["success"].sum())
    assert found >= 10
    assert f"{found} of 12 samples have a UAE" in called.out
    assert {path.relative_to(images) for path in images.rglob("*.png")} == {
        path.relative_to(tmp_path / "uaes" / "images")
        for path in (tmp_path / "uaes" / "images").rglob("*.png")
    }
    assert (tmp_path / "uaes" / "figure.png").stat().st_size > 0
    assert load_file(tmp_path / "uaes" / "uaes.safetensors")["x"].shape == (12, 1, 8, 8)


def test_the_same_command_goes_on_in_its_folder(
    attack: Callable[..., Called], images: Path, weights: Path, tmp_path: Path
) -> None:
    command = (
        "my_pkg:make",
        "--weights",
        str(weights.with_suffix(".safetensors")),
        "--data",
        str(images),
        *COMMON,
    )
    first, made = attack(*command), tmp_path / "uaes" / "attack" / "uae.safetensors"
    before = made.stat().st_mtime_ns
    second = attack(*command)
    assert (first.status, second.status) == (0, 0)
    assert first.out == second.out
    assert made.stat().st_mtime_ns == before
    assert "other settings" in attack(*command, "seed=1").mistake


@pytest.mark.parametrize("kind", ["npy", "npz", "csv", "parquet"])
def test_arrays_and_tables_will_do(
    kind: str, attack: Callable[..., Called], digits: Tensor, tmp_path: Path
) -> None:
    file, rows = tmp_path / f"x.{kind}", digits[:6].flatten(1).numpy()
    frame = pd.DataFrame(rows, columns=[f"p{n}" for n in range(64)])
    if kind == "parquet":
        pytest.importorskip("pyarrow")
        frame.to_parquet(file)
    elif kind == "csv":
        frame.assign(name="a").to_csv(file, index=False)
    else:
        {"npy": np.save, "npz": lambda path, x: np.savez(path, x=x)}[kind](file, rows)
    (tmp_path / "my_pkg.py").write_text(
        "def make(shape):\n    assert shape == (64,)\n    return lambda x: 0.9 * x\n"
    )
    called = attack("my_pkg:make", "--data", str(file), "--out", "uaes", "--similarity", "nothing", "seed=1")
    assert called.status == 0, called.err
    assert len(pd.read_csv(tmp_path / "uaes" / "uaes.csv")) == 6


def test_values_of_any_range_are_scaled_if_asked_to(
    attack: Callable[..., Called], digits: Tensor, weights: Path, tmp_path: Path
) -> None:
    wide = 4 * digits[:6].numpy() - 2
    np.save(tmp_path / "x.npy", wide)
    (tmp_path / "my_pkg.py").write_text("def make():\n    return lambda x: 0.9 * x\n")
    command = ("my_pkg:make", "--data", "x.npy", "--out", "uaes", "--similarity", "nothing")
    assert "values from -2 to 2, outside [0, 1]; --scale" in attack(*command).mistake
    assert attack(*command, "--scale").status == 0
    x = load_file(tmp_path / "uaes" / "uaes.safetensors")["x"]
    assert x.min() >= -2
    assert (x - torch.from_numpy(wide)).abs().max() < 1  # in the data's own range, and near


def test_a_set_by_its_name_will_do_with_settings_of_its_own(
    attack: Callable[..., Called], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "my_pkg.py").write_text("def make():\n    return lambda x: 0.9 * x\n")
    called = attack(
        "my_pkg:make",
        *("--data", "torchvision:FakeData", "--size", "8", "--samples", "3", "--out", "uaes"),
        *(
            "--similarity",
            "nothing",
            "attack.iterations=5",
            "dataset.options={size: 6, image_size: [3, 9, 9]}",
        ),
    )
    assert called.status == 0, called.err
    assert "3 of 3 images were resized to 8×8" in caplog.text
    assert load_file(tmp_path / "uaes" / "uaes.safetensors")["clean"].shape == (3, 3, 8, 8)


BAD = {
    "named": (
        "my_pkg:make",
        ("--data", "torchvision:KMIST"),
        "dataset.name = KMIST: torchvision has no such set; did you mean KMNIST",
    ),
    "samples": ("my_pkg:make", ("--samples", "0"), "--samples = 0: must be at least 1"),
    "section": ("my_pkg:make", ("attak.alpha=1",), "doesn't read attak; did you mean attack?"),
    "no images": (
        "my_pkg:make",
        ("--data", "nan.npy", "--gray"),
        "--gray: goes with a folder or a named set of images, and nan.npy is none",
    ),
    "spec": ("my_pkg", (), "model my_pkg: write module:name, as my_pkg:MyAE"),
    "module": ("my_pgk:MyAE", (), "no module my_pgk in this folder"),
    "class": ("my_pkg:MyEA", (), "my_pkg has no MyEA; did you mean MyAE"),
    "arguments": ("my_pkg:Picky", (), "needs depth, width; name a function that gives them"),
    "no model": ("my_pkg:nothing", (), "makes a NoneType"),
    "a list": ("my_pkg:LIST", (), "is a list, no class"),
    "output": ("my_pkg:cut", ("--output", "0"), "no tensor of this name"),
    "several": ("my_pkg:make", ("--output", "recon"), "['recon_x'] (1, 8, 8), ['twice'] (1, 8, 8)"),
    "mean": ("my_pkg:make", ("--loss", "my_pkg:mean"), "loss: must give one number per sample"),
    "rounded": ("my_pkg:make", ("--loss", "my_pkg:rounded"), "loss: has no gradient in the samples"),
    "no loss": ("my_pkg:make", ("--loss", "my_pkg:lost"), "did you mean loss"),
    "layer": (
        "my_pkg:make",
        ("--similarity", "mine", "--layer", "inner.encode"),
        "did you mean inner.encoder",
    ),
    "similarity": (
        "my_pkg:make",
        ("--similarity", "mime"),
        "similarity = mime: no such choice; did you mean mine",
    ),
    "setting": ("my_pkg:make", ("attack.alpha=-1",), "attack.alpha = -1: must be greater than 0"),
    "not read": ("my_pkg:make", ("dataset=mnist",), "dataset=mnist: an attack alone doesn't read dataset"),
    "weights": ("my_pkg:make", ("--weights", "lost.pt"), "--weights = lost.pt: no such file"),
    "keys": ("my_pkg:make", ("--weights", "other.pt"), "lacks inner.encoder.0.weight"),
    "pickle": (
        "my_pkg:make",
        ("--weights", "code.pt"),
        "which may run code); save one by torch.save(model.state_dict()",
    ),
    "data": ("my_pkg:make", ("--data", "lost"), "--data lost: no such file; give a folder of images"),
    "empty": ("my_pkg:make", ("--data", "empty"), "--data empty: no images in this folder"),
    "mixed": ("my_pkg:make", ("--data", "mixed"), "resize them with, e.g., --size 8x8"),
    "unreadable": ("my_pkg:make", ("--data", "broken"), "can't be read as images: a.png"),
    "size": ("my_pkg:make", ("--size", "big"), "--size = big: must be HEIGHTxWIDTH"),
    "nan": ("my_pkg:make", ("--data", "nan.npy"), "--data nan.npy: holds NaN"),
    "out": ("my_pkg:make", ("--out", "mixed"), "mixed: holds other files (a.png, b.png)"),
}


@pytest.mark.parametrize("case", BAD)
def test_mistakes_are_told_in_one_line(
    case: str, attack: Callable[..., Called], images: Path, tmp_path: Path
) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pt")
    torch.save(nn.Linear(1, 1), tmp_path / "code.pt")
    np.save(tmp_path / "nan.npy", np.full((3, 64), np.nan))
    for name in ("empty", "mixed", "broken"):
        (tmp_path / name).mkdir()
    for name, side in (("a", 8), ("b", 9)):
        Image.new("L", (side, side)).save(tmp_path / "mixed" / f"{name}.png")
    (tmp_path / "broken" / "a.png").write_text("no image")
    model, arguments, expected = BAD[case]
    called = attack(model, "--data", str(images), *COMMON, *arguments)
    assert called.status == 2
    assert expected in called.err
    assert called.err.count("\n") == 1
