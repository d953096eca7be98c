"""Steps chosen by the size of the data and of the gradients."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from uae_cli import attack


@pytest.mark.parametrize("similarity", ["nothing", "gaussian_mi"])
def test_steps_follow_the_data_and_the_loss(similarity: str, trained_ae: nn.Module, digits: Tensor) -> None:
    """A loss a thousand times as large has gradients as large, and steps go by their square."""

    def loss(x: Tensor, output: Tensor) -> Tensor:
        return 1000 * (x - output).square().flatten(1).sum(1)

    plain = attack(trained_ae, digits[:40], similarity=similarity)
    large = attack(trained_ae, digits[:40], similarity=similarity, loss=loss)
    for found in (plain, large):
        assert found.success.float().mean() >= 0.8
    assert large.settings["delta_start"] == plain.settings["delta_start"]
    if similarity == "nothing":
        assert large.settings["alpha"] == pytest.approx(plain.settings["alpha"] / 1e6, rel=1e-3)


def test_the_same_is_chosen_every_time(trained_ae: nn.Module, digits: Tensor) -> None:
    first, second = (attack(trained_ae, digits[:40], similarity="nothing") for _ in range(2))
    assert first.settings == second.settings
    assert torch.equal(first.x, second.x)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"alpha": 0.2, "delta_start": 0.03}, {"alpha": 0.2, "delta_start": 0.03, "c_start": 1e-3}),
        ({"settings": ["attack.alpha=0.2"]}, {"alpha": 0.2, "c_start": 1e-3}),
        ({"settings": ["attack.c_start=7", "attack.alpha=auto"]}, {"c_start": 7.0}),
        ({"delta_start": "zero"}, {"delta_start": "zero"}),
    ],
)
def test_what_is_set_is_kept(
    arguments: dict[str, Any], expected: dict[str, object], trained_ae: nn.Module, digits: Tensor
) -> None:
    found = attack(trained_ae, digits[:8], similarity="nothing", iterations=2, **arguments)
    assert expected.items() <= dict(found.settings).items()


@pytest.mark.parametrize("solver", ["penalty", "pgd"])
def test_other_solvers_take_part(solver: str, trained_ae: nn.Module, digits: Tensor) -> None:
    settings = ["attack.loss=margin", "attack.epsilon=0.05"] if solver == "pgd" else []
    found = attack(
        trained_ae, digits[:8], solver=solver, similarity="nothing", iterations=20, settings=settings
    )
    assert found.success.float().mean() >= 0.75
