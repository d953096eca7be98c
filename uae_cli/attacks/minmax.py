"""The MinMax solver (paper §3.3, Algorithm 1)."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from uae_cli.attacks.batch import Batch
from uae_cli.attacks.solver import Found, Problem, descend
from uae_cli.randomness import uniform
from uae_cli.settings import STRICT, Count, NonNegative, Positive, UnitInterval


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MinMax:
    """min over δ, max over c ≥ 0 of c·f⁺(x + δ) ± S(x, x + δ), by alternating projected gradient steps.

    Attributes:
        alpha: α > 0, step size of δ.
        beta: β in (0, 1], step size of c.
        iterations: T.
        epsilon: ε > 0, largest |δ| of any value; 1 leaves only the box [0, 1].
        c_start: c₀ ≥ 0: 0 in the paper's text, 1e-3 in its program.
        c_decay_exponent: r in c ← max(0, (1 − β/t^r) c + β f⁺): 1/4, and 1/2 for SimCLR.
        delta_start: zero as in the paper's text; glorot as in its program, which means uniform in
            ±√(6/(fan_in + fan_out)), ±0.086 on MNIST; or a number b for uniform in ±b. Then clipped to
            the feasible box.
        step: gradient (the paper's), or sign, which moves every value by α.
    """

    alpha: Positive
    beta: UnitInterval
    iterations: Count
    epsilon: Positive
    c_start: NonNegative
    c_decay_exponent: NonNegative
    delta_start: Literal["zero", "glorot"] | Positive
    step: Literal["gradient", "sign"]

    @property
    def total_iterations(self) -> int:
        """See `Solver.total_iterations`."""
        return self.iterations

    def probe(self) -> "MinMax":
        """See `Solver.probe`."""
        return replace(self, iterations=1)

    def run(self, problem: Problem, *, on_iteration: Callable[[int], None] = lambda _: None) -> Found:
        """See `Solver.run`."""
        return descend(
            problem,
            self._start(problem.batch),
            iterations=self.iterations,
            step=self._step,
            epsilon=self.epsilon,
            first_c=problem.x.new_full((len(problem.x),), self.c_start),
            next_c=self._next_c,
            on_iteration=on_iteration,
        )

    def _start(self, batch: Batch) -> Tensor:
        x = batch.x
        if self.delta_start == "zero":
            return x.clone()
        limit = glorot_limit(tuple(x.shape[1:])) if self.delta_start == "glorot" else float(self.delta_start)
        delta = uniform(batch.seed, "delta", batch.index, x[0].numel(), x.dtype).mul_(2 * limit).sub_(limit)
        return (x + delta.view_as(x).clamp_(-self.epsilon, self.epsilon)).clamp_(0, 1)

    def _step(self, gradient: Tensor) -> Tensor:
        return self.alpha * (gradient.sign() if self.step == "sign" else gradient)

    def _next_c(self, c: Tensor, excess: Tensor, t: int) -> Tensor:
        return torch.clamp_min((1 - self.beta / t**self.c_decay_exponent) * c + self.beta * excess, 0)


def glorot_limit(shape: tuple[int, ...]) -> float:
    """Bound of TensorFlow's default start for a variable of shape (1, H, W, C), or (1, d) for a table.

    It takes the last two axes for fan-in and fan-out and the others for a receptive field.
    """
    if len(shape) == 3:
        colours, height, width = shape
        return math.sqrt(6 / (height * width + height * colours))
    return math.sqrt(6 / (1 + math.prod(shape)))
