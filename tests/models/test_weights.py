from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from uae_cli.errors import ConfigError
from uae_cli.models import CarliniWagnerNet
from uae_cli.models.weights import load_weights


def network(**changes) -> CarliniWagnerNet:
    settings = {"channels": [8, 16], "hidden": [32, 32], "dropout": 0.2, "padding": "same"} | changes
    return CarliniWagnerNet(shape=(1, 8, 8), classes=10, **settings)


class Planted:
    """A pickle that would run code."""

    def __reduce__(self):
        return (Path.touch, (Path("planted"),))


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_a_state_dict_is_loaded_whole(tmp_path, classifier_state, digits: Tensor, trained_classifier, suffix):
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pt":
        torch.save(classifier_state, path)
    else:
        save_file(classifier_state, path)
    model = network().eval()
    load_weights(model, path)
    assert torch.equal(model(digits[:4]), trained_classifier(digits[:4]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"epoch": 3, "state_dict": {}}, "a dict with epoch, state_dict that are no tensors, no state dict"),
        ([torch.zeros(2)], "holds a list, no state dict"),
        (Planted(), "a pickle of more than plain tensors"),
    ],
    ids=["checkpoint", "list", "code"],
)
def test_what_is_no_plain_state_dict_is_refused(tmp_path, monkeypatch, content, message):
    monkeypatch.chdir(tmp_path)
    torch.save(content, tmp_path / "weights.pt")
    with pytest.raises(ConfigError, match=rf"model.weights = .*weights.pt: .*{message}.*; save one by"):
        load_weights(network(), tmp_path / "weights.pt")
    assert not (tmp_path / "planted").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden": [48, 32]}, r"another shape for dense.1.weight \(\(32, 64\), the model's is \(48, 64\)\)"),
        ({"channels": [8]}, "no place for features.5.weight"),
        ({"channels": [8, 16, 16]}, "lacks features.10.weight, .* and 1 more"),
    ],
    ids=["shape", "more", "fewer"],
)
def test_weights_of_another_architecture_are_refused(tmp_path, classifier_state, changes, message):
    torch.save(classifier_state, tmp_path / "weights.pt")
    with pytest.raises(ConfigError, match=rf"doesn't fit CarliniWagnerNet: .*{message}"):
        load_weights(network(**changes), tmp_path / "weights.pt")


def test_names_that_are_no_words_are_told(tmp_path, classifier_state):
    torch.save(dict(enumerate(classifier_state.values())), tmp_path / "weights.pt")
    with pytest.raises(ConfigError, match=r"it has no place for 0, 1, 2 and \d+ more"):
        load_weights(network(), tmp_path / "weights.pt")


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_files_that_are_missing_or_no_weights_at_all(tmp_path, suffix):
    path = tmp_path / f"weights{suffix}"
    with pytest.raises(ConfigError, match="no such file"):
        load_weights(network(), path)
    path.write_bytes(b"not weights")
    with pytest.raises(ConfigError, match="can't be read"):
        load_weights(network(), path)
