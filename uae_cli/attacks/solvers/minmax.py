"""The MinMax solver (paper §3.3, Algorithm 1)."""

from collections.abc import Callable
from typing import Annotated

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from uae_cli.attacks.solvers.base import Descent, Found, Problem, descend
from uae_cli.settings import STRICT, NonNegative, UnitInterval


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MinMax(Descent):
    """min over δ, max over c ≥ 0 of c·f⁺(x + δ) ± S(x, x + δ), by alternating projected gradient steps.

    Attributes:
        beta: β in (0, 1], step size of c.
        c_start: c₀ ≥ 0: 0 in the paper's text, 1e-3 in its program.
        c_decay_exponent: r in c ← max(0, (1 − β/t^r) c + β f⁺): 1/4, and 1/2 for SimCLR.
            Above 1 only the first iterations differ; t^r must stay a number.
    """

    beta: UnitInterval
    c_start: NonNegative
    c_decay_exponent: Annotated[float, Field(ge=0, le=50)]

    def run(self, problem: Problem, *, on_iteration: Callable[[int], None] = lambda _: None) -> Found:
        """See `Solver.run`."""
        return descend(
            problem,
            self.start(problem.batch),
            iterations=self.iterations,
            step=self.move,
            epsilon=self.epsilon,
            first_c=problem.x.new_full((len(problem.x),), self.c_start),
            next_c=self._next_c,
            on_iteration=on_iteration,
        )

    def _next_c(self, c: Tensor, excess: Tensor, t: int) -> Tensor:
        return torch.clamp_min((1 - self.beta / t**self.c_decay_exponent) * c + self.beta * excess, 0)
