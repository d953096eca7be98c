"""What the paper's two solvers share: how δ starts and moves; a solver adds how c does."""

import math
from typing import Literal

from pydantic.dataclasses import dataclass
from torch import Tensor

from uae_cli.attacks.samples import Samples
from uae_cli.randomness import uniform
from uae_cli.settings import STRICT, Count, Positive


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Descent:
    """Settings of projected gradient descent on δ.

    Attributes:
        alpha: α > 0, step size of δ.
        iterations: T, all gradient steps that a sample costs.
        epsilon: ε > 0, largest |δ| of any value; 1 leaves only the box [0, 1].
        delta_start: zero as in the paper's text; glorot as in its program, which means uniform in
            ±√(6/(fan_in + fan_out)), ±0.086 on MNIST; or a number b for uniform in ±b. Then clipped to
            the feasible box.
        step: gradient (the paper's), or sign, which moves every value by α.
    """

    alpha: Positive
    iterations: Count
    epsilon: Positive
    delta_start: Literal["zero", "glorot"] | Positive
    step: Literal["gradient", "sign"]

    def start(self, batch: Samples) -> Tensor:
        """The first iterate, (B, *shape) in the feasible box."""
        if self.delta_start == "zero":
            return batch.x.clone()
        glorot = self.delta_start == "glorot"
        limit = glorot_limit(tuple(batch.x.shape[1:])) if glorot else float(self.delta_start)
        return uniform_start(batch, limit, self.epsilon)

    def move(self, gradient: Tensor) -> Tensor:
        """What is subtracted from x + δ."""
        return self.alpha * (gradient.sign() if self.step == "sign" else gradient)


def uniform_start(batch: Samples, limit: float, epsilon: float) -> Tensor:
    """X + δ with δ uniform in ±limit, clipped to ±ε and then to [0, 1]; drawn from (seed, index)."""
    x = batch.x
    delta = uniform(batch.seed, "delta", batch.index, x[0].numel(), x.dtype).mul_(2 * limit).sub_(limit)
    return (x + delta.view_as(x).clamp_(-epsilon, epsilon)).clamp_(0, 1)


def glorot_limit(shape: tuple[int, ...]) -> float:
    """Bound of TensorFlow's default start for a variable of shape (1, H, W, C), or (1, d) for a table.

    It takes the last two axes for fan-in and fan-out and the others for a receptive field.
    """
    if len(shape) == 3:
        colours, height, width = shape
        return math.sqrt(6 / (height * width + height * colours))
    return math.sqrt(6 / (1 + math.prod(shape)))
