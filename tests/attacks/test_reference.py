"""A whole MINE-UAE attack against one written as plainly as the paper, one sample at a time, in float64."""

import math
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor, nn

from uae_cli.attacks import Samples, attack_batch
from uae_cli.models import HookedModel
from uae_cli.randomness import generator, uniform

SEED, INDEX = 3, torch.tensor([11, 2, 7, 0])
ITERATIONS, ALPHA, BETA, C_START, DELTA_START = 15, 0.2, 0.5, 1e-3, 0.086
HIDDEN, STEPS, RATE = 10, 10, 1e-3
TOLERANCE = 1e-6  # 1e-4 is asked for


def start(stream: str, limit: float, index: int, *shape: int) -> Tensor:
    numbers = uniform(SEED, stream, torch.tensor([index]), math.prod(shape), torch.float64)
    return ((2 * numbers - 1) * limit).view(shape)


def passed(model: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """The reconstruction of one image (1, C, H, W), and its feature maps (K, D)."""
    features = model.encoder[1](model.encoder[0](x))
    return model(x), features.flatten(2)[0]


@dataclass
class Side:
    """Weights of one side, their coordinates in the span of that side's vectors, and its unit."""

    weights: Tensor  # (H, D)
    coordinates: Tensor | None = None  # (K, K)
    coefficients: Tensor | None = None  # (H, K)
    unit: Tensor | None = None

    def enter(self, vectors: Tensor) -> Tensor:
        """Rows that have the same inner products as the vectors, times the unit; and their weights."""
        k = len(vectors)
        gram = vectors @ vectors.T
        ridge = 32 * torch.finfo(gram.dtype).eps * k * gram.diagonal().mean()  # some maps are dead
        root = torch.linalg.cholesky(gram + ridge * torch.eye(k, dtype=gram.dtype))
        if self.unit is None:
            self.unit = vectors.norm(p=1, dim=1).mean() / root.norm(p=1, dim=1).mean()
        self.coordinates = self.unit * root
        return torch.linalg.solve(self.coordinates, vectors @ self.weights.T).T

    def leave(self, change: Tensor, vectors: Tensor) -> None:
        """`change` of the coefficients, as the smallest change of the weights with the same effect."""
        basis = torch.linalg.solve(self.coordinates, vectors)  # orthogonal rows, of length 1 / unit
        self.weights = self.weights + change @ basis * self.unit**2


class PlainMine:
    def __init__(self, clean: Tensor, index: int, marginals: str) -> None:
        self.k, size = clean.shape
        entry = (2 * size) ** -0.5
        self.marginals = marginals
        self.left = Side(start("mine/left", entry, index, HIDDEN, size))
        self.right = Side(start("mine/right", entry, index, HIDDEN, size))
        self.a = self.left.enter(clean)
        self.b = torch.zeros(HIDDEN, self.k, dtype=clean.dtype)
        self.bias = start("mine/bias", entry, index, HIDDEN)
        self.head = start("mine/head", HIDDEN**-0.5, index, HIDDEN)
        self.weights = [part.requires_grad_() for part in (self.a, self.b, self.bias, self.head)]
        self.adam = torch.optim.Adam(self.weights, lr=RATE, maximize=True)

    def train(self, vectors: Tensor, iteration: int) -> None:
        entered = self.right.enter(vectors)
        self.b.data.copy_(entered)
        source = generator(SEED, f"mine/train/{iteration}", torch.device("cpu"))
        for order in [torch.randperm(self.k, generator=source) for _ in range(STEPS)]:
            self.adam.zero_grad()
            self.bound(self.right.coordinates @ self.b.T, order).backward()
            self.adam.step()
        self.right.leave(self.b.detach() - entered, vectors)

    def __call__(self, vectors: Tensor) -> Tensor:
        """The estimate of I, differentiable in the vectors; it judges by one order of its own."""
        source = generator(SEED, "mine/judge", torch.device("cpu"))
        cycle = torch.randperm(self.k, generator=source)
        order = torch.empty_like(cycle)
        order[cycle] = cycle.roll(1)
        return self.bound(vectors @ self.right.weights.T, order)

    def bound(self, v_part: Tensor, order: Tensor) -> Tensor:
        u_part = self.left.coordinates @ self.a.T + self.bias
        joint = torch.relu(u_part + v_part) @ self.head
        if self.marginals == "shuffle":
            product = torch.relu(u_part + v_part[order]) @ self.head
        else:
            pairs = torch.relu(u_part[:, None] + v_part[None]) @ self.head
            product = pairs[~torch.eye(self.k, dtype=torch.bool)]
        return joint.mean() - torch.log(torch.exp(product).mean())


def plain_attack(model: nn.Module, x: Tensor, index: int, marginals: str) -> dict[str, list]:
    """Algorithm 1 on one image (1, C, H, W): every iterate with its f, I and c."""
    output, maps = passed(model, x)
    reference = (x - output).square().sum().item()
    mine = PlainMine(maps.detach(), index, marginals)
    moved, c, found = begin(x, index), C_START, {"delta": [], "f": [], "similarity": [], "c": []}
    mine.right.enter(passed(model, moved)[1].detach())  # the starting point's vectors settle the unit
    for t in range(1, ITERATIONS + 1):
        moved = moved.clone().requires_grad_()
        output, maps = passed(model, moved)
        f = (x - output).square().sum() - reference
        (slope,) = torch.autograd.grad(c * torch.relu(f) + mine(maps), moved)
        moved = (moved - ALPHA * slope).detach().clamp(0, 1)
        output, maps = passed(model, moved)
        f = ((x - output).square().sum() - reference).item()
        mine.train(maps.detach(), t)
        c = max(0.0, (1 - BETA / t**0.25) * c + BETA * max(0.0, f))
        for name, value in (("delta", moved - x), ("f", f), ("similarity", mine(maps).item()), ("c", c)):
            found[name].append(value)
    return found


def begin(x: Tensor, index: int) -> Tensor:
    return (x + start("delta", DELTA_START, index, *x.shape)).clamp(0, 1)


def attacked(attack, model: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """The package's attack, with the iterates that the model was shown."""
    seen: list[Tensor] = []
    hook = model.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0].detach().clone()))
    hooked = HookedModel(model, attack.similarity.hooked_layer(model))
    found = attack_batch(attack, hooked, Samples(x, INDEX, SEED))
    hook.remove()
    iterates = seen[2 : 2 + ITERATIONS]  # after the clean samples and the starting point
    assert bool(found.success.any())
    return {
        "delta": torch.stack(iterates, 1) - x[:, None],
        "f": found.trace.f,
        "similarity": found.trace.similarity,
        "c": found.trace.c,
    }


