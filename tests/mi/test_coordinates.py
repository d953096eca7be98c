"""The bound reached with Adam on coordinates beside that of plain autograd Adam in full space.

Real feature maps of digits and of digits under noise, several start weights ("seeds"). Adam is elementwise
and the loss a sum, so that the samples of the slow reference don't meet.
"""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from uae_cli.mi.networks import CompiledNetworks
from uae_cli.models import HookedModel
from uae_cli.randomness import uniform

SAMPLES, HIDDEN, RATE, STEPS = 8, 10, 1e-3, 20  # as conf/similarity/mine.yaml but for the samples
SEEDS, ROUNDS = 4, 40


def maps(model: nn.Module, x: Tensor) -> Tensor:
    """The K vectors that MINE sees, (B, K, D)."""
    with torch.no_grad():
        features = HookedModel(model, model.feature_layer)(x).features
    assert features is not None
    return features.flatten(2)


def draw(seed: int, name: str, limit: float, *shape: int) -> Tensor:
    numbers = uniform(seed, name, torch.arange(SAMPLES), math.prod(shape), torch.float64)
    return ((2 * numbers - 1) * limit).view(SAMPLES, *shape)


def start(seed: int, size: int) -> list[Tensor]:
    entry = (2 * size) ** -0.5
    return [
        draw(seed, "left", entry, HIDDEN, size),
        draw(seed, "right", entry, HIDDEN, size),
        draw(seed, "bias", entry, HIDDEN),
        draw(seed, "head", HIDDEN**-0.5, HIDDEN),
    ]


def in_full_space(
    u: Tensor, v: Tensor, seed: int, marginals: str, orders: Tensor, bound_of: Callable[..., Tensor]
) -> Tensor:
    """The bound (rounds, B) after each round of steps: autograd and torch's Adam on all the weights."""
    left, right, bias, head = weights = [part.requires_grad_() for part in start(seed, u.shape[2])]
    adam = torch.optim.Adam(weights, lr=RATE, maximize=True)

    def bound(order: Tensor) -> Tensor:
        return bound_of(marginals, left @ u.mT + bias[..., None], right @ v.mT, head, order)

    found = []
    for row in orders:
        for order in row:
            adam.zero_grad()
            bound(order).sum().backward()
            adam.step()
        found.append(bound(orders[0, 0]).detach())
    return torch.stack(found)


def in_coordinates(u: Tensor, v: Tensor, seed: int, marginals: str, orders: Tensor) -> Tensor:
    """The same as the attack does it, entering and leaving once a round."""
    left, right, bias, head = start(seed, u.shape[2])
    networks = CompiledNetworks(
        left=left,
        right=right,
        bias=bias,
        head=head,
        vectors=u.shape[1],
        marginals=marginals,
        learning_rate=RATE,
    )
    assert networks.right.reduced
    entered, found = networks.left.enter(u), []
    for row in orders:
        coordinates = networks.right.enter(v)
        networks.ascend(entered, coordinates, row)
        networks.right.leave()
        found.append(networks.bound(entered, coordinates, v, orders[0, 0]))
    return torch.stack(found)


@pytest.mark.parametrize("marginals", ["all_pairs", "shuffle"])
def test_coordinates_reach_the_bound_of_full_space(marginals, trained_ae, digits, bound_of):
    """After 20 and after 800 steps, within what the start weights and the noise change (one std)."""
    model, x = trained_ae.double(), digits[:SAMPLES].double()
    clean, pairs = maps(model, x), []
    for seed in range(SEEDS):
        moved = maps(model, (x + draw(seed, "delta", 0.086, *x.shape[1:])).clamp(0, 1))
        source = torch.Generator().manual_seed(seed)
        orders = torch.rand(ROUNDS, STEPS, clean.shape[1], generator=source).argsort(2)
        given = clean, moved, seed, marginals, orders
        pairs.append([in_coordinates(*given), in_full_space(*given, bound_of)])
    for end in (0, -1):
        ours, full = torch.stack([torch.stack([found[end] for found in pair]) for pair in pairs], dim=1)
        noise = full.mean(1).std()
        assert float(ours.mean()) > float(full.mean() - noise)
        assert bool((ours.mean(0) > 0.8 * full.mean(0)).all()), "some digit lags behind"
