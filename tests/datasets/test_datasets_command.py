import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from uae_cli.datasets import NpzDataset
from uae_cli.datasets.command import data_command
from uae_cli.errors import ConfigError

CONF = Path(__file__).parents[2] / "conf"
NAMES = [
    "activity",
    "cifar10",
    "coil20",
    "digits",
    "fashion_mnist",
    "isolet",
    "isolet_subset",
    "mice_protein",
    "mnist",
    "svhn",
    "svhn_test10k",
    "tiny_imagenet_15k",
]


@pytest.fixture
def conf(tmp_path):
    """Two choices: the embedded digits and a set that must be put in the root."""
    folder = tmp_path / "conf" / "dataset"
    folder.mkdir(parents=True)
    (folder / "digits.yaml").write_text("_target_: uae_cli.datasets.Digits\nname: digits\n")
    (folder / "part.yaml").write_text("_target_: uae_cli.datasets.NpzDataset\nname: part\n")
    (folder / "npz.yaml").write_text("_target_: uae_cli.datasets.NpzDataset\nname: npz\n")
    return folder.parent


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


def states(text):
    """Name and state of every row."""
    return dict(re.findall(r"^(\S+) +(present|verified|missing|corrupt) ", text, flags=re.MULTILINE))


def words(text):
    return " ".join(text.split())


@pytest.mark.parametrize("name", NAMES)
def test_every_choice_builds_the_loader_of_its_name(name):
    loader = instantiate(OmegaConf.load(CONF / "dataset" / f"{name}.yaml"))
    assert loader.name == name


def test_npz_choice_takes_a_path(tmp_path, arrays):
    np.savez(tmp_path / "my.npz", **arrays)
    chosen = OmegaConf.merge(
        OmegaConf.load(CONF / "dataset" / "npz.yaml"), {"path": str(tmp_path / "my.npz")}
    )
    loader = instantiate(chosen)
    assert isinstance(loader, NpzDataset)
    assert loader.load(Path("/nonexistent"), download=False).name == "npz"


def test_shipped_choices_in_an_empty_root(root, capsys):
    assert data_command(root, False, CONF) == 0
    shown = states(capsys.readouterr().out)
    assert {name: shown[name] for name in NAMES} == {
        name: "present" if name == "digits" else "missing" for name in NAMES
    }
    assert not {"npz", "csv"} & set(shown)


def test_states_and_exit_status(conf, root, arrays, flip, capsys):
    assert data_command(root, False, conf) == 0
    assert states(capsys.readouterr().out) == {"digits": "present", "part": "missing"}

    np.savez(root / "part.npz", **arrays)
    assert data_command(root, True, conf) == 0
    assert states(capsys.readouterr().out) == {"digits": "verified", "part": "verified"}

    flip(root / "part.npz", 200)
    assert data_command(root, True, conf) == 1
    out = capsys.readouterr().out
    assert states(out) == {"digits": "verified", "part": "corrupt"}
    assert "replace the file with an intact copy" in words(out)


def test_a_row_tells_size_place_source_and_note(conf, root, arrays, capsys):
    np.savez(root / "part.npz", **arrays)
    data_command(root, False, conf)
    out = capsys.readouterr().out
    assert re.search(r"^part +present +\d\.\d kB +part\.npz *\n +a made set", out, flags=re.MULTILINE)
    assert "scikit-learn load_digits" in out


def test_a_missing_set_tells_how_to_get_it(conf, root, capsys):
    data_command(root, False, conf)
    out = capsys.readouterr().out
    assert "put part.npz (arrays" in words(out)
    *_, last = out.splitlines()
    assert last == f"Data root: {root} (set it with UAE_DATA=DIR or data.root=DIR)"


def test_the_users_own_arrays_are_listed(conf, root, arrays, capsys):
    for name in ("camera", "npz", "part"):
        np.savez(root / f"{name}.npz", **arrays)
    data_command(root, False, conf)
    out = capsys.readouterr().out
    assert states(out) == dict.fromkeys(["digits", "part", "camera", "npz"], "present")
    assert "dataset=npz dataset.name=camera" in words(out)


def test_verifying_finds_values_out_of_range(conf, root, arrays, capsys):
    np.savez(root / "camera.npz", **{**arrays, "x_test": arrays["x_test"] / 100})
    assert data_command(root, False, conf) == 0
    assert data_command(root, True, conf) == 1
    out = words(capsys.readouterr().out)
    assert "test split: values from" in out
    assert "mend the arrays and save them again" in out


def test_piped_output_is_plain_and_fits_100_columns(conf, tmp_path, arrays, capsys):
    root = tmp_path / "[bold]a root with brackets"
    root.mkdir()
    np.savez(root / "camera.npz", **{**arrays, "note": "taken [red]by night"})
    data_command(root, False, conf)
    captured = capsys.readouterr()
    table = captured.out.splitlines()[:-1]
    assert "\x1b" not in captured.out
    assert max(map(len, table)) <= 100
    assert captured.err == ""
    assert "[bold]a root" in captured.out
    assert "taken [red]by night" in captured.out


def test_a_terminal_sees_colours(conf, root, monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    data_command(root, False, conf)
    assert "\x1b[36mpresent" in capsys.readouterr().out


def test_a_choice_that_builds_nothing_is_named(conf, root):
    bad = conf / "dataset" / "bad.yaml"
    bad.write_text("_target_: uae_cli.datasets.NpzDataset\nname: bad\ncolour: red\n")
    with pytest.raises(ConfigError, match=re.escape(str(bad))) as caught:
        data_command(root, False, conf)
    assert "\n" not in str(caught.value)


def test_a_row_does_not_wait_for_the_next(conf, root, monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(NpzDataset, "check", interrupted)
    with pytest.raises(KeyboardInterrupt):
        data_command(root, True, conf)
    assert states(capsys.readouterr().out) == {"digits": "verified"}


def test_no_library_is_imported_before_it_is_used():
    slow = "{'torchvision', 'sklearn', 'scipy', 'pandas', 'matplotlib', 'numba', 'tensorboard'}"
    code = f"import sys, uae_cli.datasets.command; sys.exit(str({slow} & set(sys.modules) or ''))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


def test_a_changed_digit_is_not_called_verified(conf, root, capsys):
    real = Path(os.environ.get("UAE_DATA", "none")) / "Data_Cortex_Nuclear.csv"
    if not real.exists():
        pytest.skip("Mice Protein isn't here")
    (conf / "dataset/mice_protein.yaml").write_text((CONF / "dataset/mice_protein.yaml").read_text())
    for change, state in (("0.5", "0.5"), "verified"), (("0.5", "0.6"), "present"):
        (root / real.name).write_text(real.read_text().replace(*change, 1))
        data_command(root, True, conf)
        out = capsys.readouterr().out
        assert states(out)["mice_protein"] == state
        assert ("Not verified" in out) == (state == "present")
