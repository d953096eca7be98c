import pytest
import torch
from torch import nn

from uae_cli.attacks import Samples, squared_error
from uae_cli.attacks.criteria import BoundCriterion, Criterion, Reconstruction
from uae_cli.models import HookedModel, Response

CLEAN = Response(torch.tensor([[0.0, 0.0], [1.0, 0.5]]), torch.tensor([[0.3, 0.4], [1.0, 0.5]]), None)


def f(output: list[list[float]], kappa: float = 0.0) -> list[float]:
    moved = Response(CLEAN.x + 9, torch.tensor(output), None)  # where x + δ is doesn't matter, only Φ there
    return bind(CLEAN, kappa)(moved).tolist()


def bind(clean: Response, kappa: float) -> BoundCriterion:
    batch = Samples(clean.x, torch.arange(len(clean.x)), 0)
    return Reconstruction(kappa=kappa).bind(HookedModel(nn.Linear(2, 2), None), clean, batch)


# ‖x − Φ(x)‖² is 0.25 for the first sample and 0 for the second
@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ([[0.3, 0.4], [1.0, 0.5]], [0.0, 0.0]),
        ([[0.0, 0.0], [1.0, 0.5]], [-0.25, 0.0]),  # x is explained better: success
        ([[0.0, 0.1], [0.0, 0.5]], [-0.24, 1.0]),
        ([[1.0, 1.0], [0.4, 0.7]], [1.75, 0.40]),  # explained worse: squared norms, summed over values
    ],
)
def test_f_is_the_rise_of_the_squared_reconstruction_error(output, expected):
    assert f(output) == pytest.approx(expected, abs=1e-6)
    assert f(output, kappa=0.2) == pytest.approx([value + 0.2 for value in expected], abs=1e-6)


@pytest.mark.parametrize("shape", [(2, 6), (2, 3, 4, 2)], ids=str)
def test_the_squared_errors_gradient_is_its_own(shape):
    target, output = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    if len(shape) == 4:
        output = output.contiguous(memory_format=torch.channels_last)
    assert torch.autograd.gradcheck(lambda output: squared_error(target, output), (output.requires_grad_(),))


@pytest.mark.parametrize("kappa", [0.0, 0.5])
def test_without_perturbation_f_is_kappa(kappa):
    assert f(CLEAN.output.tolist(), kappa) == [kappa, kappa]


def test_f_pulls_on_the_moved_output_alone():
    x, output = CLEAN.x.clone().requires_grad_(), CLEAN.output.clone().requires_grad_()
    bound = bind(Response(x, output, None), 0.0)
    moved = torch.zeros(2, 2, requires_grad=True)
    bound(Response(moved, moved, None)).sum().backward()
    assert torch.equal(moved.grad, -2 * CLEAN.x)
    assert (x.grad, output.grad) == (None, None)


def test_margins_below_zero_are_refused():
    with pytest.raises(ValueError, match="kappa"):
        Reconstruction(kappa=-0.1)
    assert isinstance(Reconstruction(kappa=0.0), Criterion)
