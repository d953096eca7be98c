from copy import deepcopy
from functools import partial

import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch.nn import functional as F

from uae_cli.models import glorot_
from uae_cli.training.lars import LARS

lars = partial(LARS, lr=1.0, momentum=0.9, weight_decay=1e-4, trust_coefficient=1e-3)


def parameter(values: list[float] | list[list[float]]) -> nn.Parameter:
    return nn.Parameter(torch.tensor(values, dtype=torch.float64))


def walk(p: nn.Parameter, optimizer: torch.optim.Optimizer, gradients: list[list[float]]) -> list[float]:
    for gradient in gradients:
        p.grad = torch.tensor(gradient, dtype=torch.float64).view_as(p)
        optimizer.step()
    return p.detach().flatten().tolist()


def test_a_weights_steps_are_those_of_a_hand_computation():
    """W = (3, 4), g = (0, 2), λ = 0.1, η = 0.01, lr = 2, m = 0.5.

    Step 1: g + λw = (0.3, 2.4), ‖w‖ = 5, and v = 2 · 0.01 · 5 / √5.85 · (0.3, 2.4).
    """
    p = parameter([[3.0, 4.0]])
    optimizer = LARS([p], lr=2.0, momentum=0.5, weight_decay=0.1, trust_coefficient=0.01)
    scale = 2 * 0.01 * 5 / (0.3**2 + 2.4**2) ** 0.5
    velocity = (0.3 * scale, 2.4 * scale)
    w = (3 - velocity[0], 4 - velocity[1])
    assert walk(p, optimizer, [[0.0, 2.0]]) == pytest.approx(w)

    gradient = (1 + 0.1 * w[0], 0.1 * w[1])
    scale = 2 * 0.01 * (w[0] ** 2 + w[1] ** 2) ** 0.5 / (gradient[0] ** 2 + gradient[1] ** 2) ** 0.5
    second = [w[i] - 0.5 * velocity[i] - scale * gradient[i] for i in range(2)]
    assert walk(p, optimizer, [[1.0, 0.0]]) == pytest.approx(second)


def test_biases_and_normalisations_take_plain_momentum_steps():
    p, same = parameter([3.0, 4.0]), parameter([3.0, 4.0])
    gradients = [[0.0, 2.0], [1.0, 0.0], [-1.0, 1.0]]
    plain = torch.optim.SGD([same], lr=0.1, momentum=0.9)
    assert walk(p, lars([p], lr=0.1, weight_decay=0.1), gradients) == pytest.approx(
        walk(same, plain, gradients)
    )


def test_a_step_does_not_depend_on_the_scale_of_the_gradient():
    steps = []
    for scale in (1e-3, 1.0, 1e3):
        p = parameter([[3.0, 4.0]])
        steps.append(walk(p, lars([p], weight_decay=0.0), [[scale, -2 * scale]]))
    assert steps[0] == pytest.approx(steps[1])
    assert steps[1] == pytest.approx(steps[2])
    assert steps[0] != pytest.approx([3.0, 4.0])


def test_zero_weights_and_zero_gradients_stay_finite():
    p = parameter([[0.0, 0.0]])
    assert walk(p, lars([p], lr=0.5), [[1.0, 2.0]]) == pytest.approx([-0.5, -1.0])
    p = parameter([[3.0, 4.0]])
    assert walk(p, lars([p], weight_decay=0.0), [[0.0, 0.0]]) == [3.0, 4.0]


def test_parameters_without_a_gradient_stay_and_the_state_is_resumed():
    p, idle = parameter([[3.0, 4.0]]), parameter([[1.0]])
    optimizer = lars([p, idle])
    walk(p, optimizer, [[0.0, 2.0]])
    assert idle.item() == 1.0
    copy = nn.Parameter(p.detach().clone())
    resumed = lars([copy, parameter([[1.0]])])
    resumed.load_state_dict(deepcopy(optimizer.state_dict()))
    assert walk(copy, resumed, [[1.0, 0.0]]) == walk(p, optimizer, [[1.0, 0.0]])


def test_a_real_loss_falls(digits):
    x = digits.flatten(1)
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 64), nn.Sigmoid())
    glorot_(model, torch.Generator().manual_seed(0))
    optimizer = lars(model.parameters(), trust_coefficient=1e-2)

    def closure() -> float:
        optimizer.zero_grad()
        loss = F.binary_cross_entropy(model(x), x)
        loss.backward()
        return float(loss.detach())

    losses = [optimizer.step(closure) for _ in range(60)]
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize(
    "change",
    [{"lr": 0.0}, {"momentum": 1.0}, {"weight_decay": -1e-4}, {"trust_coefficient": 0.0}, {"nesterov": True}],
)
def test_settings_out_of_range_are_refused_by_name(change):
    with pytest.raises(ValidationError, match=next(iter(change))):
        lars([parameter([1.0])], **change)