@pytest.mark.parametrize("marginals", ["all_pairs", "shuffle"])
@pytest.mark.parametrize("way", ["compiled", "torch"])
def test_every_iteration_is_that_of_the_plain_attack(way, marginals, mine_attack, trained_ae, digits):
    model, x = trained_ae.double(), digits[INDEX].double()
    attack = mine_attack(
        marginals=marginals,
        iterations=ITERATIONS,
        alpha=ALPHA,
        beta=BETA,
        c_start=C_START,
        delta_start=DELTA_START,
    )
    mine = replace(attack.similarity, compiled=way == "compiled")
    fast = attacked(replace(attack, similarity=mine), model, x)
    for row, index in enumerate(INDEX.tolist()):
        plain = plain_attack(model, x[row : row + 1], index, marginals)
        torch.testing.assert_close(fast["delta"][row], torch.cat(plain.pop("delta")), rtol=0, atol=TOLERANCE)
        for name, values in plain.items():
            expected = torch.tensor(values, dtype=torch.float64)
            torch.testing.assert_close(fast[name][row], expected, rtol=0, atol=TOLERANCE, msg=name)
    moved = (fast["delta"][:, -1] - fast["delta"][:, 0]).abs().flatten(1).amax(1)
    assert bool((moved > 0.01).all()), "next to nothing moved, so next to nothing was tested"
