"""What the kernels do to samples' values, beside the same by torch's operations in double precision."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from uae_cli.attacks import GaussianInformation, Samples, attack_batch, rows, squared_error
from uae_cli.attacks.attack import Attack
from uae_cli.attacks.criteria import Reconstruction
from uae_cli.models import DenseAutoencoder, HookedModel, Response

SHAPE = (7, 3, 5, 9)
INFORMATION = GaussianInformation(goal="minimize", dimension=1.0, floor=1e-6)


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bool], None]]:
    """Whether all that can go by the kernels does, or nothing."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield lambda used: monkeypatch.setattr(rows, "_LEAST", 0 if used else 2**60)
    torch.set_num_threads(threads)


@pytest.fixture
def pair() -> tuple[Tensor, Tensor]:
    """Samples and what they became: one hardly moved, one not at all, one black, one that turned black."""
    x, noise = torch.rand(2, *SHAPE, generator=torch.Generator().manual_seed(0))
    size = torch.ones(len(x), 1, 1, 1)
    size[0], size[1] = 1e-3, 0
    y = (x + size * (noise - 0.5)).clamp(0, 1)
    x[2], y[3] = 0, 0
    return x, y


def numbers(seed: int) -> Tensor:
    return torch.randn(SHAPE[0], generator=torch.Generator().manual_seed(seed))


def information(x: Tensor, moved: Tensor) -> Tensor:
    return INFORMATION.compare(x, Response(moved, moved, None))


def in_double(work: Callable[..., Tensor | tuple[Tensor, ...]], *parts: Tensor) -> list[Tensor]:
    """What torch's operations give, which know no float32 kernel there."""
    found = work(*(part.double() for part in parts))
    return [each.float() for each in (found if isinstance(found, tuple) else (found,))]


@pytest.mark.parametrize("used", [True, False])
def test_sums_and_combinations_are_those_in_double_precision(pair, kernels, used):
    kernels(used)
    assert rows._compiled(*pair) == used
    weights = [numbers(seed) for seed in range(3)]
    found = rows.rest_squares(*pair, weights[0]), rows.combined(*pair, *weights)
    expected = in_double(rows.rest_squares, *pair, weights[0]), in_double(rows.combined, *pair, *weights)
    for one, (other,) in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("used", [True, False])
def test_projections_are_those_in_double_precision(pair, kernels, used):
    kernels(used)
    share, along, across = rows.projected(*pair)
    for one, other in zip((share, along), in_double(rows.projected, *pair), strict=False):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=0)
    # Where hardly anything is across, it is as exact as the values that it is a difference of
    torch.testing.assert_close(across, in_double(rows.projected, *pair)[2], rtol=1e-3, atol=1e-10)
    assert share[2] == along[2] == 0, "on black there is no projection"


@pytest.mark.parametrize("used", [True, False])
def test_rows_are_kept_where_they_are_to_be(pair, kernels, used):
    kernels(used)
    x, best = pair[0].clone(), pair[1].clone()
    x[4] = torch.nan  # of one that isn't kept nothing may remain
    kept = torch.tensor([True, False, False, True, False, True, False])
    rows.keep(x, kept, best)
    assert torch.equal(best[kept], pair[0][kept])
    assert torch.equal(best[~kept], pair[1][~kept])


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
def test_gradients_come_in_the_layout_of_the_output(pair, kernels, layout):
    target, output = pair[0], pair[1].contiguous(memory_format=layout).requires_grad_()
    for used in (True, False):
        kernels(used)
        (slope,) = torch.autograd.grad(squared_error(target, output).sum(), output)
        torch.testing.assert_close(slope, 2 * (output.detach() - target))
        assert slope.is_contiguous(memory_format=layout)


def test_an_attack_is_the_same_by_kernels_and_by_torch(minmax, kernels):
    model, x = DenseAutoencoder(shape=(1, 6, 6), latent_dim=8), torch.rand(20, 1, 6, 6)
    solver = minmax(iterations=8, alpha=0.1, beta=0.5, c_start=1e-3, delta_start="glorot")
    attack, found = Attack(Reconstruction(kappa=0.0), INFORMATION, solver), []
    for used in (True, False):
        kernels(used)
        found.append(attack_batch(attack, HookedModel(model, None), Samples.first(x, seed=0)))
    assert found[0].success.any()
    assert torch.equal(found[0].success, found[1].success)
    torch.testing.assert_close(found[0].x, found[1].x, rtol=0, atol=1e-5)
    torch.testing.assert_close(found[0].trace.similarity, found[1].trace.similarity, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("used", [True, False])
def test_there_is_no_second_derivative_rather_than_a_wrong_one(pair, kernels, used):
    kernels(used)
    x, y = pair[0], pair[1].requires_grad_()
    for value in (squared_error(x, y), information(x, y)):
        (slope,) = torch.autograd.grad(value.square().sum(), y, create_graph=True)
        with pytest.raises(RuntimeError, match="once_differentiable"):
            slope.sum().backward()


def test_a_target_that_needs_a_gradient_is_refused(pair):
    with pytest.raises(ValueError, match="detach"):
        squared_error(pair[0].requires_grad_(), pair[1])
    with pytest.raises(ValueError, match="detach"):
        information(*pair)
