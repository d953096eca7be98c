from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from uae_cli.errors import ConfigError
from uae_cli.experiment.schema import ModelSettings
from uae_cli.models import CarliniWagnerNet, ConvAutoencoder, SimCLR
from uae_cli.models.weights import load_weights
from uae_cli.training import ReconstructionObjective, Trainer


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


class Pretrained(nn.Module):
    """A user's network that comes with weights of its own, and a head that starts as torch's layers do."""

    def __init__(self, *, shape: tuple[int, ...], state: dict[str, Tensor]) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(64, 64), nn.Linear(64, 64)
        self.body.load_state_dict(state)


def built(network, seed: int) -> dict[str, Tensor]:
    objective = ReconstructionObjective(loss="mse", optimizer=partial(torch.optim.SGD, lr=0.1))
    trainer = Trainer(
        objective=objective, batch_size=8, epochs=1, refit_epochs=1, keep="last", early_stopping=None
    )
    settings = ModelSettings(name="own", network=network, trainer=trainer)
    return settings.build((1, 8, 8), seed, classes=10).state_dict()


def test_a_network_that_loads_weights_in_its_constructor_keeps_them():
    state = {"weight": torch.full((64, 64), 0.5), "bias": torch.arange(64.0)}
    first, again, other = (built(partial(Pretrained, state=state), seed) for seed in (0, 0, 1))
    assert all(torch.equal(made[f"body.{name}"], state[name]) for made in (first, other) for name in state)
    assert torch.equal(first["head.weight"], again["head.weight"])
    assert not torch.equal(first["head.weight"], other["head.weight"])
    assert bool(first["head.bias"].any()), "torch's own start, not Keras's"


@pytest.mark.parametrize(
    "family",
    [
        partial(ConvAutoencoder, channels=[16, 8], kernel=5),
        partial(SimCLR, encoder="small_conv", hidden_dim=8, projection_dim=4),
    ],
)
def test_weights_are_the_runs_seeds_and_torchs_own_generator_is_left_alone(family):
    torch.manual_seed(5)
    before, first = torch.get_rng_state(), built(family, 0)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    again, other = built(family, 0), built(family, 1)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(next(iter(first.values())), next(iter(other.values())))


def test_a_seeds_weights_stay_what_they_were():
    """Results would change unnoticed."""
    made = built(partial(ConvAutoencoder, channels=[16, 8], kernel=5), 0)
    assert made["encoder.0.weight"].flatten()[:3].tolist() == pytest.approx(
        [0.0462345, -0.0492478, -0.0391555], abs=1e-6
    )


@pytest.mark.parametrize("beginning", ["module.", "model.", "_orig_mod.", "net.inner."])
@pytest.mark.parametrize("inner", [None, "state_dict", "model_state_dict"])
def test_checkpoints_are_read_as_training_loops_leave_them(
    tmp_path: Path, classifier_state: dict[str, Tensor], beginning: str, inner: str | None
) -> None:
    state = {f"{beginning}{name}": value for name, value in classifier_state.items()}
    state["loss.scale"] = torch.ones(1)  # a Lightning module's own
    torch.save(state if inner is None else {"epoch": 3, inner: state}, tmp_path / "weights.pt")
    model = network()
    told = load_weights(model, tmp_path / "weights.pt", "--weights")
    assert all(torch.equal(value, classifier_state[name]) for name, value in model.state_dict().items())
    assert f"read behind {beginning}, and loss.scale left out" in told
    assert told.startswith(f"--weights = {tmp_path / 'weights.pt'}: {f'{inner} of' if inner else 'read'}")


def test_what_is_told_of_plain_weights_is_nothing_and_two_of_them_are_refused(
    tmp_path: Path, classifier_state: dict[str, Tensor]
) -> None:
    torch.save(classifier_state, tmp_path / "weights.pt")
    assert load_weights(network(), tmp_path / "weights.pt") == ""
    both = {f"{kind}.{name}": value for name, value in classifier_state.items() for kind in ("ema", "model")}
    torch.save(both, tmp_path / "weights.pt")
    with pytest.raises(ConfigError, match=r"fits behind ema\. and model\.; save one"):
        load_weights(network(), tmp_path / "weights.pt")
