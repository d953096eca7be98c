"""Whatever a model answers, attacks see one tensor."""

from collections import namedtuple
from collections.abc import Callable
from typing import Any

import pytest
import torch
from foreign import Answer
from torch import Tensor, nn

from uae_cli import attack
from uae_cli.api.target import Target
from uae_cli.errors import ConfigError
from uae_cli.models import first_convolution

X = torch.rand(2, 1, 4, 4)
Pair = namedtuple("Pair", "recon code")
ANSWERS: dict[str, Callable[[Tensor], Any]] = {
    "tensor": lambda x: x / 2,
    "tuple": lambda x: (x.mean(), x / 2, x),
    "named tuple": lambda x: Pair(x / 2, x.flatten(1)),
    "dict": lambda x: {"recon": x / 2, "mu": x.flatten(1)},
    "dataclass": lambda x: Answer(x / 2, x.flatten(1)),
    "nested": lambda x: {"out": [Answer(x / 2, x.flatten(1))]},
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_the_reconstruction_is_found_by_its_shape(kind: str) -> None:
    assert torch.equal(Target(ANSWERS[kind], X)(X), X / 2)


@pytest.mark.parametrize(
    ("output", "kind"), [("mu", "dict"), ("code", "dataclass"), (1, "named tuple"), ("1", "named tuple")]
)
def test_it_is_picked_by_name_or_position(output: str | int, kind: str) -> None:
    assert torch.equal(Target(ANSWERS[kind], X, output=output)(X), X.flatten(1))


def test_a_model_computes_in_its_own_type_of_floats() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 16), nn.Unflatten(1, (1, 4, 4))).double()
    output = Target(model, X)(X)
    assert output.dtype == torch.float32
    torch.testing.assert_close(output, model(X.double()).float())


CONVOLUTIONS = {
    "followed": (nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Conv2d(2, 1, 3)), "2"),
    "alone": (nn.ModuleDict({"a": nn.Linear(1, 1), "b": nn.Conv1d(1, 2, 3), "c": nn.ReLU()}), "b"),
    "within": (nn.Sequential(nn.Flatten(), nn.Sequential(nn.Conv3d(1, 2, 3), nn.MaxPool3d(2))), "1.0"),
    "transposed": (nn.Sequential(nn.ConvTranspose2d(1, 2, 3)), None),
}


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_the_first_convolution_is_found_behind_its_activation(case: str) -> None:
    model, expected = CONVOLUTIONS[case]
    assert first_convolution(model) == expected


def test_a_sample_given_back_is_no_reconstruction_whatever_its_type() -> None:
    class Doubled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.full((), 0.5, dtype=torch.float64))

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return self.scale * x, x

    torch.testing.assert_close(Target(Doubled(), X)(X), X / 2)


def test_a_model_is_moved_only_if_a_device_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Placed(nn.Linear):
        moves = 0

        def _apply(self, *arguments: Any, **settings: Any) -> "Placed":
            Placed.moves += 1
            return super()._apply(*arguments, **settings)

    model, x = nn.Sequential(Placed(4, 4)), torch.rand(3, 4)
    for settings in ([], ["device=auto"]):
        attack(model, x, similarity="nothing", iterations=1, settings=settings)
    assert Placed.moves == 0
    attack(model, x, similarity="nothing", iterations=1, device="cpu")
    assert Placed.moves == 2  # there and back
    monkeypatch.setattr(Target, "spread", True)
    attack(model, x, similarity="nothing", iterations=1)
    with pytest.raises(ConfigError, match="Sequential lies on several devices; leave device out"):
        attack(model, x, similarity="nothing", iterations=1, device="cpu")


def test_a_model_lies_on_several_devices() -> None:
    assert not Target(nn.Linear(4, 4), X).spread
    assert Target(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4, device="meta")), X).spread
